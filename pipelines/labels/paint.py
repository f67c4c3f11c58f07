"""The label map that follows from the instances of a picture and their keywords."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE


def worst_first(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the order [N] in which to paint instances, so that the best one lies on top.

    Args:
        scores: [N]; of equal ones the earlier instance wins.
    """
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")[::-1]
    return order


def compose_label_map(
    masks: NDArray[np.bool_], scores: NDArray[np.float32], keyword: NDArray[np.int64], size: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint one label map of overlapping instances; where they overlap, the higher score wins.

    Args:
        masks: [N, H, W], N may be 0.
        scores: [N] in 0..1.
        keyword: [N] positions in the class list, 255 for an unassigned instance: its pixels are unknown.
        size: (H, W).

    Returns:
        label_map: [H, W] positions in the class list, 0 outside all instances.
        confidence: [H, W] score of the instance times 255, rounded. It is 0 where the label is 255. It is 255 on the
            background, of which nothing is known to speak against it.
    """
    label_map = np.zeros(size, np.uint8)
    confidence = np.full(size, 255, np.uint8)
    for instance in worst_first(scores):
        label_map[masks[instance]] = keyword[instance]
        sure = keyword[instance] != IGNORE
        confidence[masks[instance]] = np.rint(255 * scores[instance]) if sure else 0
    return label_map, confidence
