"""The only place that opens pictures: every mode becomes RGB, and every kind of damage an `InputError`."""

import io
import os
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from pipelines.data.decoding import (
    DAMAGE,
    FormatError,
    lies,
    rotation_of,
    silence_libtiff,
    to_rgb,
    to_working_rgb,
    turned,
)  # fmt: skip
from pipelines.data.folder_walk import ignored_suffix, tell_ignored, walk_files
from pipelines.data.notes import Notes
from pipelines.data.tar_shards import COMPRESSED_SUFFIXES, TAR_SUFFIX, TarMember, compressed, index_tar, open_member
from pipelines.data.working_size import WORKING_PIXELS, WorkingSize
from pipelines.errors import InputError
from pipelines.files import atomic_write
from pipelines.regular_files import open_regular
from pipelines.stores.paths import is_file

ImageFile = Path | TarMember
"""Where a picture lies: a file of its own, or a place in a tar."""

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"
)  # fmt: skip
MAX_PIXELS = 50_000_000

# Pillow knows many more formats; its security faults are found in the rare decoders.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# Decoders that an installation may lack: format, its suffixes, and what to do without the decoder.
_OPTIONAL = {
    "AVIF": ((".avif",), "install Pillow 11.3 or newer"),
    "HEIF": ((".heic", ".heif"), "install pillow-heif: pip install 's4-segmentation[heic]'"),
}
# Pictures that nothing here reads.
_UNREAD = (".arw", ".cr2", ".cr3", ".dng", ".jp2", ".jxl", ".nef", ".ppm", ".psd", ".raw", ".svg", ".tga")
_MOST_PAIRS = 100  # that a message names
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# Threads read ahead. Several large pictures at once would fill the memory, so these wait for each other.
_ONE_LARGE = threading.RLock()


def open_image(path: ImageFile, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture the way a viewer shows it.

    EXIF rotation is applied. Transparency lies over white. 16-bit values keep their upper byte. An animation gives its
    first frame.

    Args:
        path: JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, or HEIC with `pillow-heif`. The content decides, not the suffix.
        max_pixels: Limit; a larger picture is refused because of its header, before any memory is taken for it.

    Returns:
        [H, W, 3] uint8 RGB, 0..255.

    Raises:
        InputError: The picture cannot be used [image-missing] [image-not-file] [image-unreadable] [image-format]
            [image-damaged] [image-too-large].
    """
    return np.ascontiguousarray(_decoded(path, max_pixels))


def open_working_picture(path: ImageFile, max_pixels: int = MAX_PIXELS) -> tuple[NDArray[np.uint8], WorkingSize]:
    """Read a picture at the size at which it is worked on; a picture that is not large is read as it is.

    Args:
        path: As for `open_image`.
        max_pixels: As for `open_image`.

    Returns:
        [h, w, 3] uint8 RGB, 0..255, and the sizes.

    Raises:
        InputError: As for `open_image`.
    """
    with open_picture(path, max_pixels) as image:
        pixels, size = to_working_rgb(image, rotation_of(image))
    return np.ascontiguousarray(pixels), size


def _decoded(path: ImageFile, max_pixels: int) -> NDArray[np.uint8]:
    """Return a picture as `open_image` does, maybe as a view. Here, so that what Pillow holds is free afterwards."""
    with open_picture(path, max_pixels) as image:
        turn = rotation_of(image)
        return turned(to_rgb(image), turn)


def turn_for(pixels: int) -> AbstractContextManager[object]:
    """Return what to hold while a picture of so many pixels is worked on: one thread at a time has a large one."""
    return _ONE_LARGE if pixels > WORKING_PIXELS else nullcontext()


@dataclass(frozen=True)
class Frame:
    """The size of a picture as it is stored, and as a viewer shows it.

    Attributes:
        stored: (height, width) of the stored pixels.
        shown: (height, width) of the picture that `open_image` gives.
        turn: How EXIF turns the stored pixels; None if they are shown as they are.
    """

    stored: tuple[int, int]
    shown: tuple[int, int]
    turn: Image.Transpose | None = None

    @property
    def working(self) -> WorkingSize:
        """The size at which the picture is worked on."""
        return WorkingSize.of(self.shown)


def picture_frame(path: ImageFile) -> Frame:
    """Read the frame of a picture from the header alone.

    Raises:
        InputError: As for `open_image`, as far as the header shows a fault.
    """
    with open_picture(path) as image:
        turn = rotation_of(image)
        width, height = image.size
    return Frame((height, width), (width, height) if lies(turn) else (height, width), turn)


def image_size(path: ImageFile) -> tuple[int, int]:
    """Return the (height, width) that `open_image` will give, from the header alone.

    Raises:
        InputError: As for `open_image`, as far as the header shows a fault.
    """
    return picture_frame(path).shown


@contextmanager
def open_picture(path: ImageFile, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a picture for code that needs more than RGB, such as palette indices; decoding waits for `load`.

    Every error of the picture inside the `with` block leaves the block as an `InputError`.

    Raises:
        InputError: As for `open_image`.
    """
    silence_libtiff()
    try:
        with _source(path) as file, Image.open(file, formats=_formats()) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(path, f"{width}x{height} ({width * height / 1e6:.0f} MP)", max_pixels)
            with turn_for(width * height):
                yield image
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such picture, expected a file; check the path", "image-missing") from error
    except PermissionError as error:
        raise InputError(
            f"{path}: {error.strerror}, expected a readable picture; change its rights", "image-unreadable"
        ) from error
    except FormatError as error:
        raise InputError(f"{path}: {error}, expected 8 or 16 bits; convert it to 8 bits", "image-format") from error
    except UnidentifiedImageError as error:
        raise _not_a_picture(path) from error
    except _BOMBS as error:  # Pillow refuses it by its own limit, before the size is known here
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        size = f"{int(pixels.group(1)) / 1e6:.0f} MP" if pixels else "a decompression bomb"
        raise _too_large(path, size, max_pixels) from error
    except DAMAGE as error:
        raise InputError(
            f"{path}: picture is damaged ({error}), expected one that decodes; restore or remove it", "image-damaged"
        ) from error


def bytes_of(file: ImageFile) -> int:
    """Return how many bytes a picture has on the disk; 0 for a picture that is not there."""
    if isinstance(file, TarMember):
        return file.size
    return file.stat().st_size if is_file(file) else 0


def find_images(folder: Path, notes: Notes | None = None) -> dict[str, ImageFile]:
    """Find every picture below a folder and in its tars; hidden files and folders are left out.

    Args:
        folder: The folder; or a tar, whose pictures have the ids that they have in the folder around it.
        notes: Told of the files that are ignored, by suffix, and of everything that is no regular file.

    Returns:
        image_id -> where the picture lies, sorted by image_id. The id is the path relative to `folder`, without suffix,
        with `/`; a tar counts as a folder of its name.

    Raises:
        InputError: There is no such folder [folder-missing], or no picture in it [folder-empty]; two pictures differ in
            their suffix alone [image-id-twice]; or a tar cannot be read in place [shard-*].
    """
    notes = notes or Notes()
    found: list[ImageFile] = []
    ignored: Counter[str] = Counter()
    suffixes = readable_suffixes()
    is_tar = is_file(folder) and folder.name.lower().endswith((TAR_SUFFIX, *COMPRESSED_SUFFIXES))
    for path in [folder] if is_tar else walk_files(folder, notes, suffixes):
        name = path.name.lower()
        if name.endswith(COMPRESSED_SUFFIXES):
            raise compressed(path)
        if name.endswith(TAR_SUFFIX):
            members, others = index_tar(path, suffixes)
            found += members
            ignored += others
        elif name.endswith(suffixes):
            found.append(path)
        elif not name.endswith(".xml") and (suffix := ignored_suffix(path.name)) is not None:  # keywords may lie there
            ignored[suffix] += 1
    tell_ignored(folder, ignored, advice_by_suffix(), notes)
    root = folder.parent if is_tar else folder
    return by_id(root, found, f"{' '.join(suffixes)}, or {TAR_SUFFIX} files of them")


def find_image_files(folder: Path, notes: Notes | None = None) -> dict[str, Path]:
    """Find every picture below a folder that is a file of its own, as `find_images` does; tars are left out."""
    return by_id(folder, picture_files(folder, notes), " ".join(readable_suffixes()))


def picture_files(folder: Path, notes: Notes | None = None) -> list[Path]:
    """Return the pictures below a folder that are files of their own, also if two differ in their suffix alone.

    Args:
        folder: The folder.
        notes: Told of the files that are ignored, by suffix, and of everything that is no regular file.
    """
    notes = notes or Notes()
    suffixes, found, ignored = readable_suffixes(), [], Counter[str]()
    for path in walk_files(folder, notes, suffixes):
        if path.name.lower().endswith(suffixes):
            found.append(path)
        elif (suffix := ignored_suffix(path.name)) is not None:
            ignored[suffix] += 1
    tell_ignored(folder, ignored, advice_by_suffix(), notes)
    return found


def readable_suffixes() -> tuple[str, ...]:
    """Return the endings of pictures that this installation decodes, in small letters."""
    unreadable = [suffix for kind, (own, _) in _OPTIONAL.items() if not _has_decoder(kind) for suffix in own]
    return tuple(suffix for suffix in IMAGE_SUFFIXES if suffix not in unreadable)


def with_any_case(path: Path) -> Path:
    """Return the path of the same file with its suffix in capitals, if only that file is there."""
    capital = path.with_name(f"{path.stem}{path.suffix.upper()}")
    return capital if not os.path.isfile(path) and os.path.isfile(capital) else path


@cache
def _has_decoder(kind: str) -> bool:
    """Return whether pictures of an optional format can be decoded; the decoder is registered with Pillow."""
    if kind == "AVIF":
        return bool(features.check("avif"))
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


@cache
def _formats() -> tuple[str, ...]:
    return (*_FORMATS, *(kind for kind in _OPTIONAL if _has_decoder(kind)))


def advice_by_suffix() -> dict[str, str]:
    """Return what to do about pictures that are not read, by suffix."""
    missing = {suffix: advice for own, advice in _OPTIONAL.values() for suffix in own}
    return {**dict.fromkeys(_UNREAD, "convert to JPEG or PNG"), **missing}


_Place = TypeVar("_Place", Path, ImageFile)


def by_id(folder: Path, places: list[_Place], kinds: str) -> dict[str, _Place]:
    """Return image_id -> picture, sorted by image_id.

    Args:
        folder: The folder that image ids lead from.
        places: Pictures below it.
        kinds: What would have been a picture, in words.

    Raises:
        InputError: There is no picture [folder-empty], or several have the same id [image-id-twice]; all are named.
    """
    found: dict[str, list[_Place]] = defaultdict(list)
    for place in places:
        inside: PurePath = place.relative_to(folder)
        found[inside.with_suffix("").as_posix()].append(place)
    twice = [same for same in found.values() if len(same) > 1]
    if twice:
        pairs = "; ".join(" and ".join(_shown(place, folder) for place in same) for same in twice[:_MOST_PAIRS])
        pairs += "; ..." if len(twice) > _MOST_PAIRS else ""
        raise InputError(
            f"{folder}: {len(twice)} of the names stand for several pictures ({pairs}), expected one picture per name; "
            "rename or remove the others",
            "image-id-twice",
        )
    if not found:
        raise InputError(
            f"{folder}: no picture in it, expected files ending in {kinds}; check the path", "folder-empty"
        )
    return {image_id: same[0] for image_id, same in sorted(found.items())}


def _shown(place: ImageFile, folder: Path) -> str:
    return place.name if isinstance(place, TarMember) else place.relative_to(folder).as_posix()


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
        pixels: [H, W], [H, W, 3] or [H, W, 4] uint8.
        palette: 768 numbers, to which pixels [H, W] are indices; None for grey values, RGB or RGBA.
    """
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels are {pixels.dtype}, expected uint8")
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def mask_in_png(content: bytes, most: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask [h, w] in the bytes of a PNG: every pixel that is not 0.

    Raises:
        ValueError: The bytes are no PNG of at most (height, width) `most` pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width > most[1] or image.height > most[0]:
                raise ValueError(f"it has {image.width}x{image.height} pixels")
            return np.asarray(image if image.mode in ("1", "L", "P") else image.convert("L")) > 0
    except (*_BOMBS, *DAMAGE) as error:
        raise ValueError(str(error)) from error


def _source(path: ImageFile) -> BinaryIO:
    if isinstance(path, TarMember):
        return open_member(path)
    try:
        return open_regular(path)
    except InputError as error:
        raise InputError(error.message.replace("check the path", "remove it"), "image-not-file") from error


def _too_large(path: ImageFile, size: str, max_pixels: int) -> InputError:
    limit = max_pixels / 1e6
    return InputError(f"{path}: picture is {size}, limit {limit:.0f} MP; scale it down or remove it", "image-too-large")


def _not_a_picture(path: ImageFile) -> InputError:
    size = path.size if isinstance(path, TarMember) else path.stat().st_size
    if size == 0:
        return InputError(f"{path}: file is empty, expected a picture; restore or remove it", "image-damaged")
    kinds = ", ".join(_formats())
    suffix, remedy = PurePosixPath(path.name).suffix.lower(), "restore, convert or remove it"
    if suffix not in readable_suffixes():
        remedy = advice_by_suffix().get(suffix, remedy)
    return InputError(f"{path}: content is no picture that can be read, expected {kinds}; {remedy}", "image-format")


def strip_image_suffix(name: str) -> str:
    """Return a file name without its picture suffix; other dots belong to the name."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name
