"""Masks for tests of labels."""

import numpy as np


def columns(*spans: tuple[int, int], width: int = 8, height: int = 2) -> np.ndarray:
    """Masks that each fill the columns start..stop."""
    masks = np.zeros((len(spans), height, width), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[:, start:stop] = True
    return masks
