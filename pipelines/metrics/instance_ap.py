"""Average precision of class-agnostic instance masks: COCO's, and the metric of S4Net's released evaluator.

The two answer different questions. COCO pools the detections of all pictures into one ranking; the released evaluator
ranks inside each picture and averages the pictures, so scores need not compare between pictures and come out higher.

COCO's AP is made in two steps: `match_pictures` compares masks, once for each picture, and `accumulate` ranks the
outcome. The second is cheap enough to be done again for a thousand random samples of the pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_masks

from pipelines.data.coco import CocoPicture
from pipelines.metrics.confusion import mean_of_known

MAX_DETECTIONS = 20

# Made as pycocotools makes them: the last digit decides about a mask whose IoU equals a threshold.
_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
_RECALLS: NDArray[np.float64] = np.linspace(0, 1, 101)
_NAMED = {"ap50": 0, "ap70": 4, "ap75": 5}  # positions in _THRESHOLDS


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


@dataclass(frozen=True)
class PictureMatches:
    """What became of the detections of one picture at the T = 10 IoU thresholds 0.50, 0.55 .. 0.95.

    Attributes:
        scores: [D] float64, best first.
        hits: [T, D] bool: found a true instance that counts.
        judged: [T, D] bool: hit or false alarm; not so where the found instance is ignored.
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
    """Gives detections to true instances as COCO does: surest first, each takes the best instance that is left.

    Args:
        pictures: Pictures with their true instances.
        detections: At most one entry a picture; entries of other pictures are left out, a picture without one has
            no detection.
        ignored: For the id of a picture, [N] bool flags of its instances: flagged ones need not be found, and finding
            them is no false alarm. Pictures that are not named have none.
        max_detections: So many detections of a picture count, those of highest score.

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
    """COCO's AP of matched pictures, in which a picture may occur more than once.

    Args:
        matches: Of `match_pictures`. Equal scores rank in this order, as in pycocotools.

    Returns:
        `ap` (mean over IoU 0.50, 0.55 .. 0.95), `ap50`, `ap70`, `ap75` as fractions; nan when no instance counts.
    """
    n_truths = sum(picture.n_truths for picture in matches)
    if n_truths == 0:
        return dict.fromkeys(("ap", *_NAMED), float("nan"))
    order = np.argsort(-np.concatenate([picture.scores for picture in matches]), kind="stable")
    hits = np.concatenate([picture.hits for picture in matches], axis=1)[:, order]
    judged = np.concatenate([picture.judged for picture in matches], axis=1)[:, order]
    # Hits needed for each recall step; recall 0 has the precision of the first hit, the envelope's highest.
    needed = np.maximum(np.searchsorted(np.arange(n_truths + 1) / n_truths, _RECALLS), 1)
    by_threshold = [_mean_precision(*rows, needed) for rows in zip(hits, judged, strict=True)]
    return {"ap": float(np.mean(by_threshold)), **{name: by_threshold[place] for name, place in _NAMED.items()}}


def coco_ap(
    pictures: Sequence[CocoPicture], detections: Sequence[PictureDetections], max_detections: int = MAX_DETECTIONS
) -> dict[str, float]:
    """COCO's mask AP, pooled over the pictures, one class, objects of every size.

    Args:
        pictures: Pictures with their true instances.
        detections: As in `match_pictures`.
        max_detections: So many detections of a picture count, those of highest score.

    Returns:
        `ap`, `ap50`, `ap70`, `ap75` as in `accumulate`.
    """
    return accumulate(match_pictures(pictures, detections, max_detections=max_detections))


def release_map(
    pictures: Sequence[CocoPicture],
    detections: Sequence[PictureDetections],
    threshold: float,
    max_detections: int = MAX_DETECTIONS,
) -> float:
    """Mean AP as the evaluator released with S4Net computes it, to compare with the paper's tables.

    Args:
        pictures: Pictures with their true instances; those without one, which the released code cannot judge, are
            left out.
        detections: As in `match_pictures`.
        threshold: A detection matches above this mask IoU (strictly).
        max_detections: So many detections of a picture count, those of highest score.

    Returns:
        Plain mean of `release_aps`, a fraction 0..1; nan when no picture holds an instance.
    """
    return mean_of_known(release_aps(pictures, detections, threshold, max_detections))


def release_aps(
    pictures: Sequence[CocoPicture],
    detections: Sequence[PictureDetections],
    threshold: float,
    max_detections: int = MAX_DETECTIONS,
) -> NDArray[np.float64]:
    """The released evaluator's AP of each picture; arguments as in `release_map`.

    Returns:
        [P] fractions 0..1 in the order of the pictures; nan for a picture without a true instance.
    """
    by_id = _by_image_id(detections)
    values = np.full(len(pictures), np.nan)
    for place, picture in enumerate(pictures):
        if picture.rles:
            _, ious = _overlaps(picture, by_id.get(picture.image_id), max_detections)
            values[place] = release_ap(ious.T, threshold) if len(ious) else 0.0
    return values


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


def _overlaps(
    picture: CocoPicture, detected: PictureDetections | None, limit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores [D] of a picture's best detections, best first, and their mask IoU [D, G] with its true instances."""
    if detected is None or not detected.rles:
        return np.zeros(0), np.zeros((0, len(picture.rles)))
    scores = np.asarray(detected.scores, np.float64)
    order = np.argsort(-scores, kind="stable")[:limit]
    ranked = [detected.rles[index] for index in order]
    # pycocotools wants a crowd flag for each truth; with 0 it returns the plain IoU, for no truth an empty list.
    ious = rle_masks.iou(ranked, list(picture.rles), [0] * len(picture.rles))
    return scores[order], np.asarray(ious, np.float64).reshape(len(ranked), len(picture.rles))


def _match(scores: NDArray[np.float64], ious: NDArray[np.float64], ignored: NDArray[np.bool_]) -> PictureMatches:
    """Matches detections [D], best first, with true instances [G] by their IoU [D, G], at all thresholds at once."""
    hits = np.zeros((len(_THRESHOLDS), len(scores)), bool)
    judged = np.ones_like(hits)
    is_free = np.ones((len(_THRESHOLDS), len(ignored)), bool)
    detections, truths = np.nonzero(ious >= _THRESHOLDS[0])  # other pairs match at no threshold
    overlaps = ious[detections, truths]
    # COCO's preference: the surer detection; an instance that counts; the larger IoU; the later one in the file.
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
    """Mean precision at the recall steps, from ranked detections [D] and the hits that each step needs."""
    ranks = np.cumsum(judged)[hits]
    precision = np.arange(1, len(ranks) + 1) / ranks
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # precision falls between hits, so these hold its maxima
    reached = needed[needed <= len(ranks)]
    return float(envelope[reached - 1].sum() / len(needed))


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


def _by_image_id(detections: Sequence[PictureDetections]) -> Mapping[str, PictureDetections]:
    by_id = {entry.image_id: entry for entry in detections}
    if len(by_id) != len(detections):
        raise ValueError("a picture has more than one entry of detections")
    return by_id
