"""Folders in the layout of PASCAL VOC: label maps, split lists, and paths of a picture's files."""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE, VOC_CLASSES, ClassList, voc_palette
from pipelines.data.images import IMAGE_SUFFIXES, encode_png, open_picture
from pipelines.errors import InputError
from pipelines.files import atomic_write, read_text

_PICTURES = "JPEGImages"
_TRUTH = ("SegmentationClass", "SegmentationClassAug")
_SPLITS = Path("ImageSets", "Segmentation")
_SHOWN = 5  # values that a message names


def read_label_map(path: Path) -> NDArray[np.uint8]:
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


def read_class_map(path: Path, classes: ClassList) -> NDArray[np.uint8]:
    """Read a label map as positions in a class list.

    Args:
        path: As in `read_label_map`.
        classes: The class list.

    Returns:
        [H, W] uint8, 0 for background, 1..n for the classes, 255 for all else.

    Raises:
        InputError: The file cannot be read, or it holds a value that is no class [label-value].
    """
    palette_map = read_label_map(path)
    # If the classes are VOC's, a file may also show VOC classes that are not in use. Otherwise no other class may show.
    highest = len(VOC_CLASSES) if classes.is_voc else max(classes.indices)
    strange = (palette_map > highest) & (palette_map != IGNORE)
    if strange.any():
        values = ", ".join(map(str, np.unique(palette_map[strange])[:_SHOWN]))
        expected = f"expected class indices 0 to {highest} or {IGNORE}"
        raise InputError(f"{path}: holds the values {values}, {expected}; check --classes and the file", "label-value")
    return classes.from_palette(palette_map)


def write_label_map(path: Path, label_map: NDArray[np.uint8]) -> None:
    """Write a label map atomically, as `encode_label_map` encodes it; missing folders are made.

    Raises:
        MachineError: The file cannot be written.
    """
    content = encode_label_map(label_map)
    atomic_write(path, lambda file: file.write(content))


def encode_label_map(label_map: NDArray[np.uint8]) -> bytes:
    """Return the bytes of a PNG of mode P with the VOC palette.

    Args:
        label_map: [H, W] uint8 palette indices.
    """
    if label_map.ndim != 2:
        raise ValueError(f"label map has shape {label_map.shape}, expected [H, W]")
    return encode_png(label_map, palette=voc_palette())


def read_split(voc: Path, split: str) -> list[str]:
    """Return the image ids of a split, in the order of its list in `ImageSets/Segmentation`.

    Raises:
        InputError: There is no such data set [folder-missing] or split [split-missing], or the list is unusable, see
            `read_id_list`.
    """
    if not voc.is_dir():
        raise InputError(f"{voc}: no such folder, expected one in VOC layout; check the path", "folder-missing")
    path = voc / _SPLITS / f"{split}.txt"
    if not path.is_file():
        known = sorted(file.stem for file in (voc / _SPLITS).glob("*.txt"))
        there = f"one of {', '.join(known)}" if known else f"lists in {_SPLITS.as_posix()}"
        raise InputError(f"{path}: no such split, expected {there}; choose another --split", "split-missing")
    return read_id_list(path)


def read_id_list(path: Path) -> list[str]:
    """Read the image ids of a list file, one a line; blank lines are skipped.

    A line is an id, a picture's file name, or `/JPEGImages/x.jpg /SegmentationClass/x.png` as other projects write it.

    Raises:
        InputError: The file is missing or has no id [list-empty], an id is there twice [list-twice], or an id leads out
            of the picture folder [path-outside].
    """
    ids: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        image_id = _id_of_line(line.strip())
        if ".." in PurePosixPath(image_id).parts:
            raise InputError(
                f"{path}: line {number} names {image_id!r}, expected an id inside the picture folder; correct it",
                "path-outside",
            )
        if image_id in ids:
            raise InputError(
                f"{path}: line {number} names {image_id!r} as line {ids[image_id]} does, expected it once; remove one",
                "list-twice",
            )
        ids[image_id] = number
    if not ids:
        raise InputError(f"{path}: no image id in it, expected one a line; check the file", "list-empty")
    return list(ids)


def strip_image_suffix(name: str) -> str:
    """Return a file name without its picture suffix; other dots belong to the name."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def image_path(voc: Path, image_id: str) -> Path:
    """Return the path of a picture; if there is no file, the path that its JPEG would have."""
    places = [voc / _PICTURES / f"{image_id}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((place for place in places if place.is_file()), places[0])


def pictures_folder(voc: Path) -> Path:
    """Return the folder of the pictures."""
    return voc / _PICTURES


def truth_path(voc: Path, image_id: str) -> Path:
    """Return the path of a picture's ground-truth label map, also if SBD's maps have a folder of their own."""
    places = [voc / folder / f"{image_id}.png" for folder in _TRUTH]
    return next((place for place in places if place.is_file()), places[0])


def _id_of_line(line: str) -> str:
    if line.startswith("/"):
        line = line.split()[0].lstrip("/")
        line = line.removeprefix(f"{_PICTURES}/")
    return strip_image_suffix(line)


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
