"""Coarse maps at the size of their picture: scaled up, and averaged inside masks."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

_MOST_AT_ONCE = 2**26  # pixels of masks as float32: a quarter of a gigabyte


def enlarge(maps: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Scale maps bilinearly, from cell centres to pixel centres.

    Args:
        maps: [K, h, w] float32.
        size: (H, W).

    Returns:
        [K, H, W] float32.
    """
    scaled = F.interpolate(torch.from_numpy(maps)[None], size, mode="bilinear", align_corners=False)[0]
    return np.asarray(scaled.numpy(), np.float32)


def mean_inside(masks: NDArray[np.bool_], maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each map inside each mask, as if the maps were enlarged to the size of the masks.

    The enlarged maps are never made: hundreds of feature maps would fill the memory. Interpolation is linear, so its
    transpose, applied to the masks, gives the weight of every map cell in a mask.

    Args:
        masks: [N, H, W].
        maps: [K, h, w], of any size.

    Returns:
        [N, K] float32; 0 for an empty mask.
    """
    rows = torch.tensor(_interpolation(masks.shape[1], maps.shape[1]))
    columns = torch.tensor(_interpolation(masks.shape[2], maps.shape[2]))
    area = np.maximum(masks.sum(axis=(1, 2)), 1).astype(np.float32)
    # By torch, whose threads are set: the sums of NumPy's library depend on how many threads it takes.
    # [N, H, W] -> [N, H, w] -> [N, h, w]
    at_once = max(1, _MOST_AT_ONCE // (masks.shape[1] * masks.shape[2]))
    groups = (masks[first : first + at_once] for first in range(0, max(1, len(masks)), at_once))
    weights = torch.cat([rows.T @ (torch.tensor(group).float() @ columns) for group in groups])
    means: NDArray[np.float32] = np.einsum("nhw,khw->nk", weights.numpy(), maps) / area[:, None]
    return means


def _interpolation(size: int, cells: int) -> NDArray[np.float32]:
    """Return the weights [size, cells] with which `enlarge` scales a row of cells to `size` pixels."""
    position = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    distance = np.abs(position[:, None] - np.arange(cells)[None, :])
    weights: NDArray[np.float32] = np.maximum(1 - distance, 0).astype(np.float32)
    return weights
