"""Class probabilities of a picture, refined by a dense CRF over the classes that may be in it."""

import numpy as np
import torch
from numpy.typing import NDArray

from deeplab.crf import CRF_PRESETS, dense_crf

# Largest probability below which a class takes no part: it could not win, and would cost as much time as the others.
_LEAST_SEEN = 0.05


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
    pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).to(device)
    refined = dense_crf(torch.from_numpy(probabilities[seen]).to(device), pixels, CRF_PRESETS[preset])
    result[seen] = refined.cpu().numpy()
    return result
