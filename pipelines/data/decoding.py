"""From a picture that Pillow has opened to RGB, a tile at a time, so that a large picture takes little memory twice."""

import ctypes
import struct
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging
from PIL.ExifTags import Base

from pipelines.data.working_size import WORKING_PIXELS, WorkingSize, tiles

DAMAGE = (
    AssertionError,
    OverflowError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    struct.error,
    zlib.error,
    MemoryError,
    RuntimeError,
)
"""What Pillow's decoders raise on damaged data."""

_ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The same turns for arrays [H, W, ...]: whether rows and columns change places, then which of them run backwards.
_TURNS = {
    Image.Transpose.FLIP_LEFT_RIGHT: (False, 1, -1),
    Image.Transpose.ROTATE_180: (False, -1, -1),
    Image.Transpose.FLIP_TOP_BOTTOM: (False, -1, 1),
    Image.Transpose.TRANSPOSE: (True, 1, 1),
    Image.Transpose.ROTATE_270: (True, 1, -1),
    Image.Transpose.TRANSVERSE: (True, -1, -1),
    Image.Transpose.ROTATE_90: (True, -1, 1),
}


class FormatError(Exception):
    """A picture is whole and of a kind that is not read; the text says what it holds."""


@cache
def silence_libtiff() -> None:
    """Keep libtiff from writing to stderr: its lines name no file, and what they tell comes as an error of Pillow.

    Pillow has no switch for that, but libtiff has. Where its functions cannot be found, all stays as it is.
    """
    try:
        library = ctypes.CDLL(_imaging.__file__)  # its symbols include those of the libraries that it needs
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
    except (OSError, AttributeError):
        pass


def rotation_of(image: Image.Image) -> Image.Transpose | None:
    """Return how the stored pixels must be turned; it is read before decoding, so that size and pixels always agree."""
    if image.format == "TIFF":
        return None  # Pillow turns these itself, and gives their turned size
    try:
        # The PNG class would decode everything to look for EXIF data behind the pixels.
        return _ROTATIONS.get(Image.Image.getexif(image).get(Base.Orientation, 1))
    except DAMAGE:
        return None  # damaged EXIF data: the picture itself may well be whole


def lies(turn: Image.Transpose | None) -> bool:
    """Return whether a turn lets height and width change places."""
    return turn is not None and _TURNS[turn][0]


def turned(pixels: NDArray[np.uint8], turn: Image.Transpose | None) -> NDArray[np.uint8]:
    """Return pixels [H, W, 3] turned as `Image.transpose` turns a picture; without a copy."""
    if turn is None:
        return pixels
    swaps, rows, columns = _TURNS[turn]
    return (pixels.swapaxes(0, 1) if swaps else pixels)[::rows, ::columns]


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decode a picture to RGB [H, W, 3]. Transparency lies over white. 16-bit values keep their upper byte.

    Raises:
        FormatError: The picture holds values of more than 16 bits.
    """
    image.load()
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for rows, columns in tiles((height, width), WORKING_PIXELS):
        whole = columns.stop - columns.start == width and rows.stop - rows.start == height
        part = image if whole else image.crop((columns.start, rows.start, columns.stop, rows.stop))
        pixels[rows, columns] = np.asarray(_rgb(part))
    return pixels


def to_working_rgb(image: Image.Image, turn: Image.Transpose | None) -> tuple[NDArray[np.uint8], WorkingSize]:
    """Decode a picture, turned, at the size at which it is worked on: as `to_rgb`, turned and reduced.

    A picture that is not turned is never held as a whole array beside what Pillow holds.

    Returns:
        [h, w, 3] RGB, maybe a view, and the sizes.

    Raises:
        FormatError: As `to_rgb`.
    """
    if turn is not None:
        pixels = turned(to_rgb(image), turn)
        size = WorkingSize.of((pixels.shape[0], pixels.shape[1]))
        return size.reduce(pixels), size
    image.load()
    width, height = image.size
    size = WorkingSize.of((height, width))
    if not size.is_reduced:
        return to_rgb(image), size

    def read(rows: slice, columns: slice) -> NDArray[np.uint8]:
        box = (columns.start, rows.start, min(columns.stop, width), min(rows.stop, height))
        return np.asarray(_rgb(image.crop(box)))

    return size.reduce_parts(read), size


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise FormatError("picture holds floating-point values")
    if image.mode.startswith("I"):
        return _upper_byte(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _upper_byte(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to RGB; Pillow's own conversion would make everything above 255 white."""
    values = np.asarray(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise FormatError("picture holds 32-bit values")
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
