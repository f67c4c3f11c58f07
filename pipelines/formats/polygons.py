"""Outlines of masks, with holes and parts.

An outline passes halfway between the pixels inside and the pixels outside, in coordinates where the centre of the first
pixel is (0.5, 0.5). So COCO's rasteriser, which asks for the centre of each pixel, gives back the very mask.

A list of polygons has no holes: every polygon of it is filled. An outline therefore enters a hole through a line of no
width, goes round it and comes back by the same line. In the same way one outline can have several parts.
"""

from itertools import pairwise
from typing import cast

import contourpy
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]  # [P, 2] x, y in pixels


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return a polygon for each part of a mask; holes are joined to the outline of their part.

    Args:
        mask: [H, W].
    """
    return [_joined(rings) for rings in _rings(mask)]


def outline(mask: NDArray[np.bool_]) -> Polygon:
    """Return one polygon for a whole mask that is not empty; its parts are joined."""
    return _joined(outlines(mask))


def shape_of(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the number of parts and of holes of a mask."""
    rings = _rings(mask)
    return len(rings), sum(len(part) - 1 for part in rings)


def _rings(mask: NDArray[np.bool_]) -> list[list[Polygon]]:
    """Return the closed lines of each part of a mask: the outline first, then its holes."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    around = np.pad(window.astype(np.float32), 1)
    generator = contourpy.contour_generator(z=around, fill_type=contourpy.FillType.OuterOffset)
    points, offsets = cast(tuple[list[Polygon], list[NDArray[np.uint32]]], generator.filled(0.5, 2.0))
    shift = (columns[0] - 0.5, rows[0] - 0.5)  # the frame takes one, and the centre of a pixel lies at a half
    return [
        [_corners(line[start : stop - 1]) + shift for start, stop in pairwise(ends)]
        for line, ends in zip(points, offsets, strict=True)
    ]


def _corners(ring: Polygon) -> Polygon:
    """Return a closed line without the points in the middle of its straight pieces."""
    before, behind = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.asarray(ring[before[:, 0] * behind[:, 1] != before[:, 1] * behind[:, 0]])


def _joined(rings: list[Polygon]) -> Polygon:
    """Join closed lines to one: each is entered and left between the same two points."""
    line = rings[0]
    for ring in rings[1:]:
        # Corner by corner, as all pairs at once may be too many.
        distances = [((line - corner) ** 2).sum(axis=1) for corner in ring]
        there = int(np.argmin([distance.min() for distance in distances]))
        here = int(distances[there].argmin())
        around = np.concatenate([ring[there:], ring[: there + 1]])
        line = np.concatenate([line[: here + 1], around, line[here:]])
    return line
