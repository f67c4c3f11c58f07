"""Colours in which classes are shown to people; files keep VOC's palette.

VOC's palette begins with dark red and dark green, which neither a dark picture nor a colour-blind eye tells apart.
The first seven colours are those of Okabe and Ito (2008). The next ones follow Tol's schemes, lightened where they were
too dark. Each has a contrast of at least 3 to black.
"""

import colorsys

import numpy as np
from numpy.typing import NDArray

_CHOSEN = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 100, 20), (30, 130, 210), (204, 121, 167), (240, 228, 66),
    (102, 204, 238), (238, 102, 119), (68, 187, 153), (170, 170, 0), (187, 120, 230), (153, 221, 255), (238, 136, 102),
    (187, 204, 51), (255, 170, 187), (119, 170, 221), (221, 204, 119), (90, 200, 70), (220, 60, 150),
)  # fmt: skip
_TURN = 0.618034  # of the colour circle, from one further class to the next: neighbours are far apart


def class_colours(count: int) -> NDArray[np.uint8]:
    """Return [count, 3] RGB colours of the classes 1, 2, ... of a class list."""
    further = [colorsys.hsv_to_rgb(_TURN * n % 1, 0.45 + 0.15 * (n % 3), 1.0) for n in range(count - len(_CHOSEN))]
    rows = [*_CHOSEN[:count], *(tuple(round(255 * part) for part in colour) for colour in further)]
    return np.array(rows, np.uint8).reshape(count, 3)


def css_colour(colour: NDArray[np.uint8]) -> str:
    """Return a colour [3] as CSS writes it: `#e69f00`."""
    return "#" + "".join(f"{int(part):02x}" for part in colour)
