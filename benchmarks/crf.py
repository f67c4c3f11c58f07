"""The dense CRF beside pydensecrf2: time, and how many pixels get the same label.

    pip install pydensecrf2        # builds from source
    python benchmarks/crf.py --images animals/JPEGImages

Four classes on pictures of 500 x 375 pixels: photographs of a folder scaled to that size, or generated noise. The
probabilities are those of blurred rectangles. Both run in turn in one process; medians. Prints one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, zoom

sys.path.insert(0, str(Path(__file__).parent.parent))

from deeplab.crf import CRF_PRESETS, CrfSettings, dense_crf
from pipelines.data.images import find_images, open_image

HEIGHT, WIDTH, CLASSES = 375, 500, 4


def pictures(folder: Path | None, count: int) -> Iterator[np.ndarray]:
    """Yield [375, 500, 3] uint8."""
    generator = np.random.default_rng(0)
    paths = list(find_images(folder).values())[:count] if folder else [None] * count
    for path in paths:
        if path is None:
            smooth = gaussian_filter(generator.normal(size=(HEIGHT, WIDTH, 3)), (20, 20, 0))
            yield np.clip(128 + 900 * smooth + generator.normal(size=smooth.shape) * 5, 0, 255).astype(np.uint8)
            continue
        picture = open_image(path)
        scale = HEIGHT / picture.shape[0], WIDTH / picture.shape[1], 1
        yield np.clip(zoom(picture.astype(np.float32), scale, order=1), 0, 255).astype(np.uint8)[:HEIGHT, :WIDTH]


def probabilities(seed: int) -> np.ndarray:
    """Return [4, 375, 500] float32, a blurred rectangle for each class but the first."""
    generator = np.random.default_rng(seed)
    evidence = np.zeros((CLASSES, HEIGHT, WIDTH), np.float32)
    evidence[0] = 0.5
    for of_class in evidence[1:]:
        y, x = generator.integers(HEIGHT - 150), generator.integers(WIDTH - 150)
        of_class[y : y + 150, x : x + 150] = 1
    softened = np.exp(3 * gaussian_filter(evidence, (0, 12, 12)))
    return (softened / softened.sum(axis=0)).astype(np.float32)


def peer(p: np.ndarray, picture: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """Return labels [375, 500] of pydensecrf2."""
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    crf = DenseCRF2D(WIDTH, HEIGHT, CLASSES)
    crf.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(p)))
    crf.addPairwiseGaussian(sxy=settings.position_sigma, compat=settings.position_weight)
    crf.addPairwiseBilateral(
        sxy=settings.bilateral_sigma,
        srgb=settings.colour_sigma,
        rgbim=np.ascontiguousarray(picture),
        compat=settings.bilateral_weight,
    )
    return np.array(crf.inference(settings.iterations)).reshape(CLASSES, HEIGHT, WIDTH).argmax(axis=0)


def ours(p: np.ndarray, picture: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """Return labels [375, 500] of this project."""
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return dense_crf(torch.from_numpy(p), image, settings).argmax(0).numpy()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=8)
    arguments = parser.parse_args()
    rows = []
    for name, settings in CRF_PRESETS.items():
        times: dict[str, list[float]] = {"ours": [], "pydensecrf2": []}
        agreement = []
        for number, picture in enumerate(pictures(arguments.images, arguments.count)):
            p, labels = probabilities(number), {}
            for label, run in (("ours", ours), ("pydensecrf2", peer)):
                start = time.perf_counter()
                labels[label] = run(p, picture, settings)
                times[label].append(time.perf_counter() - start)
            agreement.append(float((labels["ours"] == labels["pydensecrf2"]).mean()))
        seconds = {label: statistics.median(values) for label, values in times.items()}
        rows.append(
            {
                "preset": name,
                "seconds": {label: round(value, 3) for label, value in seconds.items()},
                "times_of_pydensecrf2": round(seconds["ours"] / seconds["pydensecrf2"], 2),
                "same_labels": round(statistics.mean(agreement), 5),
            }
        )
    print(json.dumps({"threads": torch.get_num_threads(), "pictures": arguments.count, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
