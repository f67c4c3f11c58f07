"""Label maps in files: palette indices there, positions in the class list inside the program."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE, VOC_CLASSES, ClassList
from pipelines.data.images import encode_png, open_picture
from pipelines.data.palette import voc_palette
from pipelines.errors import InputError
from pipelines.files import atomic_write

_SHOWN = 5  # values that a message names


def read_palette_map(path: Path) -> NDArray[np.uint8]:
    """Read a label map.

    Args:
        path: A picture file. Its pixels are palette indices, grey values that are indices, or colours of the VOC
            palette.

    Returns:
        [H, W] uint8 palette indices, 255 = ignore.

    Raises:
        InputError: The file cannot be read (rules of `open_image`), or its pixels are no class indices [label-mode].
    """
    with open_picture(path) as image:
        if image.mode == "RGB":
            return _indices_of_colours(path, np.asarray(image))
        if image.mode in ("P", "L"):
            return np.array(image)
        mode = image.mode
    raise InputError(
        f"{path}: pixels are of mode {mode}, expected class indices (P or L) or colours of the VOC palette; convert it",
        "label-mode",
    )


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
    palette_map = read_palette_map(path)
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


def _indices_of_colours(path: Path, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn colours [H, W, 3] of the VOC palette into indices [H, W]."""
    weights = np.array([65536, 256, 1])
    known = np.array(voc_palette()).reshape(256, 3) @ weights
    order = np.argsort(known)
    codes = rgb.astype(np.int64) @ weights
    places = np.minimum(np.searchsorted(known, codes, sorter=order), 255)
    indices: NDArray[np.int64] = order[places]
    foreign = known[indices] != codes
    if foreign.any():
        row, column = np.argwhere(foreign)[0]
        raise InputError(
            f"{path}: pixel ({column}, {row}) has colour {tuple(rgb[row, column].tolist())}, expected colours of the "
            "VOC palette; save class indices instead, without anti-aliasing or JPEG",
            "label-mode",
        )
    return indices.astype(np.uint8)
