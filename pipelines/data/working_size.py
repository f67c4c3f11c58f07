"""How large pictures are worked on: reduced by whole factors, with results that come back at the picture's size.

A picture of 50 megapixels takes 150 megabytes as RGB, and everything that is computed for each of its pixels takes many
times that. No network looks that closely: S4Net sees some 300 pixels a side, DeepLab some 500. So a picture of more
than `WORKING_PIXELS`, or with a side of more than `LONGEST_SIDE`, is reduced when it is read. Its label map and masks
are enlarged when they are written: a pixel of the working size becomes a block of the picture. Other pictures are
worked on as they are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.rle import Rle, decode_masks, encode_masks

WORKING_PIXELS = 2**21
"""Most pixels of a picture that is worked on as it is: a little more than 1920 x 1080."""
LONGEST_SIDE = 2**14
"""Longest side of a picture that is worked on as it is. Resizing takes memory for each pixel of a side."""

_Value = TypeVar("_Value", bound=np.generic)
_THIN = 64  # pixels; a side that would become shorter is reduced less than the other


@dataclass(frozen=True)
class WorkingSize:
    """The size at which a picture is worked on.

    Attributes:
        shown: (H, W) of the picture.
        factors: By how much its height and its width are divided, 1 or more; a remainder counts as a whole pixel.
    """

    shown: tuple[int, int]
    factors: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, shown: tuple[int, int], most: int = WORKING_PIXELS, longest_side: int = LONGEST_SIDE) -> "WorkingSize":
        """Return the working size of a picture of height and width `shown`.

        Args:
            shown: (H, W).
            most: Number of pixels that it may have; not below 2 * 64 * 64.
            longest_side: Pixels that its longer side may have; not below 2 * 64.
        """
        factor, found = 1, cls(shown)
        while found.pixels > most or max(found.size) > longest_side:
            factor += 1
            found = cls(shown, (_factor(shown[0], factor), _factor(shown[1], factor)))
        return found

    @property
    def size(self) -> tuple[int, int]:
        """The (h, w) of the working picture."""
        return -(-self.shown[0] // self.factors[0]), -(-self.shown[1] // self.factors[1])

    @property
    def pixels(self) -> int:
        """Number of pixels of the working picture."""
        return self.size[0] * self.size[1]

    @property
    def is_reduced(self) -> bool:
        """Whether the picture is reduced at all."""
        return self.factors != (1, 1)

    def reduce(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture [H, W, 3] at the working size [h, w, 3]; each pixel is the mean of its block."""
        return self.reduce_parts(lambda rows, columns: picture[rows, columns]) if self.is_reduced else picture

    def reduce_parts(self, read: Callable[[slice, slice], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return a picture as `reduce` does, of which only a part is in memory at a time.

        Args:
            read: Returns rows and columns of the picture [., ., 3]; slices may end behind its last pixel.
        """
        reduced = np.empty((*self.size, 3), np.uint8)
        for rows, columns in tiles(self.size, WORKING_PIXELS // (self.factors[0] * self.factors[1])):
            block = read(_times(rows, self.factors[0]), _times(columns, self.factors[1]))
            reduced[rows, columns] = np.asarray(Image.fromarray(np.ascontiguousarray(block)).reduce(self.factors[::-1]))
        return reduced

    def sample(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a label map [H, W] at the working size [h, w]: of each block the pixel in the middle."""
        if not self.is_reduced:
            return values
        rows, columns = (
            np.minimum(factor * np.arange(cells) + factor // 2, side - 1)
            for factor, cells, side in zip(self.factors, self.size, self.shown, strict=True)
        )
        return np.ascontiguousarray(values[rows[:, None], columns[None]])

    def reduce_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask [H, W] at the working size [h, w]; a block is in the mask if more than half of it is."""
        if not self.is_reduced:
            return mask
        reduced = np.empty(self.size, bool)
        for rows, columns in tiles(self.size, WORKING_PIXELS // (self.factors[0] * self.factors[1])):
            block = mask[_times(rows, self.factors[0]), _times(columns, self.factors[1])].astype(np.uint8) * 200
            reduced[rows, columns] = np.asarray(Image.fromarray(block).reduce(self.factors[::-1])) > 100
        return reduced

    def enlarge(self, values: NDArray[_Value]) -> NDArray[_Value]:
        """Return a map or mask [h, w] of the working size at the size of the picture [H, W]."""
        if not self.is_reduced:
            return values
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                values = np.repeat(values, factor, axis=axis)
        return np.ascontiguousarray(values[: self.shown[0], : self.shown[1]])

    def enlarge_box(self, box: Sequence[float]) -> list[float]:
        """Return a half-open box x0, y0, x1, y1 of the working size in pixels of the picture."""
        return [min(side * self.factors[1 - i % 2], self.shown[1 - i % 2]) for i, side in enumerate(box)]

    def encode(self, masks: Iterable[NDArray[np.bool_]]) -> list[Rle]:
        """Return masks [h, w] of the working size as run lengths of the picture's size; one at a time is enlarged."""
        return [encode_masks(np.asarray(self.enlarge(mask))[None])[0] for mask in masks]

    def area(self, mask: NDArray[np.bool_]) -> int:
        """Return how many pixels of the picture a mask [h, w] of the working size covers."""
        if not self.is_reduced:
            return int(mask.sum())
        heights, widths = (
            np.minimum(factor, side - factor * np.arange(cells))
            for factor, side, cells in zip(self.factors, self.shown, self.size, strict=True)
        )
        return int(heights @ mask.astype(np.int64) @ widths)


def working_masks(rles: Sequence[Rle], size: WorkingSize) -> NDArray[np.bool_]:
    """Decode masks of the picture's size to [N, h, w] bool of its working size; one at a time is as large as it."""
    masks = np.empty((len(rles), *size.size), bool)
    for mask, rle in zip(masks, rles, strict=True):
        mask[:] = size.reduce_mask(decode_masks([rle], *size.shown)[0].astype(bool))
    return masks


def tiles(size: tuple[int, int], most: int) -> Iterable[tuple[slice, slice]]:
    """Divide an area of height and width `size` into tiles of at most `most` pixels, row by row."""
    height, width = size
    columns = max(1, min(width, most))
    rows = max(1, most // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, min(height, top + rows)), slice(left, min(width, left + columns))


def _factor(side: int, factor: int) -> int:
    return max(1, min(factor, side // _THIN))


def _times(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)
