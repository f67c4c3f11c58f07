"""Average precision of class-agnostic instance masks: COCO's, and the metric of S4Net's released evaluator.

The two answer different questions. COCO pools the detections of all pictures into one ranking; the released evaluator
ranks inside each picture and averages the pictures, so scores need not compare between pictures and come out higher.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipelines.data.coco import CocoPicture

MAX_DETECTIONS = 20


@dataclass(frozen=True)
class PictureDetections:
    """Detected instances of one picture.

    Attributes:
        image_id: Id of the picture, as in `CocoPicture`.
        scores: [N] float, higher = surer.
        rles: N compressed run-length masks at picture size.
    """

    image_id: str
    scores: NDArray[np.floating[Any]]
    rles: list[dict[str, Any]]

    def __post_init__(self) -> None:
        """Checks that scores and masks belong together."""
        if len(self.scores) != len(self.rles):
            raise ValueError(f"{self.image_id}: {len(self.scores)} scores for {len(self.rles)} masks")


def coco_ap(
    pictures: Sequence[CocoPicture], detections: Sequence[PictureDetections], max_detections: int = MAX_DETECTIONS
) -> dict[str, float]:
    """COCO's mask AP (pycocotools), pooled over the pictures, one class, objects of every size.

    Args:
        pictures: Pictures with their true instances.
        detections: At most one entry a picture; entries of other pictures are left out, a picture without one has
            no detection.
        max_detections: So many detections of a picture count, those of highest score.

    Returns:
        `ap` (mean over IoU 0.50, 0.55 .. 0.95), `ap50`, `ap70`, `ap75` as fractions; nan when the pictures hold no
        instance at all.
    """
    if not any(picture.rles for picture in pictures):
        return dict.fromkeys(("ap", "ap50", "ap70", "ap75"), float("nan"))
    by_id = _by_image_id(detections)
    numbered = list(enumerate(pictures, start=1))
    truths = [_annotation(number, rle) for number, picture in numbered for rle in picture.rles]
    found = [
        {**_annotation(number, rle), "score": float(score)}
        for number, picture in numbered
        if (detected := by_id.get(picture.image_id)) is not None
        for score, rle in zip(detected.scores, detected.rles, strict=True)
    ]
    images = [{"id": number, "height": picture.height, "width": picture.width} for number, picture in numbered]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress; stdout belongs to the results
        judge = COCOeval(_coco(images, truths), _coco(images, found), "segm")
        judge.params.maxDets = [max_detections]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    thresholds = judge.params.iouThrs
    # [threshold, recall step, class, area range, detection limit] -> mean over the recall steps
    by_threshold = judge.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    at = {round(100 * float(t)): float(value) for t, value in zip(thresholds, by_threshold, strict=True)}
    return {"ap": float(by_threshold.mean()), "ap50": at[50], "ap70": at[70], "ap75": at[75]}


def release_map(
    pictures: Sequence[CocoPicture],
    detections: Sequence[PictureDetections],
    threshold: float,
    max_detections: int = MAX_DETECTIONS,
) -> float:
    """Mean AP as the evaluator released with S4Net computes it, to compare with the paper's tables.

    Each picture has its own AP (`release_ap`); the result is their plain mean. Pictures without a true instance,
    which the released code cannot judge, are left out.

    Args:
        pictures: Pictures with their true instances.
        detections: As in `coco_ap`.
        threshold: A detection matches above this mask IoU (strictly).
        max_detections: So many detections of a picture count, those of highest score.

    Returns:
        Fraction 0..1; nan when no picture holds an instance.
    """
    by_id = _by_image_id(detections)
    values = []
    for picture in pictures:
        if not picture.rles:
            continue
        detected = by_id.get(picture.image_id)
        if detected is None or not detected.rles:
            values.append(0.0)
            continue
        order = np.argsort(-detected.scores, kind="stable")[:max_detections]
        ranked = [detected.rles[index] for index in order]
        # pycocotools wants a crowd flag for each truth; with 0 it returns the plain IoU [detections, truths].
        ious = rle_masks.iou(ranked, list(picture.rles), [0] * len(picture.rles))
        values.append(release_ap(np.asarray(ious).T, threshold))
    return float(np.mean(values)) if values else float("nan")


def release_ap(ious: NDArray[np.float64], threshold: float) -> float:
    """AP of one picture in the released evaluator.

    For each k the first k detections are matched anew. The curve keeps the best recall for each precision (axes the
    other way round than usual), starts at precision 0 with the recall of the lowest precision, and is integrated by
    trapezoids without making it monotone.

    Args:
        ious: [G, D] mask IoU of the true instances, in file order, with the detections, best score first; G, D >= 1.
        threshold: A match needs an IoU strictly above.

    Returns:
        Fraction 0..1.
    """
    n_truths, n_detections = ious.shape
    recall_at: dict[float, float] = {}
    for k in range(1, n_detections + 1):
        hits = _release_matches(ious[:, :k], threshold)
        precision, recall = hits / k, hits / n_truths
        recall_at[precision] = max(recall, recall_at.get(precision, 0.0))
    precisions = sorted(recall_at)
    recalls = [recall_at[precision] for precision in precisions]
    x, y = np.array([0.0, *precisions]), np.array([recalls[0], *recalls])
    return float((x[1:] - x[:-1]) @ (y[1:] + y[:-1]) / 2)


def occluded_subset(pictures: Sequence[CocoPicture]) -> list[str]:
    """Ids of the pictures in which at least two true boxes share some area (the paper's occlusion subset, mAP_O)."""
    return [picture.image_id for picture in pictures if _boxes_intersect(picture.boxes)]


def _release_matches(ious: NDArray[np.float64], threshold: float) -> int:
    """True instances [G] choose in turn; each takes the best detection [D] left over, if it is good enough."""
    left = ious.copy()
    hits = 0
    for row in left:
        best = int(row.argmax())
        if row[best] > threshold:
            hits += 1
            left[:, best] = 0
    return hits


def _boxes_intersect(boxes: NDArray[np.float32]) -> bool:
    first, second = np.triu_indices(len(boxes), k=1)
    sides = np.minimum(boxes[first, 2:], boxes[second, 2:]) - np.maximum(boxes[first, :2], boxes[second, :2])
    return bool((sides > 0).all(axis=1).any())


def _by_image_id(detections: Sequence[PictureDetections]) -> Mapping[str, PictureDetections]:
    by_id = {entry.image_id: entry for entry in detections}
    if len(by_id) != len(detections):
        raise ValueError("a picture has more than one entry of detections")
    return by_id


def _annotation(image_number: int, rle: dict[str, Any]) -> dict[str, Any]:
    return {"image_id": image_number, "category_id": 1, "segmentation": rle, "area": float(rle_masks.area(rle))}


def _coco(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> COCO:
    """An index that COCOeval accepts, also without any annotation (which `COCO.loadRes` refuses)."""
    # Ids start at 1: COCOeval reads a match with id 0 as no match.
    numbered = [{**annotation, "id": number, "iscrowd": 0} for number, annotation in enumerate(annotations, start=1)]
    index = COCO()
    index.dataset = {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": "instance"}]}
    index.createIndex()
    return index
