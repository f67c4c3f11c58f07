"""Tables of keywords: the files in which data sets name the classes of many pictures at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from scipy.io import loadmat

from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.coco_file import read_coco_file
from pipelines.data.keyword_csv import read_keyword_csv
from pipelines.data.notes import Notes
from pipelines.data.safe_npy import load_npy_dict
from pipelines.errors import InputError
from pipelines.files import read_text
from pipelines.stores.paths import is_file

_MOST_DIGITS = 9  # of a class number

Named = Iterator[tuple[str, Iterable[str]]]
"""Pairs of a picture's name in the source and some of the picture's class names."""


def damaged(found: str, expected: str) -> InputError:
    """Return the error of a file with other content than expected [keywords-file]."""
    return InputError(f"{found}, expected {expected}; correct the file", "keywords-file")


def has_names(path: Path) -> bool:
    """Return whether a table names its classes; `.npy` and `.txt` only number them."""
    return path.is_dir() or path.suffix.lower() not in (".npy", ".txt")


def read_table(path: Path, images: Iterable[str], classes: ClassList, notes: Notes) -> tuple[Named, list[str]]:
    """Read a table of keywords.

    Args:
        path: `.csv`, `.npy`, `.txt`, `.json`, or a folder of `.mat`; see `pipelines.data.keywords_files`.
        images: Image ids; of a folder, only the files of these are read.
        classes: Classes in use, for tables that number them.
        notes: Told what is left out.

    Returns:
        The names in the table with their words; and what is wrong with lines of a CSV table.

    Raises:
        InputError: The table is missing, damaged or of another form [keywords-file].
    """
    if path.is_dir():
        return _read_sbd(path, images), []
    if path.suffix.lower() in (".csv", ".tsv"):
        rows, faults = read_keyword_csv(path)
        return iter(rows), faults
    readers: dict[str, Callable[[], Named]] = {
        ".npy": lambda: _read_vectors(path, classes),
        ".txt": lambda: _read_numbers(path, classes),
        ".json": lambda: _read_coco(path, notes),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise damaged(
            f"{path}: suffix is {path.suffix!r}", ".csv, .npy, .txt, .json, a folder of .mat or the word auto"
        )
    return reader(), []


def _read_vectors(path: Path, classes: ClassList) -> Named:
    """Read a dict of 0/1 vectors; its keys are picture names, or VOC ids as numbers: 2007000032 is 2007_000032."""
    for key, vector in load_npy_dict(path).items():
        if isinstance(key, int | np.integer):
            name = f"{key // 1_000_000}_{key % 1_000_000:06d}"
        elif isinstance(key, str):
            name = key
        else:
            raise damaged(f"{path}: a key is {key!r}", "picture names")
        yield name, _classes_of_vector(path, name, vector, classes)


def _classes_of_vector(path: Path, name: str, vector: Any, classes: ClassList) -> list[str]:
    try:
        values = np.asarray(vector)
    except ValueError:  # lists of unequal lengths
        values = np.empty(0, object)
    if values.dtype.kind not in "biuf" or values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise damaged(f"{path}: {name} has no vector of 0 and 1", "one number per class")
    if classes.is_voc and len(values) == len(VOC_CLASSES):
        names: Sequence[str] = VOC_CLASSES
    elif len(values) == len(classes.names):
        names = classes.names
    else:
        raise damaged(f"{path}: {name} has {len(values)} numbers", f"{len(classes.names)}, one per class")
    return [names[int(index)] for index in np.flatnonzero(values)]


def _read_numbers(path: Path, classes: ClassList) -> Named:
    """Read lines of a picture and its class numbers from 0; they count VOC's classes where all in use are VOC's."""
    names = VOC_CLASSES if classes.is_voc else classes.names
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        name, *indices = line.split() or [""]
        if not name:
            continue
        if not all(_is_number(index) and int(index) < len(names) for index in indices):
            raise damaged(f"{path}: line {number} is {line!r}", f"a picture and class numbers below {len(names)}")
        yield name, [names[int(index)] for index in indices]


def _is_number(text: str) -> bool:
    """Return whether a text is a number of few digits; Python refuses to read thousands of them."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _read_coco(path: Path, notes: Notes) -> Named:
    """Read the categories of each picture's annotations in COCO JSON, crowds included; no mask is read."""
    try:
        listed = read_coco_file(path, notes, crowds=True)
    except InputError as error:
        if not error.rule.startswith("coco"):
            raise
        raise InputError(error.message, "keywords-file") from error
    # A picture that is listed twice comes twice, and the words of both are its own.
    words = [(image.file_name, {a.category for a in image.annotations if a.category}) for image in listed]
    if any(image.annotations for image in listed) and not any(some for _, some in words):
        raise damaged(f"{path}: no annotation has a category with a name", "categories with id and name")
    yield from ((name, some) for name, some in words if some)


def _read_sbd(folder: Path, images: Iterable[str]) -> Named:
    """Read SBD's `cls` folder: one `.mat` a picture, whose `CategoriesPresent` counts VOC's classes from 1."""
    found = 0
    for image_id in images:
        path = folder / f"{PurePosixPath(image_id).name}.mat"
        if is_file(path):
            found += 1
            yield image_id, _categories_present(path)
    if not found:
        raise damaged(f"{folder}: no file is named after a picture", "<picture>.mat as in SBD's cls folder")


def _categories_present(path: Path) -> list[str]:
    try:
        content: Mapping[str, Any] = loadmat(path)
        numbers = np.atleast_1d(content["GTcls"]["CategoriesPresent"][0, 0].squeeze()).tolist()
        return [VOC_CLASSES[_class_position(number)] for number in numbers]
    except Exception as error:  # a damaged file fails in as many ways as the format has parts
        raise damaged(f"{path}: {type(error).__name__} {error}", "GTcls.CategoriesPresent of 1 to 20") from error


def _class_position(number: int) -> int:
    if not 1 <= number <= len(VOC_CLASSES):
        raise ValueError(f"class {number}")
    return int(number) - 1
