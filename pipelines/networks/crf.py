"""Class probabilities of a picture, refined by a dense CRF over the classes that may be in it."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from deeplab.crf import CRF_PRESETS, dense_crf
from pipelines.data.working_size import WorkingSize

# Largest probability below which a class takes no part: it could not win, and would cost as much time as the others.
_LEAST_SEEN = 0.05
MOST_PIXELS = 2**19
"""Pixels of a picture that is refined as it is. A CRF takes two kilobytes and more for each pixel."""


def refine(
    probabilities: NDArray[np.float32], picture: NDArray[np.uint8], preset: str, device: torch.device
) -> NDArray[np.float32]:
    """Refine probabilities. A class that is improbable at every pixel gets 0 everywhere.

    Args:
        probabilities: [C, H, W], 0..1.
        picture: [H, W, 3] RGB of the same size.
        preset: A name of `deeplab.crf.CRF_PRESETS`.
        device: Device to compute on.

    Returns:
        [C, H, W] float32, summing to 1 over the classes.
    """
    result = np.zeros(probabilities.shape, np.float32)
    seen = np.flatnonzero(probabilities.max(axis=(1, 2)) >= _LEAST_SEEN)
    if len(seen) < 2:
        result[probabilities.max(axis=(1, 2)).argmax()] = 1
        return result
    size = WorkingSize.of((picture.shape[0], picture.shape[1]), MOST_PIXELS)
    pixels = torch.from_numpy(np.ascontiguousarray(size.reduce(picture).transpose(2, 0, 1))).to(device)
    coarse = torch.from_numpy(probabilities[seen]).to(device)
    if size.is_reduced:
        coarse = F.avg_pool2d(coarse, size.factors, ceil_mode=True, count_include_pad=False)
    refined = dense_crf(coarse, pixels, CRF_PRESETS[preset]).cpu().numpy()
    for number, of_class in zip(seen, refined, strict=True):
        result[number] = size.enlarge(of_class)
    return result
