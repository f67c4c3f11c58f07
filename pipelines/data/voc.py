"""Folders in the layout of PASCAL VOC: split lists, and the paths of a picture's files."""

import os
from pathlib import Path, PurePosixPath

from pipelines.data.images import IMAGE_SUFFIXES, strip_image_suffix, with_any_case
from pipelines.errors import InputError
from pipelines.files import read_text

_PICTURES = "JPEGImages"
_TRUTH = ("SegmentationClass", "SegmentationClassAug")
_SPLITS = Path("ImageSets", "Segmentation")


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


def image_path(voc: Path, image_id: str) -> Path:
    """Return the path of a picture; if there is no file, the path that its JPEG would have."""
    places = [voc / _PICTURES / f"{image_id}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((place for place in map(with_any_case, places) if os.path.isfile(place)), places[0])


def pictures_folder(voc: Path) -> Path:
    """Return the folder of the pictures."""
    return voc / _PICTURES


def truth_path(voc: Path, image_id: str) -> Path:
    """Return the path of a picture's ground-truth label map, also if SBD's maps have a folder of their own."""
    places = [voc / folder / f"{image_id}.png" for folder in _TRUTH]
    return next((place for place in map(with_any_case, places) if os.path.isfile(place)), places[0])


def _id_of_line(line: str) -> str:
    if line.startswith("/"):
        line = line.split()[0].lstrip("/")
        line = line.removeprefix(f"{_PICTURES}/")
    return strip_image_suffix(line)
