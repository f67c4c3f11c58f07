"""Keywords that no instance got, filled in from the attention maps: `--fill`."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import Assignment
from pipelines.labels.coarse_maps import enlarge

FILLED_CONFIDENCE = 128
"""Confidence of a pixel that attention maps filled in: at the border of the area, it is as likely wrong as right."""

_SHOWN = 0.5  # in attention maps, where about 1 is strong; best of 0.3, 0.5, 0.7 and 1 on pictures of six classes


def fill_keywords(
    maps: NDArray[np.float32],
    keywords: Keywords,
    assignment: Assignment,
    label_map: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
) -> list[str]:
    """Label, in place, the pixels where attention maps show a keyword that no instance got.

    Returns:
        Names of the keywords that got pixels.
    """
    filled = []
    for number, (name, position) in enumerate(zip(keywords.names, keywords.positions, strict=True)):
        if position not in assignment.keyword:
            shown = shown_pixels(maps, number, label_map.shape)
            label_map[shown], confidence[shown] = position, FILLED_CONFIDENCE
            if shown.any():
                filled.append(name)
    return filled


def shown_pixels(maps: NDArray[np.float32], number: int, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels [H, W] where the map of a keyword is strong, and stronger than all other maps.

    Args:
        maps: [K, h, w], see `AttentionMaps`.
        number: Index of the keyword's map.
        size: (H, W) of the picture.
    """
    scaled = enlarge(maps, size)
    shown: NDArray[np.bool_] = (scaled.argmax(axis=0) == number) & (scaled[number] > _SHOWN)
    return shown
