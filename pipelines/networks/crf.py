"""Class probabilities of a picture, refined by a dense CRF over the classes that may be in it."""

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deeplab.crf import CRF_PRESETS, dense_crf
from pipelines.data.working_size import WorkingSize

if TYPE_CHECKING:
    from pipelines.networks.load import DeepLabPredictor

# Largest probability below which a class takes no part: it could not win, and would cost as much time as the others.
_LEAST_SEEN = 0.05
MOST_PIXELS = 2**19
"""Pixels of a picture that is refined as it is. A CRF takes two kilobytes and more for each pixel."""


def semantic_map(
    network: "DeepLabPredictor",
    picture: NDArray[np.uint8],
    scales: tuple[float, ...],
    flip: bool,
    preset: str | None,
) -> NDArray[np.uint8]:
    """Return the most probable class of each pixel, see `DeepLabPredictor.probabilities` and `refined_map`.

    Args:
        network: The network.
        picture: [H, W, 3] RGB.
        scales: Sizes relative to the picture.
        flip: Whether to read each scale mirrored too.
        preset: A name of `deeplab.crf.CRF_PRESETS`; None leaves the CRF out.

    Returns:
        [H, W] uint8, 0 for background.
    """
    if preset is None:
        return np.asarray(network.probabilities(picture, scales, flip).argmax(axis=0), np.uint8)
    # Without a name here, the probabilities can be freed before the CRF takes its memory.
    return refined_map(network.probabilities(picture, scales, flip), picture, preset, network.device)


def refined_map(
    probabilities: NDArray[np.float32], picture: NDArray[np.uint8], preset: str, device: torch.device
) -> NDArray[np.uint8]:
    """Return the most probable class of each pixel after a CRF. A class that is improbable everywhere is nowhere.

    Args:
        probabilities: [C, H, W], 0..1.
        picture: [H, W, 3] RGB of the same size.
        preset: A name of `deeplab.crf.CRF_PRESETS`.
        device: Device to compute on.

    Returns:
        [H, W] uint8, 0..C-1.
    """
    highest = probabilities.max(axis=(1, 2))
    seen = np.flatnonzero(highest >= _LEAST_SEEN).astype(np.uint8)
    size = WorkingSize.of((picture.shape[0], picture.shape[1]), MOST_PIXELS)
    if len(seen) < 2:
        return np.full(size.shown, highest.argmax(), np.uint8)
    pixels = torch.from_numpy(np.ascontiguousarray(size.reduce(picture).transpose(2, 0, 1))).to(device)
    # Class by class: a copy of all at full size would add to the peak of memory.
    coarse = torch.stack([_reduced(torch.from_numpy(probabilities[each]).to(device), size) for each in seen])
    del probabilities  # free from here on, if the caller does not keep them
    winner = dense_crf(coarse, pixels, CRF_PRESETS[preset]).argmax(dim=0).cpu().numpy()
    return size.enlarge(seen[winner])


def _reduced(plane: Tensor, size: WorkingSize) -> Tensor:
    """Return a plane [H, W] at the working size [h, w]: the mean of each block."""
    if not size.is_reduced:
        return plane
    return F.avg_pool2d(plane[None], size.factors, ceil_mode=True, count_include_pad=False)[0]
