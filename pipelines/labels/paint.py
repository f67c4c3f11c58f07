"""Paints the label map of a picture from its instances and their keywords."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE


def worst_first(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the order [N] in which to paint instances, so that the one with the highest score lies on top.

    Args:
        scores: [N]. Of equal scores, the earlier instance lies on top.
    """
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")[::-1]
    return order


def compose_label_map(
    masks: NDArray[np.bool_], scores: NDArray[np.float32], keyword: NDArray[np.int64], size: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint instances into one label map; where they overlap, the higher score wins.

    Args:
        masks: [N, H, W], N may be 0.
        scores: [N] in 0..1.
        keyword: [N] positions in the class list, 255 for an unassigned instance.
        size: (H, W) of the picture.

    Returns:
        label_map: [H, W] uint8 positions in the class list, 0 outside all instances, 255 in unassigned instances.
        confidence: [H, W] uint8, score of the instance times 255, rounded. It is 0 where the label is 255. It is 255 on
            the background, since nothing speaks against background there.
    """
    label_map = np.zeros(size, np.uint8)
    confidence = np.full(size, 255, np.uint8)
    for instance in worst_first(scores):
        label_map[masks[instance]] = keyword[instance]
        sure = keyword[instance] != IGNORE
        confidence[masks[instance]] = np.rint(255 * scores[instance]) if sure else 0
    return label_map, confidence
