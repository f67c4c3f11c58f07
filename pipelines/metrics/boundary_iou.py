"""Boundary IoU: how well outlines fit, for objects of every size (Cheng et al., CVPR 2021); needs numpy alone."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE
from pipelines.data.working_size import tiles
from pipelines.metrics.confusion import quotients

WIDTH = 0.02
"""Width of the strip that counts, as a share of the picture's diagonal, as in the paper."""
_AT_ONCE = 2**22  # pixels whose sums are made at a time


def inner_boundary(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask [H, W] whose outside is at most `distance` pixels away, diagonals included.

    All that is beyond the picture is outside, as in the authors' code.
    """
    boundary = np.empty_like(mask)
    for rows, columns in tiles((mask.shape[0], mask.shape[1]), _AT_ONCE):
        # A tile with all that is near enough to matter; beyond the picture, the padding below is outside.
        top, left = max(0, rows.start - distance), max(0, columns.start - distance)
        around = _inner_boundary(mask[top : rows.stop + distance, left : columns.stop + distance], distance)
        boundary[rows, columns] = around[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return boundary


def _inner_boundary(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    # A square of more than the mask in one direction sees no more of it there.
    tall, wide = (min(distance, side) for side in mask.shape)
    height, width = 2 * tall + 1, 2 * wide + 1
    padded = np.pad(mask.astype(np.int32), ((tall + 1, tall), (wide + 1, wide)))
    total = padded.cumsum(axis=0).cumsum(axis=1)
    around = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    boundary: NDArray[np.bool_] = mask & (around < height * width)
    return boundary


def boundary_counts(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """Count for each class of one picture the pixels on both boundaries and on either.

    Args:
        truth: [H, W] class indices 0..n-1; 255 is not judged.
        prediction: [H, W] class indices; other values belong to no class.
        n: Number of classes with the background.

    Returns:
        [n, 2] intersection and union.
    """
    distance = max(1, round(WIDTH * float(np.hypot(*truth.shape))))
    judged = truth != IGNORE
    counts = np.zeros((n, 2), np.int64)
    for number in range(n):
        own, found = truth == number, prediction == number
        if own.any() or found.any():
            first, second = inner_boundary(own, distance) & judged, inner_boundary(found, distance) & judged
            counts[number] = (first & second).sum(), (first | second).sum()
    return counts


def boundary_iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the IoU [n] of counts [n, 2] summed over pictures; nan for a class without boundary."""
    return quotients(counts[:, 0], counts[:, 1])
