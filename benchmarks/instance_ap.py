"""Speed of our COCO mask AP beside pycocotools, the evaluator that everybody uses, on the same detections.

Both start from run-length masks in memory and end with the AP at the ten thresholds, 20 detections a picture. For
pycocotools only `evaluate` and `accumulate` are timed: its index is built before. First the two must agree. Then they
take turns, and the medians are compared.

    python benchmarks/instance_ap.py [--pictures 300] [--detections 20] [--rounds 7]
"""

import argparse
import contextlib
import io
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipelines.data.coco import CocoPicture
from pipelines.data.rle import Rle, boxes_of, encode_masks
from pipelines.engine.timing import interleave
from pipelines.metrics.instance_ap import MAX_DETECTIONS, PictureDetections, coco_ap

HEIGHT, WIDTH = 300, 400


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--detections", type=int, default=20, help="of a picture")
    parser.add_argument("--rounds", type=int, default=7, help="passes over both")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pictures, detections = scenes(options.pictures, options.detections, np.random.default_rng(options.seed))
    indices = coco_indices(pictures, detections)

    ours, theirs = coco_ap(pictures, detections), by_pycocotools(*indices)
    difference = max(abs(ours[name] - theirs[name]) for name in ours)
    if difference > 1e-9:
        raise SystemExit(f"the two disagree: {ours} and {theirs}")

    def s4() -> None:
        coco_ap(pictures, detections)

    def pycocotools() -> None:
        by_pycocotools(*indices)

    timings = interleave({"s4": s4, "pycocotools": pycocotools}, options.rounds)
    seconds = {name: timing.seconds for name, timing in timings.items()}
    print(
        json.dumps(
            {
                "pictures": options.pictures,
                "detections": options.detections,
                "ap": ours["ap"],
                "largest_difference": difference,
                "s4_ms": round(1000 * seconds["s4"], 2),
                "pycocotools_ms": round(1000 * seconds["pycocotools"], 2),
                "ratio": round(seconds["pycocotools"] / seconds["s4"], 2),
                "rounds": options.rounds,
                "load": os.getloadavg()[0],
                "pycocotools": version("pycocotools"),
            }
        )
    )


def scenes(
    n_pictures: int, n_detections: int, generator: np.random.Generator
) -> tuple[list[CocoPicture], list[PictureDetections]]:
    """Make pictures with one to four ellipses; a third of the detections lie near an ellipse, the others anywhere."""
    pictures, detections = [], []
    for number in range(n_pictures):
        # Centre, then half axes, in pixels: x, y, a, b.
        truths = generator.uniform((80, 60, 20, 20), (320, 240, 80, 60), (int(generator.integers(1, 5)), 4))
        near = truths[generator.integers(0, len(truths), n_detections // 3)]
        near = near * generator.normal(1, 0.06, near.shape)
        far = generator.uniform((40, 30, 10, 10), (360, 270, 90, 70), (n_detections - len(near), 4))
        rles = ellipses(truths)
        image_id = f"{number:05}"
        path = Path(f"{image_id}.jpg")
        pictures.append(CocoPicture(image_id, path, HEIGHT, WIDTH, "", boxes_of(rles), tuple(rles)))
        scores = generator.random(n_detections)
        scores[: len(near)] += 0.5  # right detections are surer, as with a trained network
        detections.append(PictureDetections(image_id, scores, ellipses(np.concatenate([near, far]))))
    return pictures, detections


def ellipses(shapes: NDArray[np.float64]) -> list[Rle]:
    """Return the masks of ellipses [N, 4], given by centre x, y and half axes in pixels."""
    x, y, a, b = shapes.T[:, :, None, None]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return encode_masks(((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1)


def coco_indices(pictures: list[CocoPicture], detections: list[PictureDetections]) -> tuple[COCO, COCO]:
    """Return truth and detections as pycocotools takes them."""
    images = [{"id": number, "height": HEIGHT, "width": WIDTH} for number in range(len(pictures))]
    truths = [
        {"image_id": number, "segmentation": rle} for number, picture in enumerate(pictures) for rle in picture.rles
    ]
    found = [
        {"image_id": number, "segmentation": rle, "score": float(score)}
        for number, entry in enumerate(detections)
        for score, rle in zip(entry.scores, entry.rles, strict=True)
    ]
    return _index(images, truths), _index(images, found)


def _index(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> COCO:
    for number, annotation in enumerate(annotations, start=1):
        annotation |= {"id": number, "category_id": 1, "iscrowd": 0, "area": 1.0}
    index = COCO()
    index.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    return index


def by_pycocotools(truth: COCO, found: COCO) -> dict[str, float]:
    """Return the AP of pycocotools on the same terms: one class, objects of every size, 20 detections."""
    judge = COCOeval(truth, found, "segm")
    judge.params.useCats, judge.params.maxDets = 0, [MAX_DETECTIONS]
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    return {"ap": precision.mean(), "ap50": precision[0], "ap70": precision[4], "ap75": precision[5]}


if __name__ == "__main__":
    main()
