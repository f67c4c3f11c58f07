"""Masks in picture files, whatever the mode: black and white, grey values, palette indices, colours, 16 bit, JPEG.

Programs for salient objects write grey values, and their masks are cut at half of the range. JPEG changes the values of
pixels, so a mask in JPEG is cut in the same way. Its colours are lost, and a coloured mask in JPEG is refused.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.colour_tables import colour_table_of
from pipelines.data.counting import value_counts
from pipelines.data.images import open_picture
from pipelines.data.palette import indices_of_colours
from pipelines.errors import InputError

_LOSSY = ("JPEG", "WEBP", "AVIF", "HEIF")
_GAPS = 4  # numbers that may lie between two instances of a picture, as after deleting some
_COLOUR_NOISE = 24  # spread of the channels in a grey picture that JPEG has changed


@dataclass(frozen=True, eq=False)
class MaskPicture:
    """The pixels of a file that holds one mask, or one map of instance numbers.

    Attributes:
        values: [H, W] grey values or palette indices.
        top: The value of white, 255 or 65535.
        kind: `indices` if the values are numbers by nature, `grey` if they may be, `lossy` if they cannot be.
    """

    values: NDArray[np.uint16]
    top: int
    kind: Literal["grey", "indices", "lossy"]

    @cached_property
    def levels(self) -> list[int]:
        """The different values in the file, ascending."""
        return [int(value) for value in np.flatnonzero(value_counts(self.values, 1))]

    @property
    def half(self) -> int:
        """The least value of the upper half of the range."""
        return (self.top + 1) // 2

    @property
    def is_soft(self) -> bool:
        """Whether the file holds more than two grey values, so that a mask has to be cut out of them."""
        return self.kind == "lossy" or (self.kind == "grey" and len(self.levels) > 2)

    def mask(self) -> NDArray[np.bool_]:
        """Return the one mask [H, W] of the file.

        Of two values, the one that is not black is the mask. Of more values, the upper half of the range is the mask.
        """
        any_but_black = self.kind == "indices" or (self.levels[0] == 0 and not self.is_soft)
        return np.asarray(self.values > 0) if any_but_black else self.cut()

    def cut(self) -> NDArray[np.bool_]:
        """Return the pixels [H, W] in the upper half of the range."""
        return np.asarray(self.values >= self.half)

    def numbers(self) -> list[int]:
        """Return the numbers of the instances in the file, without background and unknown pixels."""
        return [value for value in self.levels if value not in (0, self.top)]

    @property
    def tells_numbers(self) -> bool:
        """Whether grey values look like numbers of instances.

        They are in the lower half of the range. In 8 bits they are counted from 1, with few gaps.
        """
        found = self.numbers()
        highest = self.half - 1 if self.top > 255 else min(self.half - 1, _GAPS * (len(found) + 2))
        return self.kind == "grey" and bool(found) and found[-1] <= highest

    @property
    def tells_grey(self) -> bool:
        """Whether the values cannot be numbers of instances: some are in the upper half and not white."""
        found = self.numbers()
        return self.kind == "grey" and bool(found) and found[-1] >= self.half


def open_mask(path: Path) -> MaskPicture:
    """Read a file that holds a mask or a map of instance numbers.

    Transparent pixels are background, if some pixels are transparent and others are not: then the picture is a cut-out.

    Raises:
        InputError: The file cannot be read (rules of `open_image`), or its pixels are no mask [mask-mode].
    """
    with open_picture(path) as image:
        lossy = image.format in _LOSSY
        if image.mode in ("LA", "PA", "RGBA"):
            alpha = np.asarray(image.getchannel("A"), np.uint16)
            if alpha.min() != alpha.max():
                return MaskPicture(alpha, 255, "grey")
            image = image.convert("L" if image.mode == "LA" else "RGB")
        if image.mode == "1":
            return MaskPicture(np.asarray(image, np.uint16) * 255, 255, "grey")
        if image.mode == "P":
            return _of_palette(image)
        if image.mode == "L":
            return MaskPicture(np.asarray(image, np.uint16), 255, "lossy" if lossy else "grey")
        if image.mode == "RGB":
            return _of_colours(path, np.asarray(image), lossy)
        if image.mode.startswith("I"):
            values = np.asarray(image).astype(np.int64)
            if values.min() >= 0 and values.max() <= 65535:
                top = 255 if values.max() <= 255 else 65535
                return MaskPicture(values.astype(np.uint16), top, "grey")
        raise _no_mask(path, f"pixels are of mode {image.mode}")


def _of_palette(image: Image.Image) -> MaskPicture:
    indices = np.asarray(image, np.uint16)
    palette = np.reshape(image.getpalette("RGB") or [], (-1, 3))
    used = np.unique(indices)
    grey = used.max() < len(palette) and (palette[used] == used[:, None]).all()  # a grey picture saved with a palette
    return MaskPicture(indices, 255, "grey" if grey else "indices")


def _of_colours(path: Path, rgb: NDArray[np.uint8], lossy: bool) -> MaskPicture:
    spread = (rgb.max(axis=2) - rgb.min(axis=2)).max()
    if spread == 0 or (lossy and spread <= _COLOUR_NOISE):
        return MaskPicture(rgb[:, :, 1].astype(np.uint16), 255, "lossy" if lossy else "grey")
    if lossy:
        raise _no_mask(path, "has colours in a format that changes them")
    black = (rgb == 0).all(axis=2)
    if not black.all() and (rgb[~black] == rgb[~black][0]).all():  # one colour on black
        return MaskPicture((~black).astype(np.uint16), 255, "indices")
    table = colour_table_of(path)
    places = (0, 0) if table is None else indices_of_colours(rgb, table.colours)
    if table is not None and not isinstance(places, tuple):
        return MaskPicture(table.indices(None)[places].astype(np.uint16), 255, "indices")
    indices = indices_of_colours(rgb)
    if isinstance(indices, tuple):
        row, column = indices
        raise _no_mask(path, f"pixel ({column}, {row}) has colour {tuple(rgb[row, column].tolist())}")
    return MaskPicture(indices.astype(np.uint16), 255, "indices")


def _no_mask(path: Path, found: str) -> InputError:
    expected = "black and white, grey values, numbers of instances, or colours of the VOC palette or a labelmap.txt"
    return InputError(f"{path}: {found}, expected a mask: {expected}; save it as such a PNG", "mask-mode")
