"""Small pictures with results drawn on them, for a sheet of many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.data.classes import IGNORE
from pipelines.errors import printable
from pipelines.report.display_colours import class_colours

LONGEST = 320
"""Longest side of a picture of a sheet in pixels."""
_OPACITY = 0.5
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue (Rec. 601)
_OPEN = (150, 235)  # brightness of the two stripes of unknown pixels
_LIGHT, _DARK = (255, 255, 255), (20, 24, 28)


@dataclass(frozen=True)
class Tag:
    """A short text on a picture.

    Attributes:
        text: The text, such as `dog 0.68`.
        corner: (x, y) of its top left corner in pixels of the small picture.
        position: Class 1..n that gives the colour; 0 for none.
    """

    text: str
    corner: tuple[float, float]
    position: int = 0


def shrunk(label_map: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a label map at another size (height, width), each pixel that of the nearest place."""
    rows = np.minimum((np.arange(shape[0]) + 0.5) * label_map.shape[0] / shape[0], label_map.shape[0] - 1)
    columns = np.minimum((np.arange(shape[1]) + 0.5) * label_map.shape[1] / shape[1], label_map.shape[1] - 1)
    small: NDArray[np.uint8] = label_map[rows.astype(int)[:, None], columns.astype(int)[None]]
    return small


def draw_regions(picture: NDArray[np.uint8], regions: NDArray[np.uint8], tags: Sequence[Tag] = ()) -> NDArray[np.uint8]:
    """Tint the classes of a small picture, outline them in white on dark, stripe unknown pixels, and write tags.

    Args:
        picture: [H, W, 3] uint8 RGB.
        regions: [H, W] uint8 positions 1..n; 0 is left as it is; 255 is unknown.
        tags: Texts to write, the most important ones first; one that would cover another is left out. The name of a
            class beside its colour tells the class also where colours cannot be told apart.

    Returns:
        [H, W, 3] uint8, a copy.
    """
    canvas = picture.copy()
    colours = np.concatenate([np.zeros((1, 3), np.uint8), class_colours(254)])
    inside, unknown = (regions > 0) & (regions != IGNORE), regions == IGNORE
    brightness = (canvas[inside].astype(np.float32) @ _LUMA)[:, None]
    canvas[inside] = ((1 - _OPACITY) * brightness + _OPACITY * colours[regions[inside]]).astype(np.uint8)
    rows, columns = np.indices(regions.shape, np.int32)
    stripe = np.asarray(_OPEN, np.float32)[(rows + columns) // 4 % 2][unknown]
    canvas[unknown] = (0.5 * canvas[unknown] + 0.5 * stripe[:, None]).astype(np.uint8)
    inner, outer = _edges(np.where(unknown, 0, regions))
    canvas[outer] = _DARK
    canvas[inner] = _LIGHT
    return _tagged(canvas, tags, colours)


def placed_tags(regions: NDArray[np.uint8], names: Sequence[str]) -> list[Tag]:
    """Return the name of each class that occurs, at the top left corner of its pixels.

    Args:
        regions: [H, W] positions 1..n, 0 and 255.
        names: Names of the n classes.
    """
    tags = []
    for position in np.unique(regions).tolist():
        if 0 < position <= len(names):
            rows, columns = np.nonzero(regions == position)
            tags.append(Tag(names[position - 1], (float(columns.min()), float(rows.min())), position))
    return tags


def tiled(pictures: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Put pictures [H, W, 3] of one size into rows on dark grey, with a line of 4 pixels between them."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    canvas = np.full((rows * (height + 4) - 4, columns * (width + 4) - 4, 3), 40, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + 4), number % columns * (width + 4)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def _edges(regions: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pixels of regions [H, W] that touch another region, and those of region 0 that touch a region."""
    padded = np.pad(regions, 1, mode="edge")
    around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    differs = np.logical_or.reduce([side != regions for side in around])
    return differs & (regions > 0), differs & (regions == 0)


def _tagged(canvas: NDArray[np.uint8], tags: Sequence[Tag], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if not tags:
        return canvas
    image = Image.fromarray(canvas)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    taken: list[tuple[int, int, int, int]] = []
    for tag in tags:
        text = printable(tag.text)[:40]
        width, height = int(pen.textlength(text, font=font)) + 6, 16
        x = int(min(max(0, tag.corner[0]), max(0, image.width - width)))
        y = int(min(max(0, tag.corner[1]), max(0, image.height - height)))
        if any(
            x < right and left < x + width and y < bottom and top < y + height for left, top, right, bottom in taken
        ):
            continue
        taken.append((x, y, x + width, y + height))
        pen.rectangle((x, y, x + width, y + height), fill=_DARK)
        colour = tuple(colours[tag.position].tolist()) if tag.position else _LIGHT
        pen.rectangle((x, y, x + 2, y + height), fill=colour)
        pen.text((x + 5, y + 1), text, fill=_LIGHT, font=font)
    return np.asarray(image)
