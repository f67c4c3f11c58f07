"""The mask of the background, as programs that segment everything give it beside the masks of the objects."""

import numpy as np
from numpy.typing import NDArray

_OF_BORDER = 0.75  # least share of the picture's outermost pixels
_OF_PICTURE = 0.5  # least share of the picture
_OF_REST = 0.8  # least share of the rest that other masks cover


def background_masks(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the masks that show what lies behind the objects.

    Such a mask covers most of the border and most of the picture. Other masks cover what it leaves.

    Args:
        masks: [N, H, W], N may be 0.

    Returns:
        [N] bool; all false for a single mask.
    """
    n = len(masks)
    if n < 2:
        return np.zeros(n, bool)
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, 1:-1, 0], masks[:, 1:-1, -1]], axis=1)
    behind = (border.mean(axis=1) >= _OF_BORDER) & (masks.mean(axis=(1, 2)) > _OF_PICTURE)
    for number in np.flatnonzero(behind):
        rest = ~masks[number]
        others = masks[~behind].any(axis=0)
        behind[number] = rest.any() and (others & rest).sum() >= _OF_REST * rest.sum()
    return np.asarray(behind)
