"""The outlines of the demo's shapes, and their drawing with soft edges."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_OVERSAMPLING = 4

Points = NDArray[np.float64]  # [P, 2] x, y


def _arc(radius: float, start: float, stop: float, centre: float = 0.0) -> Points:
    angles = np.linspace(start, stop, 60)
    return np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def regular_polygon(corners: int, radii: tuple[float, ...] = (1.0,)) -> Points:
    """Return corners at equal angles round the origin, the first at the top; the radii take turns."""
    angles = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
    polygon: Points = np.resize(radii, corners)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return polygon


def _cross() -> Points:
    arm, reach = 0.3, 0.95
    quarter = np.array([(arm, -reach), (arm, -arm), (reach, -arm)])
    turn = np.array([(0.0, 1.0), (-1.0, 0.0)])  # a quarter turn, for row vectors
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, turns) for turns in range(4)])


def _heart() -> Points:
    angle = np.linspace(0, 2 * np.pi, 80)
    x = 16 * np.sin(angle) ** 3
    y = -(13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle))
    return np.stack([x, y - 2], axis=1) / 16


def _crescent() -> Points:
    # The inner arc ends where the outer one does, at the two horns.
    horn = 0.95
    outer = _arc(1, horn, 2 * np.pi - horn)
    shift = 0.55
    inner_horn = np.arctan2(np.sin(horn), np.cos(horn) - shift)
    inner = _arc(float(np.hypot(np.cos(horn) - shift, np.sin(horn))), 2 * np.pi - inner_horn, inner_horn, shift)
    moved: Points = np.concatenate([outer, inner]) + np.array([0.2, 0])
    return moved


# Closed outlines within about 1 of the origin; a second one is a hole.
_OUTLINES: dict[str, Callable[[], tuple[Points, ...]]] = {
    "disc": lambda: (_arc(1, 0, 2 * np.pi),),
    "ring": lambda: (_arc(1, 0, 2 * np.pi), _arc(0.55, 0, 2 * np.pi)),
    "square": lambda: (regular_polygon(4) * 1.15,),
    "triangle": lambda: (regular_polygon(3) * 1.15 + (0, 0.15),),
    "star": lambda: (regular_polygon(10, (1.1, 0.48)),),
    "cross": lambda: (_cross(),),
    "crescent": lambda: (_crescent(),),
    "heart": lambda: (_heart(),),
}

SHAPES = tuple(_OUTLINES)
"""Names of the shapes, in the order of their label indices 1..8."""


def random_outline(shape: str, diameter: float, generator: np.random.Generator) -> tuple[Points, ...]:
    """Return the outlines of a shape in pixels round the origin, turned and squeezed a little."""
    angle = generator.uniform(-np.pi, np.pi)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    aspect = generator.uniform(0.85, 1.18)
    return tuple(points * (aspect**0.5, aspect**-0.5) @ turn * diameter / 2 for points in _OUTLINES[shape]())


def rasterise(outlines: tuple[Points, ...], centre: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Return the share [side, side] of each pixel that lies inside; the second outline is a hole."""
    canvas = Image.new("L", (side * _OVERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    for points, fill in zip(outlines, (255, 0), strict=False):
        draw.polygon([tuple(point) for point in (points + centre) * _OVERSAMPLING], fill=fill)
    return np.asarray(canvas.reduce(_OVERSAMPLING), np.float32) / np.float32(255)
