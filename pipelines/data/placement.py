"""How a mask that was drawn on another form of a picture comes onto the picture that `open_image` gives.

Pictures are resized after they were annotated, and tools differ in whether they turn a picture by its EXIF data. The
size for which a mask was drawn tells which form it was: the picture, the picture before EXIF turned it, or one of them
in another scale. A mask of any other size is refused, since nobody knows where it belongs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import Frame
from pipelines.data.notes import Notes
from pipelines.data.rle import MaskSizeError

Size = tuple[int, int]  # height, width
_LONGEST_SIDE = 2**31  # a larger number in a file is no size, and may have more digits than a float


@dataclass(frozen=True)
class Placement:
    """The way of a mask to its picture.

    Attributes:
        drawn: Size (height, width) that the mask was drawn for.
        upright: Size to scale the mask to.
        turn: How to turn the scaled mask; None to leave it.
    """

    drawn: Size
    upright: Size
    turn: Image.Transpose | None = None

    @property
    def scales(self) -> bool:
        """Whether the mask changes its size."""
        return self.drawn != self.upright


def placement(drawn: Size, frame: Frame, before_exif: bool = False) -> Placement:
    """Find the way of a mask to its picture.

    Args:
        drawn: Size (height, width) that the mask was drawn for.
        frame: The picture.
        before_exif: Whether a mask that fits the picture before and after EXIF turned it was drawn before.

    Raises:
        MaskSizeError: The size is neither that of the picture, nor of the same shape.
    """
    if frame.turn is not None and _same_shape(drawn, frame.stored):
        if before_exif or not _same_shape(drawn, frame.shown):
            return Placement(drawn, frame.stored, frame.turn)
    if _same_shape(drawn, frame.shown):
        return Placement(drawn, frame.shown)
    found, expected = (f"{width}x{height}" for height, width in (drawn, frame.shown))
    raise MaskSizeError(f"mask of {found}, {expected} as the picture expected")


def drawn_before_exif(drawn: Size, frame: Frame) -> bool:
    """Return whether the size proves that a mask was drawn on the picture before EXIF turned it."""
    return frame.turn is not None and _same_shape(drawn, frame.stored) and not _same_shape(drawn, frame.shown)


def is_doubtful(drawn: Size, frame: Frame) -> bool:
    """Return whether EXIF turns a picture, and the size does not tell on which form a mask was drawn."""
    return frame.turn is not None and _same_shape(drawn, frame.stored) and _same_shape(drawn, frame.shown)


def tell_placement(file: Path, name: str, way: Placement, frame: Frame, notes: Notes) -> None:
    """Tell if the masks of a picture were scaled or turned, or if it is not known whether they should be turned."""
    if way.scales:
        notes.decided(f"{file}: pictures whose masks were scaled to the picture's size", name)
    if way.turn is not None:
        notes.decided(f"{file}: pictures whose masks were turned as EXIF turns the picture", name)
    elif is_doubtful(way.drawn, frame):
        notes.decided(f"{file}: pictures that EXIF turns, with masks taken as drawn on the turned picture", name)


def place_mask(mask: NDArray[np.bool_], way: Placement) -> NDArray[np.bool_]:
    """Bring a mask [h, w] of the size `way.drawn` onto its picture; scaling takes the nearest pixel."""
    if not way.scales and way.turn is None:
        return mask
    image = Image.fromarray(mask.astype(np.uint8))
    if way.scales:
        image = image.resize((way.upright[1], way.upright[0]), Image.Resampling.NEAREST)
    if way.turn is not None:
        image = image.transpose(way.turn)
    return np.asarray(image).astype(bool)


def _same_shape(first: Size, second: Size) -> bool:
    """Return whether one size is the other in another scale, with the sides of the smaller one rounded to pixels."""
    small, big = sorted((first, second))
    if max(*small, *big) > _LONGEST_SIDE:
        return small == big
    if small[0] == big[0] or small[1] >= big[1]:
        return small == big
    least = max((side - 0.5) / whole for side, whole in zip(small, big, strict=True))
    most = min((side + 0.5) / whole for side, whole in zip(small, big, strict=True))
    return least <= most  # the scales that round to each side have one in common
