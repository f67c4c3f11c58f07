"""Coarse maps at the size of their picture."""

import numpy as np
from numpy.typing import NDArray

from pipelines.labels.assign import interpolation


def enlarge(maps: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Scale maps [K, h, w] bilinearly to [K, H, W], from cell centres to pixel centres.

    Args:
        maps: [K, h, w] float32.
        size: (H, W).
    """
    rows, columns = interpolation(size[0], maps.shape[1]), interpolation(size[1], maps.shape[2])
    return (rows @ maps @ columns.T).astype(np.float32, copy=False)
