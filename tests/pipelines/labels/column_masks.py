"""Masks for tests of labels."""

import numpy as np


def columns(*spans: tuple[int, int], width: int = 8, height: int = 2) -> np.ndarray:
    """Return masks, one for each span; a mask fills the columns start..stop - 1."""
    masks = np.zeros((len(spans), height, width), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[:, start:stop] = True
    return masks
