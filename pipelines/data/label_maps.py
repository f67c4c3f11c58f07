"""Label maps in files: palette indices there, positions in the class list inside the program."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE, VOC_CLASSES, ClassList
from pipelines.data.colour_tables import LABELMAP, ColourTable, colour_table_of
from pipelines.data.images import encode_png, open_picture
from pipelines.data.palette import indices_of_colours, voc_palette
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import atomic_write

_SHOWN = 5  # values that a message names
_LOOKED_AT = 10  # label maps that tell how all are read
_LOSSY = ("JPEG", "AVIF", "HEIF")


def read_palette_map(path: Path, classes: ClassList | None = None) -> NDArray[np.uint8]:
    """Read a label map.

    Args:
        path: A picture file. Its pixels are palette indices, grey values that are indices (8 or 16 bits), or colours.
            Colours are those of a `labelmap.txt` beside the file or above, otherwise those of the VOC palette.
        classes: Classes of the label map, for the names in `labelmap.txt`.

    Returns:
        [H, W] uint8 palette indices, 255 = ignore.

    Raises:
        InputError: The file cannot be read (rules of `open_image`), or its pixels are no class indices [label-mode].
    """
    with open_picture(path) as image:
        if image.format in _LOSSY:
            raise _no_indices(path, f"is a picture in {image.format}, which changes the values of pixels")
        if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
            image = image.convert(image.mode[:-1])  # nothing is transparent
        if image.mode == "P":
            # With VOC's own palette, indices say the same as colours, and this program writes them.
            table = None if image.getpalette() == voc_palette() else colour_table_of(path)
            named = None if table is None else _named_colours(table, np.asarray(image.convert("RGB")), classes)
            return np.array(image) if named is None else named
        if image.mode == "RGB":
            return _indices_of_picture(path, np.asarray(image), classes)
        if image.mode in ("L", "1"):
            return np.array(image).astype(np.uint8)
        if image.mode.startswith("I"):
            return _eight_bits(path, np.asarray(image))
        mode = image.mode
    raise _no_indices(path, f"pixels are of mode {mode}")


def tell_reading(files: Iterable[Path], events: Events) -> None:
    """Tell if the first label maps are read by their colours, which are not the numbers of classes themselves."""
    told = set()
    for file in itertools.islice(files, _LOOKED_AT):
        with open_picture(file) as image:
            is_coloured = image.mode in ("RGB", "RGBA") or (image.mode == "P" and image.getpalette() != voc_palette())
        table = colour_table_of(file)
        if is_coloured and (table is not None or image.mode != "P"):
            told.add("the VOC palette" if table is None else f"{table.path}")
    for palette in sorted(told):
        events.info(f"{file.parent}: label maps are read by their colours, by {palette}")


def read_label_map(path: Path, classes: ClassList) -> NDArray[np.uint8]:
    """Read a label map as positions in a class list.

    Args:
        path: As in `read_palette_map`.
        classes: The class list.

    Returns:
        [H, W] uint8, 0 for background, 1..n for the classes, 255 for all else.

    Raises:
        InputError: The file cannot be read, or it holds a value that is no class [label-value].
    """
    palette_map = read_palette_map(path, classes)
    # If the classes are VOC's, a file may also show VOC classes that are not in use. Otherwise no other class may show.
    highest = len(VOC_CLASSES) if classes.is_voc else max(classes.indices)
    strange = (palette_map > highest) & (palette_map != IGNORE)
    if strange.any():
        values = ", ".join(map(str, np.unique(palette_map[strange])[:_SHOWN]))
        expected = f"expected class indices 0 to {highest} or {IGNORE}"
        raise InputError(f"{path}: holds the values {values}, {expected}; check --classes and the file", "label-value")
    return classes.from_palette(palette_map)


def write_palette_map(path: Path, label_map: NDArray[np.uint8]) -> None:
    """Write a label map atomically, as `encode_palette_map` encodes it; missing folders are made.

    Raises:
        MachineError: The file cannot be written.
    """
    content = encode_palette_map(label_map)
    atomic_write(path, lambda file: file.write(content))


def encode_palette_map(label_map: NDArray[np.uint8]) -> bytes:
    """Return the bytes of a PNG of mode P with the VOC palette.

    Args:
        label_map: [H, W] uint8 palette indices.
    """
    if label_map.ndim != 2:
        raise ValueError(f"label map has shape {label_map.shape}, expected [H, W]")
    return encode_png(label_map, palette=voc_palette())


def _indices_of_picture(path: Path, rgb: NDArray[np.uint8], classes: ClassList | None) -> NDArray[np.uint8]:
    """Turn colours [H, W, 3] into palette indices [H, W]: by the table of an annotation tool, of VOC, or as grey."""
    table = colour_table_of(path)
    named = None if table is None else _named_colours(table, rgb, classes)
    if named is not None:
        return named
    indices = indices_of_colours(rgb)
    if not isinstance(indices, tuple):
        return indices.astype(np.uint8)
    if (rgb == rgb[:, :, :1]).all():
        return rgb[:, :, 0].copy()
    row, column = indices
    raise InputError(
        f"{path}: pixel ({column}, {row}) has colour {tuple(rgb[row, column].tolist())}, expected colours of the "
        f"VOC palette or of a {LABELMAP}; save class indices instead, without anti-aliasing",
        "label-mode",
    )


def _named_colours(table: ColourTable, rgb: NDArray[np.uint8], classes: ClassList | None) -> NDArray[np.uint8] | None:
    """Return palette indices [H, W] of colours [H, W, 3] by a table; None if it lacks one of the colours."""
    places = indices_of_colours(rgb, table.colours)
    return None if isinstance(places, tuple) else table.indices(classes)[places]


def _eight_bits(path: Path, values: NDArray[np.integer]) -> NDArray[np.uint8]:
    if values.min() < 0 or values.max() > IGNORE:
        raise _no_indices(path, f"holds the value {values.max()}")
    return values.astype(np.uint8)


def _no_indices(path: Path, found: str) -> InputError:
    expected = f"class indices of 8 bits, or colours of the VOC palette or of a {LABELMAP}"
    return InputError(f"{path}: {found}, expected {expected}; save it as such a PNG", "label-mode")
