"""COCO JSON as tools write it: read as a whole, with everything told that is not used.

Ids may be numbers, numbers with a point, or texts. Annotations without a picture, and annotations that are there twice,
are left out. A region marked `iscrowd` is a crowd in COCO's own files alone: other tools mark in this way every mask
that polygons cannot express, such as one with a hole or of two parts.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.files import read_json

Key = int | str
_MOST_DIGITS = 18  # of an id that is a text and stands for a number; Python refuses numbers of thousands of digits
_COCO_CROWD_ID = 900_000_000_000  # COCO numbers its crowds from here on
_COCO_WORDS = ("cocodataset.org", "mscoco.org", "coco 2014 dataset", "coco 2017 dataset")


@dataclass(frozen=True)
class Annotation:
    """An annotation of a picture.

    Attributes:
        where: Its place in the file, for messages.
        content: What stands there.
        category: Name of its category; empty where the file has none.
    """

    where: str
    content: dict[str, Any]
    category: str


@dataclass(frozen=True)
class CocoImage:
    """A picture that a file lists.

    Attributes:
        where: Its place in the file, for messages.
        file_name: Its name in the file.
        size: (height, width) in the file; None where the file has none.
        source: Where the picture was taken from, if the file says so; otherwise empty.
        annotations: Its annotations.
    """

    where: str
    file_name: str
    size: tuple[int, int] | None
    source: str
    annotations: list[Annotation]


def read_coco_file(path: Path, notes: Notes, content: Any = None, crowds: bool = False) -> list[CocoImage]:
    """Read the pictures and annotations of a file.

    Args:
        path: COCO JSON with `images` and `annotations`.
        notes: Told what is left out, and of masks that are marked as crowds.
        content: What stands in the file; None to read it.
        crowds: Whether crowds stay among the annotations, and are not told.

    Returns:
        The pictures, in the order of the file.

    Raises:
        InputError: The file is damaged [json-damaged], is no COCO JSON [coco-structure], lists no picture [coco-empty]
            or a picture twice [coco-image-twice], or has annotations of other pictures alone [coco-unknown-image].
    """
    data = read_json(path) if content is None else content
    if not isinstance(data, dict):
        raise InputError(f"{path}: no JSON object, expected a COCO file; check the file", "coco-structure")
    images = _read_images(path, _list_of(path, data, "images"))
    items = _list_of(path, data, "annotations")
    names = category_names(data)
    annotations = _by_picture(path, items, images, names, notes)
    if items and not annotations:
        raise InputError(
            f"{path}: the image_id of all {len(items)} annotations is that of no picture, expected ids of the list of "
            "images; correct the file",
            "coco-unknown-image",
        )
    own = _is_coco_itself(data)
    for key, image in images.items():
        image.annotations.extend(a for a in annotations[key] if crowds or not _is_crowd(path, a, own, notes))
    return list(images.values())


def reject_doubled(file: Path, names: Iterable[tuple[str, str]]) -> None:
    """Refuse pairs (name in the file, image_id) of which two share an image_id.

    Raises:
        InputError: Two do [coco-image-twice].
    """
    first: dict[str, str] = {}
    for name, image_id in names:
        if image_id in first:
            raise InputError(
                f"{file}: {first[image_id]} and {name} share the name {image_id!r}, expected one entry per picture; "
                "remove or rename one",
                "coco-image-twice",
            )
        first[image_id] = name


def as_key(value: Any) -> Key | None:
    """Return an id in one form: 1, 1.0 and "1" are the same; None for what is no id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        is_number = value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS and str(int(value)) == value
        return int(value) if is_number else value
    return None


def _read_images(path: Path, items: list[dict[str, Any]]) -> dict[Key, CocoImage]:
    images: dict[Key, CocoImage] = {}
    for position, item in enumerate(items):
        where = f"images[{position}]"
        key = as_key(item.get("id"))
        if key is None:
            raise _wrong(path, where, f"id is {item.get('id')!r}", "a number")
        if key in images:
            raise InputError(
                f"{path}: {where}: id {key!r} is there twice, expected once; correct the file", "coco-image-twice"
            )
        name = item.get("file_name")
        if not isinstance(name, str) or not name or "\0" in name:
            raise _wrong(path, where, "no file_name", "the picture's name")
        images[key] = CocoImage(where, name, _size(path, where, item), str(item.get("source", "")), [])
    if not images:
        raise InputError(f"{path}: no picture listed, expected one or more; check the file", "coco-empty")
    return images


def _size(path: Path, where: str, item: dict[str, Any]) -> tuple[int, int] | None:
    given = item.get("height"), item.get("width")
    if given == (None, None):
        return None
    height, width = (as_key(side) if not isinstance(side, str) else None for side in given)
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) <= 0:
        raise _wrong(path, where, f"height and width are {given[0]} and {given[1]}", "pixels")
    return height, width


def _by_picture(
    path: Path, items: list[dict[str, Any]], images: dict[Key, CocoImage], names: dict[Key, str], notes: Notes
) -> dict[Key, list[Annotation]]:
    """Return the annotations of each picture, without those of no picture and those that are there twice."""
    found: dict[Key, list[Annotation]] = defaultdict(list)
    seen: dict[Key, dict[str, Any]] = {}
    for position, item in enumerate(items):
        where = f"annotations[{position}]"
        key, own = as_key(item.get("image_id")), as_key(item.get("id"))
        if key is None or key not in images:
            notes.left_out(f"{path}: annotations left out, because their image_id is that of no picture", where)
        elif own is not None and seen.setdefault(own, item) is not item and seen[own] == item:
            notes.left_out(f"{path}: annotations left out, because they are there twice", where)
        else:
            category = as_key(item.get("category_id"))
            found[key].append(Annotation(where, item, "" if category is None else names.get(category, "")))
    return found


def category_names(data: dict[str, Any]) -> dict[Key, str]:
    """Return the names of the categories in the content of a file, by id in the order of the file."""
    categories = data.get("categories")
    names: dict[Key, str] = {}
    for item in categories if isinstance(categories, list) else ():
        key = as_key(item.get("id")) if isinstance(item, dict) else None
        if key is not None and isinstance(item.get("name"), str):
            names[key] = item["name"]
    return names


def _is_coco_itself(data: dict[str, Any]) -> bool:
    info = data.get("info")
    text = " ".join(map(str, info.values())).casefold() if isinstance(info, dict) else ""
    return any(word in text for word in _COCO_WORDS)


def is_marked_crowd(annotation: Annotation, data: Any) -> bool:
    """Return whether an annotation is a crowd of COCO's, in a file with the content `data`."""
    number = as_key(annotation.content.get("id"))
    own = isinstance(data, dict) and _is_coco_itself(data)
    return bool(annotation.content.get("iscrowd")) and (own or (isinstance(number, int) and number >= _COCO_CROWD_ID))


def _is_crowd(path: Path, annotation: Annotation, own: bool, notes: Notes) -> bool:
    """Return whether an annotation is a crowd, which is no instance; told in either case if it is marked as one."""
    if not annotation.content.get("iscrowd"):
        return False
    number = as_key(annotation.content.get("id"))
    if own or (isinstance(number, int) and number >= _COCO_CROWD_ID):
        notes.decided(f"{path}: crowds (iscrowd) left out", annotation.where)
        return True
    what = f"{path}: masks marked iscrowd, read as single instances because the file is not COCO's own"
    notes.decided(what, annotation.where)
    return False


def _list_of(path: Path, data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = data.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(f"{path}: no list of {name}, expected a COCO file; check the file", "coco-structure")
    return items


def _wrong(path: Path, where: str, found: str, expected: str) -> InputError:
    return InputError(f"{path}: {where}: {found}, expected {expected}; correct the file", "coco-structure")
