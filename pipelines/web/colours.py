"""Colours of the classes on the page: bright and far apart, on dark pictures and light ones."""

import colorsys
from functools import cache

_GOLDEN = 0.61803398875  # steps of the golden section never come back close to an earlier hue
_FIRST = 0.58  # a blue
Colour = tuple[int, int, int]


@cache
def class_colour(position: int) -> Colour:
    """Return the colour of a class, 0..255 for red, green and blue.

    Args:
        position: Position in the class list, from 1.
    """
    hue = (_FIRST + (position - 1) * _GOLDEN) % 1
    lightness = (0.62, 0.72, 0.66)[(position - 1) % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def css(colour: Colour) -> str:
    """Return a colour as a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
