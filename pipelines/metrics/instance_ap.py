"""Average precision of class-agnostic instance masks: COCO's, and the metric of S4Net's released evaluator.

The two answer different questions. COCO pools the detections of all pictures into one ranking. The released evaluator
ranks inside each picture and averages the pictures: scores need not be comparable between pictures, and its AP is
higher.

COCO's AP is made in two steps: `match_pictures` compares masks, once for each picture, and `accumulate` ranks the
outcome. The second step is cheap enough to be repeated for a thousand random samples of the pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_masks

from pipelines.data.coco import CocoPicture

MAX_DETECTIONS = 20

# The same expressions as in pycocotools: the last digit decides about a mask whose IoU equals a threshold.
_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
_RECALLS: NDArray[np.float64] = np.linspace(0, 1, 101)
_NAMED = {"ap50": 0, "ap70": 4, "ap75": 5}  # positions in _THRESHOLDS


@dataclass(frozen=True)
class PictureDetections:
    """Detected instances of one picture.

    Attributes:
        image_id: Id of the picture, as in `CocoPicture`.
        scores: [N] float; a higher score is surer.
        rles: N compressed run-length masks at picture size.
    """

    image_id: str
    scores: NDArray[np.floating[Any]]
    rles: list[dict[str, Any]]

    def __post_init__(self) -> None:
        """Refuse scores and masks that differ in number."""
        if len(self.scores) != len(self.rles):
            raise ValueError(f"{self.image_id}: {len(self.scores)} scores for {len(self.rles)} masks")


@dataclass(frozen=True)
class PictureMatches:
    """What became of the detections of one picture at the T = 10 IoU thresholds 0.50, 0.55 .. 0.95.

    Attributes:
        scores: [D] float64, best first.
        hits: [T, D] bool: found a true instance that counts.
        judged: [T, D] bool: hit or false alarm; False where the found instance is ignored.
        n_truths: True instances that count.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    n_truths: int


def match_pictures(
    pictures: Sequence[CocoPicture],
    detections: Sequence[PictureDetections],
    ignored: Mapping[str, NDArray[np.bool_]] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> list[PictureMatches]:
    """Give detections to true instances as COCO does: the surest first, and each takes the best instance that is left.

    Args:
        pictures: Pictures with their true instances.
        detections: At most one entry a picture. Entries of other pictures are left out; a picture without an entry has
            no detection.
        ignored: For the id of a picture, [N] bool flags of its instances. A flagged instance need not be found, and
            finding it is no false alarm. Without an entry, no instance is flagged.
        max_detections: Number of detections of a picture that count, those with the highest scores.

    Returns:
        One entry for each picture, in their order.
    """
    by_id = _by_image_id(detections)
    matches = []
    for picture in pictures:
        scores, ious = _overlaps(picture, by_id.get(picture.image_id), max_detections)
        flags = (ignored or {}).get(picture.image_id, np.zeros(len(picture.rles), bool))
        matches.append(_match(scores, ious, flags))
    return matches


def accumulate(matches: Sequence[PictureMatches]) -> dict[str, float]:
    """Return COCO's AP of matched pictures; a picture may occur more than once.

    Args:
        matches: Result of `match_pictures`. Equal scores rank in this order, as in pycocotools.

    Returns:
        `ap` (mean over IoU 0.50, 0.55 .. 0.95), `ap50`, `ap70`, `ap75` as fractions; nan when no instance counts.
    """
    n_truths = sum(picture.n_truths for picture in matches)
    if n_truths == 0:
        return dict.fromkeys(("ap", *_NAMED), float("nan"))
    order = np.argsort(-np.concatenate([picture.scores for picture in matches]), kind="stable")
    hits = np.concatenate([picture.hits for picture in matches], axis=1)[:, order]
    judged = np.concatenate([picture.judged for picture in matches], axis=1)[:, order]
    # The hits that each recall step needs; recall 0 has the precision of the first hit, the highest of the envelope.
    needed = np.maximum(np.searchsorted(np.arange(n_truths + 1) / n_truths, _RECALLS), 1)
    by_threshold = [_mean_precision(*rows, needed) for rows in zip(hits, judged, strict=True)]
    return {"ap": float(np.mean(by_threshold)), **{name: by_threshold[place] for name, place in _NAMED.items()}}


def coco_ap(
    pictures: Sequence[CocoPicture], detections: Sequence[PictureDetections], max_detections: int = MAX_DETECTIONS
) -> dict[str, float]:
    """Return COCO's mask AP, pooled over the pictures, for one class and objects of every size.

    Args:
        pictures: Pictures with their true instances.
        detections: See `match_pictures`.
        max_detections: Number of detections of a picture that count, those with the highest scores.

    Returns:
        `ap`, `ap50`, `ap70`, `ap75` as in `accumulate`.
    """
    return accumulate(match_pictures(pictures, detections, max_detections=max_detections))


def release_aps(
    pictures: Sequence[CocoPicture],
    detections: Sequence[PictureDetections],
    threshold: float,
    max_detections: int = MAX_DETECTIONS,
) -> NDArray[np.float64]:
    """Return the AP of each picture as the evaluator released with S4Net computes it.

    The mean over the pictures is presumably the figure in the paper's tables.

    Args:
        pictures: Pictures with their true instances.
        detections: See `match_pictures`.
        threshold: A detection matches above this mask IoU (strictly).
        max_detections: Number of detections of a picture that count, those with the highest scores.

    Returns:
        [P] fractions 0..1 in the order of the pictures; nan for a picture without a true instance, which the released
        code cannot judge.
    """
    by_id = _by_image_id(detections)
    values = np.full(len(pictures), np.nan)
    for place, picture in enumerate(pictures):
        if picture.rles:
            _, ious = _overlaps(picture, by_id.get(picture.image_id), max_detections)
            values[place] = release_ap(ious.T, threshold) if len(ious) else 0.0
    return values


def release_ap(ious: NDArray[np.float64], threshold: float) -> float:
    """Return the AP of one picture in the released evaluator.

    For each k the first k detections are matched anew. The curve keeps the best recall for each precision, so its axes
    are exchanged. It starts at precision 0 with the recall of the lowest precision. It is integrated by trapezoids, and
    is not made monotone before.

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


def _overlaps(
    picture: CocoPicture, detected: PictureDetections | None, limit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores [D] of a picture's best detections, best first, and their IoU [D, G] with true instances."""
    if detected is None or not detected.rles:
        return np.zeros(0), np.zeros((0, len(picture.rles)))
    scores = np.asarray(detected.scores, np.float64)
    order = np.argsort(-scores, kind="stable")[:limit]
    ranked = [detected.rles[index] for index in order]
    # pycocotools wants a crowd flag for each truth. With 0 it returns the plain IoU; without a truth, an empty list.
    ious = rle_masks.iou(ranked, list(picture.rles), [0] * len(picture.rles))
    return scores[order], np.asarray(ious, np.float64).reshape(len(ranked), len(picture.rles))


def _match(scores: NDArray[np.float64], ious: NDArray[np.float64], ignored: NDArray[np.bool_]) -> PictureMatches:
    """Match detections [D], best first, with true instances [G] by their IoU [D, G], at all thresholds at once."""
    hits = np.zeros((len(_THRESHOLDS), len(scores)), bool)
    judged = np.ones_like(hits)
    is_free = np.ones((len(_THRESHOLDS), len(ignored)), bool)
    detections, truths = np.nonzero(ious >= _THRESHOLDS[0])  # other pairs match at no threshold
    overlaps = ious[detections, truths]
    # COCO prefers, in this order: the surer detection; an instance that counts; the larger IoU; the later instance.
    for pair in np.lexsort((-truths, -overlaps, ignored[truths], detections)):
        detection, truth = detections[pair], truths[pair]
        is_open = judged[:, detection] & ~hits[:, detection] & is_free[:, truth]
        taken = is_open & (overlaps[pair] >= _THRESHOLDS)
        is_free[:, truth] &= ~taken
        if ignored[truth]:
            judged[:, detection] &= ~taken
        else:
            hits[:, detection] |= taken
    return PictureMatches(scores, hits, judged, int(np.count_nonzero(~ignored)))


def _mean_precision(hits: NDArray[np.bool_], judged: NDArray[np.bool_], needed: NDArray[np.intp]) -> float:
    """Return the mean precision at the recall steps, from ranked detections [D] and the hits that each step needs."""
    ranks = np.cumsum(judged)[hits]
    precision = np.arange(1, len(ranks) + 1) / ranks
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # precision falls between hits, so these hold its maxima
    reached = needed[needed <= len(ranks)]
    return float(envelope[reached - 1].sum() / len(needed))


def _release_matches(ious: NDArray[np.float64], threshold: float) -> int:
    """Count the hits when true instances [G] choose in turn, each the best detection [D] left, if it is good enough."""
    left = ious.copy()
    hits = 0
    for row in left:
        best = int(row.argmax())
        if row[best] > threshold:
            hits += 1
            left[:, best] = 0
    return hits


def _by_image_id(detections: Sequence[PictureDetections]) -> Mapping[str, PictureDetections]:
    by_id = {entry.image_id: entry for entry in detections}
    if len(by_id) != len(detections):
        raise ValueError("a picture has more than one entry of detections")
    return by_id
