"""Strokes of the brush: points and a radius become a mask."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.data.rle import Rle, encode_masks

_MOST_POINTS = 10_000
_LARGEST = 0.5  # radius, in shares of the width


def stroke_mask(points: Any, radius: Any, height: int, width: int) -> Rle | None:
    """Return the pixels that a round brush covers on its way from point to point.

    Args:
        points: [[x, y], ...] in shares of the picture's width and height, as a page sent them.
        radius: In shares of the picture's width.
        height: Height of the picture in pixels.
        width: Width in pixels.

    Returns:
        Run lengths at the size of the picture; None if points or radius cannot be used, or no pixel is covered.
    """
    usable = isinstance(points, list) and 0 < len(points) <= _MOST_POINTS and all(map(_is_point, points))
    if not usable or not _is_number(radius) or not 0 < radius <= _LARGEST:
        return None
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    corners = [(x * width - 0.5, y * height - 0.5) for x, y in points]
    reach = max(0.5, radius * width)
    for x, y in corners:
        pen.point((math.floor(x + 0.5), math.floor(y + 0.5)), fill=1)  # the pixel below the smallest brush
        edge = reach - 0.5  # Pillow draws the pixels at both ends too
        pen.ellipse((x - edge, y - edge, x + edge, y + edge), fill=1)
    for (x0, y0), (x1, y1) in pairwise(corners):
        length = math.hypot(x1 - x0, y1 - y0)
        if length:
            across = ((y1 - y0) / length * reach, (x0 - x1) / length * reach)
            pen.polygon(
                [
                    (x0 + across[0], y0 + across[1]),
                    (x1 + across[0], y1 + across[1]),
                    (x1 - across[0], y1 - across[1]),
                    (x0 - across[0], y0 - across[1]),
                ],
                fill=1,
            )
    pixels = np.asarray(mask)
    return encode_masks(pixels[None])[0] if pixels.any() else None


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(_is_number(x) and -1 <= x <= 2 for x in point)


def _is_number(value: Any) -> bool:
    """Return whether a value can be compared; what is compared with NaN is false."""
    return isinstance(value, int | float) and not isinstance(value, bool)
