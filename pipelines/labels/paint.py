"""Paints the label map of a picture from its instances and their keywords."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from pipelines.data.classes import IGNORE


@dataclass(frozen=True, eq=False)
class Painted:
    """Instances of a picture with the keywords that they are painted with.

    Attributes:
        masks: [N, H, W] bool, N may be 0.
        scores: [N] float32 in 0..1.
        keyword: [N] int64, position of the keyword in the class list, or `UNASSIGNED`.
        of_kind: [N] float32 in 0..1, probability that an instance without keyword is of a kind with the keywords. NaN
            if it is not known of the instance, None if it is not known of any.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    keyword: NDArray[np.int64]
    of_kind: NDArray[np.float32] | None = None


def worst_first(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the order [N] in which to paint instances, so that the one with the highest score lies on top.

    Args:
        scores: [N]. Of equal scores, the earlier instance lies on top.
    """
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")[::-1]
    return order


class LabelMaps(NamedTuple):
    """What is drawn of a picture.

    Attributes:
        label_map: [H, W] uint8 positions in the class list, 0 background, 255 unknown.
        confidence: [H, W] uint8, 255 is certain.
    """

    label_map: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


def paint_label_map(painted: Painted, size: tuple[int, ...]) -> LabelMaps:
    """Paint instances into one label map; where they overlap, the higher score wins.

    The label is 0 outside all instances, and 255 in unassigned instances. The confidence is the score of the instance
    times 255, rounded. It is 0 where the label is 255. It is 255 on the background, where nothing speaks against it.

    Args:
        painted: The instances.
        size: (H, W) of the picture.
    """
    label_map = np.zeros(size, np.uint8)
    confidence = np.full(size, 255, np.uint8)
    for instance in worst_first(painted.scores):
        mask, keyword = painted.masks[instance], painted.keyword[instance]
        label_map[mask] = keyword
        confidence[mask] = 0 if keyword == IGNORE else np.rint(255 * painted.scores[instance])
    return LabelMaps(label_map, confidence)


def near_other_labels(label_map: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Mark the pixels [H, W] that are at most `width` pixels, also diagonally, from a pixel of another label."""
    side = 2 * width + 1
    near: NDArray[np.bool_] = maximum_filter(label_map, side) != minimum_filter(label_map, side)
    return near
