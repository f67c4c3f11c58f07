"""The only place that opens pictures: every mode becomes RGB, and every kind of damage an `InputError`."""

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from pipelines.data.tar_shards import COMPRESSED_SUFFIXES, TAR_SUFFIX, TarMember, compressed, index_tar, open_member
from pipelines.errors import InputError
from pipelines.files import atomic_write

ImageFile = Path | TarMember
"""Where a picture lies: a file of its own, or a place in a tar."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 50_000_000

# Pillow knows many more formats; its security faults are found in the rare decoders.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# What Pillow's decoders raise on damaged data.
_DAMAGE = (
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
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(path: ImageFile, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture the way a viewer shows it.

    EXIF rotation is applied. Transparency lies over white. 16-bit values keep their upper byte. An animation gives its
    first frame.

    Args:
        path: JPEG, PNG, WebP, BMP, GIF or TIFF; the content decides, not the suffix.
        max_pixels: Limit; a larger picture is refused because of its header, before any memory is taken for it.

    Returns:
        [H, W, 3] uint8 RGB, 0..255.

    Raises:
        InputError: The picture cannot be used [image-missing] [image-unreadable] [image-format] [image-damaged]
            [image-too-large].
    """
    with open_picture(path, max_pixels) as image:
        rotation = _rotation(image)
        image.load()
        rgb = _to_rgb(path, image)
        return np.array(rgb if rotation is None else rgb.transpose(rotation))


def image_size(path: ImageFile) -> tuple[int, int]:
    """Return the (height, width) that `open_image` will give, from the header alone.

    Raises:
        InputError: As for `open_image`, as far as the header shows a fault.
    """
    with open_picture(path) as image:
        rotation = _rotation(image)
        width, height = image.size
    lies = rotation is not None and rotation.name in ("TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
    return (width, height) if lies else (height, width)


@contextmanager
def open_picture(path: ImageFile, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a picture for code that needs more than RGB, such as palette indices; decoding waits for `load`.

    Every error of the picture inside the `with` block leaves the block as an `InputError`.

    Raises:
        InputError: As for `open_image`.
    """
    try:
        with _source(path) as file, Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(path, f"{width}x{height} ({width * height / 1e6:.0f} MP)", max_pixels)
            yield image
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such picture, expected a file; check the path", "image-missing") from error
    except PermissionError as error:
        raise InputError(
            f"{path}: {error.strerror}, expected a readable picture; change its rights", "image-unreadable"
        ) from error
    except UnidentifiedImageError as error:
        raise _not_a_picture(path) from error
    except _BOMBS as error:  # Pillow refuses it by its own limit, before the size is known here
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        size = f"{int(pixels.group(1)) / 1e6:.0f} MP" if pixels else "a decompression bomb"
        raise _too_large(path, size, max_pixels) from error
    except _DAMAGE as error:
        raise InputError(
            f"{path}: picture is damaged ({error}), expected one that decodes; restore or remove it", "image-damaged"
        ) from error


def bytes_of(file: ImageFile) -> int:
    """Return how many bytes a picture has on the disk; 0 for a picture that is not there."""
    if isinstance(file, TarMember):
        return file.size
    return file.stat().st_size if file.is_file() else 0


def find_images(folder: Path) -> dict[str, ImageFile]:
    """Find every picture below a folder and in its tars; hidden files and folders are left out.

    Returns:
        image_id -> where the picture lies, sorted by image_id. The id is the path relative to `folder`, without suffix,
        with `/`; a tar counts as a folder of its name.

    Raises:
        InputError: There is no such folder [folder-missing], or no picture in it [folder-empty]; two pictures differ in
            their suffix alone [image-id-twice]; or a tar cannot be read in place [shard-*].
    """
    found: list[ImageFile] = []
    for path in _walk(folder, (*IMAGE_SUFFIXES, TAR_SUFFIX, *COMPRESSED_SUFFIXES)):
        name = path.name.lower()
        if name.endswith(COMPRESSED_SUFFIXES):
            raise compressed(path)
        found += index_tar(path, IMAGE_SUFFIXES) if name.endswith(TAR_SUFFIX) else [path]
    return _by_id(folder, found, f"{' '.join(IMAGE_SUFFIXES)}, or {TAR_SUFFIX} files of them")


def find_image_files(folder: Path) -> dict[str, Path]:
    """Find every picture below a folder that is a file of its own, as `find_images` does; tars are left out."""
    return _by_id(folder, list(_walk(folder, IMAGE_SUFFIXES)), " ".join(IMAGE_SUFFIXES))


_Place = TypeVar("_Place", Path, ImageFile)


def _by_id(folder: Path, places: list[_Place], kinds: str) -> dict[str, _Place]:
    found: dict[str, _Place] = {}
    for place in places:
        inside: PurePath = place.relative_to(folder)
        image_id = inside.with_suffix("").as_posix()
        if image_id in found:
            raise InputError(
                f"{place}: {found[image_id].name} has the same name, expected one picture per name; rename one of them",
                "image-id-twice",
            )
        found[image_id] = place
    if not found:
        raise InputError(
            f"{folder}: no picture in it, expected files ending in {kinds}; check the path", "folder-empty"
        )
    return dict(sorted(found.items()))


def write_png(path: Path, pixels: NDArray[np.uint8], palette: list[int] | None = None) -> None:
    """Write an 8-bit PNG atomically; see `encode_png`.

    Raises:
        MachineError: The file cannot be written.
    """
    content = encode_png(pixels, palette)
    atomic_write(path, lambda file: file.write(content))


def encode_png(pixels: NDArray[np.uint8], palette: list[int] | None = None) -> bytes:
    """Return the bytes of an 8-bit PNG, at compression level 1: level 6 takes several times as long and saves little.

    Args:
        pixels: [H, W] or [H, W, 3] uint8.
        palette: 768 numbers, to which pixels [H, W] are indices; None for grey values or RGB.
    """
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels are {pixels.dtype}, expected uint8")
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _source(path: ImageFile) -> AbstractContextManager[Path | BinaryIO]:
    return open_member(path) if isinstance(path, TarMember) else nullcontext(path)


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield files in a fixed order; links to folders are followed, but each folder is visited once.

    Raises:
        InputError: There is no such folder [folder-missing].
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with pictures; check the path", "folder-missing")
    visited = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:  # a link back to a folder above would never end
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(suffixes):
                yield Path(parent, name)


def _rotation(image: Image.Image) -> Image.Transpose | None:
    """Return how the stored pixels must be turned; it is read before decoding, so that size and pixels always agree."""
    if image.format == "TIFF":
        return None  # Pillow turns these itself, and gives their turned size
    try:
        # The PNG class would decode everything to look for EXIF data behind the pixels.
        return _ROTATIONS.get(Image.Image.getexif(image).get(Base.Orientation, 1))
    except _DAMAGE:
        return None  # damaged EXIF data: the picture itself may well be whole


def _to_rgb(path: ImageFile, image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise InputError(
            f"{path}: picture holds floating-point values, expected 8 or 16 bits; convert it to 8 bits", "image-format"
        )
    if image.mode.startswith("I"):
        return _upper_byte(path, image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _upper_byte(path: ImageFile, image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to RGB; Pillow's own conversion would make everything above 255 white."""
    values = np.asarray(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise InputError(
            f"{path}: picture holds 32-bit values, expected 8 or 16 bits; convert it to 8 bits", "image-format"
        )
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")


def _too_large(path: ImageFile, size: str, max_pixels: int) -> InputError:
    limit = max_pixels / 1e6
    return InputError(f"{path}: picture is {size}, limit {limit:.0f} MP; scale it down or remove it", "image-too-large")


def _not_a_picture(path: ImageFile) -> InputError:
    size = path.size if isinstance(path, TarMember) else path.stat().st_size
    if size == 0:
        return InputError(f"{path}: file is empty, expected a picture; restore or remove it", "image-damaged")
    kinds = ", ".join(_FORMATS)
    return InputError(
        f"{path}: content is no picture that can be read, expected {kinds}; restore, convert or remove it",
        "image-format",
    )


def strip_image_suffix(name: str) -> str:
    """Return a file name without its picture suffix; other dots belong to the name."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name
