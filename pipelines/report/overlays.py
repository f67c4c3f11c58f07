"""Results drawn on pictures: instances, label maps, and rows of pictures to compare."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.data.classes import IGNORE, ClassList
from pipelines.errors import printable
from pipelines.report.display_colours import class_colours

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

FAINT = 0.3
"""Instances scored below are not drawn, neither on pages nor by `s4 predict --what overlay`."""

# Hues far apart, and none near skin, grass or sky; neighbours in the list differ most.
_INSTANCE_COLORS: tuple[Color, ...] = (
    (230, 57, 70),
    (29, 131, 237),
    (255, 183, 3),
    (131, 56, 236),
    (6, 190, 150),
    (255, 95, 200),
    (251, 112, 20),
    (90, 220, 245),
    (160, 205, 40),
    (120, 85, 60),
)
_INK: Color = (33, 37, 41)
_PAPER: Color = (255, 255, 255)
_STRIPES: tuple[Color, Color] = ((245, 245, 245), (150, 150, 150))
_SWATCH = (12, 18)  # height and width of a colour in the legend
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue (Rec. 601)
_GAP = 8
_LINE = 18


def draw_instances(
    picture: Picture,
    boxes: NDArray[np.floating[Any]],
    masks: NDArray[Any],
    scores: NDArray[np.floating[Any]] | None = None,
    opacity: float = 0.5,
) -> Picture:
    """Draw every instance on a picture, tinted and outlined in its own colour, with its box and score.

    Args:
        picture: [H, W, 3] uint8 RGB.
        boxes: [N, 4] xyxy in pixels, half-open.
        masks: [N, H, W] bool, or 0 and 1.
        scores: [N]; an instance with a higher score is drawn on top. None: no scores are written.
        opacity: Weight of the tint, 0..1.

    Returns:
        [H, W, 3] uint8, a copy; unchanged for N = 0.
    """
    canvas = picture.copy()
    order = range(len(masks)) if scores is None else np.argsort(scores, kind="stable")
    for index in order:
        color = _INSTANCE_COLORS[index % len(_INSTANCE_COLORS)]
        inside = np.asarray(masks[index], dtype=bool)
        canvas[inside] = _mixed(canvas[inside], color, opacity)
        canvas[_outline(inside)] = color
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    for index in order:
        color = _INSTANCE_COLORS[index % len(_INSTANCE_COLORS)]
        x0, y0, x1, y1 = (round(float(side)) for side in boxes[index])
        if x1 <= x0 or y1 <= y0:
            continue
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=color)
        if scores is not None:
            _tag(pen, (x0, y0), f"{float(scores[index]):.2f}", color)
    return np.asarray(image)


def draw_label_map(
    picture: Picture, label_map: NDArray[np.uint8], classes: ClassList, opacity: float = 0.65
) -> Picture:
    """Draw a label map over a picture, and a legend of the classes that occur below it.

    Args:
        picture: [H, W, 3] uint8 RGB.
        label_map: [H, W] uint8 positions in the class list; 0 is background, left as it is; 255 is ignore, striped.
        classes: The class list.
        opacity: Weight of the class colours, 0..1.

    Returns:
        [H + legend, W, 3] uint8; the legend is as high as it needs to be, 0 when only background occurs.
    """
    colours = np.concatenate([np.zeros((1, 3), np.uint8), class_colours(255)])  # [256, 3] by position
    canvas = picture.copy()
    labelled = (label_map != 0) & (label_map != IGNORE)
    canvas[labelled] = _mixed(canvas[labelled], colours[label_map[labelled]], opacity)
    ignored = label_map == IGNORE
    canvas[ignored] = _stripes(label_map.shape)[ignored]
    entries = []
    for position in np.unique(label_map[label_map != 0]).tolist():
        if position == IGNORE:
            entries.append(("ignore", _stripes(_SWATCH)))
        else:
            canvas[_outline(label_map == position)] = _PAPER
            entries.append((classes.name_of(position), np.broadcast_to(colours[position], (*_SWATCH, 3)).copy()))
    return np.concatenate([canvas, _legend(entries, picture.shape[1])])


def silhouettes(masks: NDArray[Any]) -> Picture:
    """Draw what stands for a picture that must not be shown: its instances in dark grey, outlined in white.

    Args:
        masks: [N, H, W] bool, or 0 and 1.

    Returns:
        [H, W, 3] uint8.
    """
    canvas = np.full((*masks.shape[1:], 3), 45, np.uint8)
    for mask in masks.astype(bool):
        canvas[mask] = 105
        canvas[_outline(mask)] = 235
    return canvas


def side_by_side(pictures: Sequence[Picture], captions: Sequence[str]) -> Picture:
    """Put pictures into one row on white, each under its caption; no picture is scaled.

    Args:
        pictures: One or more [H, W, 3] uint8; their sizes may differ.
        captions: As many texts; a text too long for its picture is cut.

    Returns:
        [caption + max H, sum of W and gaps, 3] uint8.
    """
    if len(pictures) != len(captions) or not pictures:
        raise ValueError(f"{len(pictures)} pictures with {len(captions)} captions")
    height = max(len(picture) for picture in pictures) + _LINE + 2
    width = sum(picture.shape[1] for picture in pictures) + _GAP * (len(pictures) - 1)
    row = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(row)
    left = 0
    for picture, caption in zip(pictures, captions, strict=True):
        # The text starts one pixel to the right, because letters may reach out of their box to the left.
        pen.text((left + 1, 1), _fitted(caption, picture.shape[1] - 1), fill=_INK, font=_font())
        row.paste(Image.fromarray(picture), (left, _LINE + 2))
        left += picture.shape[1] + _GAP
    return np.asarray(row)


def _mixed(pixels: NDArray[np.uint8], color: NDArray[np.uint8] | Color, opacity: float) -> NDArray[np.uint8]:
    """Mix the brightness of pixels [M, 3] with one colour, or with a colour for each pixel.

    Colours of the picture would change the hue, so that it could not be found in the legend any more.
    """
    brightness = pixels.astype(np.float32) @ _LUMA
    tinted = (1 - opacity) * brightness[:, None] + opacity * np.asarray(color, dtype=np.float32)
    return tinted.round().astype(np.uint8)


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask [H, W] with a 4-neighbour outside of it; beyond the picture nothing is outside."""
    padded = np.pad(inside, 1, mode="edge")
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core


def _stripes(shape: tuple[int, ...]) -> Picture:
    """Return diagonal stripes [H, W, 3], which cannot be mistaken for a class colour."""
    rows, columns = np.indices(shape)
    stripes: Picture = np.asarray(_STRIPES, dtype=np.uint8)[(rows + columns) // 4 % 2]
    return stripes


def _legend(entries: list[tuple[str, Picture]], width: int) -> Picture:
    """Draw swatches with names [rows * _LINE, W, 3], in as many rows as the width asks for."""
    entries = [(printable(name), swatch) for name, swatch in entries]
    places, left, row = [], 4, 0
    for name, swatch in entries:
        needed = swatch.shape[1] + 5 + int(_font().getlength(name))
        if left > 4 and left + needed > width:
            left, row = 4, row + 1
        places.append((left, row * _LINE))
        left += needed + 12
    strip = Image.new("RGB", (width, (row + 1) * _LINE if entries else 0), _PAPER)
    if entries:
        pen = ImageDraw.Draw(strip)
        for (name, swatch), (x, y) in zip(entries, places, strict=True):
            strip.paste(Image.fromarray(swatch), (x, y + 3))
            pen.text((x + swatch.shape[1] + 5, y + 1), name, fill=_INK, font=_font())
    return np.asarray(strip, dtype=np.uint8).reshape(strip.height, width, 3)


def _tag(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, color: Color) -> None:
    """Draw a short text on its colour, inside the picture at the top left corner of a box."""
    text, x, y = printable(text), max(corner[0], 0), max(corner[1], 0)
    right, bottom = pen.textbbox((x + 3, y + 2), text, font=_font())[2:]
    pen.rectangle((x, y, right + 3, bottom + 3), fill=color)
    is_light = float(np.asarray(color) @ _LUMA) > 150  # light colours carry dark text
    pen.text((x + 3, y + 2), text, fill=_INK if is_light else _PAPER, font=_font())


def _fitted(text: str, width: int) -> str:
    """Return the text, cut off with dots where it is wider than so many pixels."""
    text = printable(text)
    if _font().getlength(text) <= width:
        return text
    # To measure a text takes time in proportion to its letters, so each letter less would take too long.
    fitting = bisect_right(range(len(text)), width, key=lambda end: ceil(_font().getlength(text[:end] + "...")))
    return text[: max(fitting - 1, 0)] + "..."


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=13)
