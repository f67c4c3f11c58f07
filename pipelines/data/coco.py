"""Salient instances from COCO JSON, checked as a whole before the first picture is used."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.checking import first_names
from pipelines.data.images import image_size
from pipelines.data.rle import Rle, boxes_of, decode_masks, encode_masks, read_rle
from pipelines.errors import InputError
from pipelines.files import read_json

__all__ = ["CocoPicture", "encode_masks", "load_coco"]


@dataclass(frozen=True, eq=False)
class CocoPicture:
    """One picture with its instances; the categories of the file are not kept, because every instance is salient.

    Attributes:
        image_id: File name without suffix, with `/`.
        path: File of the picture.
        height: Height in pixels, as `open_image` gives it.
        width: Width in pixels, as `open_image` gives it.
        source: Where the picture was taken from, if the file says so; otherwise empty.
        boxes: [N, 4] float32 xyxy in pixels, half-open, tight around the masks; N may be 0.
        rles: N masks as compressed run lengths.
    """

    image_id: str
    path: Path
    height: int
    width: int
    source: str
    boxes: NDArray[np.float32]
    rles: tuple[Rle, ...]

    def masks(self) -> NDArray[np.uint8]:
        """Decode the masks [N, H, W] uint8, 0 or 1, anew at every call."""
        return decode_masks(self.rles, self.height, self.width)


def load_coco(annotations: Path, images: Path) -> list[CocoPicture]:
    """Read an annotation file, and compare it with the headers of its pictures.

    Crowd regions (`iscrowd`) and masks without a single pixel are left out: neither is an instance to find.

    Args:
        annotations: COCO JSON with `images` and `annotations`; masks as run lengths or polygons.
        images: Folder that the file names are relative to.

    Returns:
        The pictures in the order of the file, also those without instances.

    Raises:
        InputError: Something is missing, doubled or contradictory [coco-*], the JSON is damaged [json-damaged], or a
            picture is damaged.
    """
    if not images.is_dir():
        raise InputError(
            f"{images}: no such folder, expected the pictures of {annotations}; check --images", "folder-missing"
        )
    data = read_json(annotations)
    if not isinstance(data, dict):
        raise InputError(f"{annotations}: no JSON object, expected a COCO file; check the file", "coco-structure")
    entries = _read_entries(annotations, _list_of(annotations, data, "images"), images)
    masks = _read_masks(annotations, _list_of(annotations, data, "annotations"), entries)
    return [_picture(entry, masks[key]) for key, entry in entries.items()]


@dataclass(frozen=True)
class _Entry:
    image_id: str
    path: Path
    height: int
    width: int
    source: str


def _read_entries(file: Path, items: list[dict[str, Any]], images: Path) -> dict[int | str, _Entry]:
    """Return the picture entries by their number in the file, each compared with its picture."""
    entries: dict[int | str, _Entry] = {}
    for position, item in enumerate(items):
        where = f"{file}: images[{position}]"
        key = _key(where, item, "id")
        if key in entries:
            raise InputError(f"{where}: id {key!r} is there twice, expected once; correct the file", "coco-image-twice")
        entries[key] = _read_entry(where, item, images)
    if not entries:
        raise InputError(f"{file}: no picture listed, expected one or more; check the file", "coco-empty")
    _reject_missing(file, entries)
    _reject_doubled(file, entries)
    for entry in entries.values():
        _check_size(file, entry)
    return entries


def _read_entry(where: str, item: dict[str, Any], images: Path) -> _Entry:
    name = item.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: no file_name, expected the picture's name; correct the file", "coco-structure")
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\0" in name:
        raise InputError(
            f"{where}: file_name {name!r} leads out of the folder, expected a name inside {images}; correct the file",
            "coco-path",
        )
    sides = [item.get("height"), item.get("width")]
    if not all(type(side) is int and side > 0 for side in sides):
        raise InputError(
            f"{where}: height and width are {sides[0]} and {sides[1]}, expected pixels; correct the file",
            "coco-structure",
        )
    return _Entry(
        image_id=inside.with_suffix("").as_posix(),
        path=images / name,
        height=item["height"],
        width=item["width"],
        source=str(item.get("source", "")),
    )


def _reject_missing(file: Path, entries: dict[int | str, _Entry]) -> None:
    missing = [entry.path.name for entry in entries.values() if not entry.path.is_file()]
    if missing:
        raise InputError(
            f"{file}: {len(missing)} of {len(entries)} pictures are not in the folder ({first_names(missing)}), "
            "expected all of them; check --images",
            "coco-picture-missing",
        )


def _reject_doubled(file: Path, entries: dict[int | str, _Entry]) -> None:
    paths: dict[str, Path] = {}
    for entry in entries.values():
        other = paths.setdefault(entry.image_id, entry.path)
        if other is not entry.path:
            raise InputError(
                f"{file}: {other.name} and {entry.path.name} share the name {entry.image_id!r}, expected one entry per "
                "picture; remove or rename one",
                "coco-image-twice",
            )


def _check_size(file: Path, entry: _Entry) -> None:
    found = image_size(entry.path)
    if found != (entry.height, entry.width):
        raise InputError(
            f"{file}: {entry.path.name} is listed as {entry.width}x{entry.height} and is {found[1]}x{found[0]}, "
            "expected one size; use the pictures that were annotated",
            "coco-picture-size",
        )


def _read_masks(
    file: Path, items: list[dict[str, Any]], entries: dict[int | str, _Entry]
) -> dict[int | str, list[Rle]]:
    """Return the masks of every picture, by the picture's number in the file."""
    masks: dict[int | str, list[Rle]] = defaultdict(list)
    seen = set()
    for position, item in enumerate(items):
        where = f"{file}: annotations[{position}]"
        number = _key(where, item, "id")
        if number in seen:
            raise InputError(
                f"{where}: id {number!r} is there twice, expected once; correct the file", "coco-annotation-twice"
            )
        seen.add(number)
        key = _key(where, item, "image_id")
        if key not in entries:
            raise InputError(
                f"{where}: image_id {key!r} is not listed, expected the id of a picture; correct the file",
                "coco-unknown-image",
            )
        if item.get("iscrowd"):
            continue
        try:
            masks[key].append(read_rle(item.get("segmentation"), entries[key].height, entries[key].width))
        except ValueError as error:
            raise InputError(
                f"{where}: {error}, expected a mask of {entries[key].path.name}; correct the file", "coco-mask"
            ) from error
    return masks


def _picture(entry: _Entry, rles: list[Rle]) -> CocoPicture:
    boxes = boxes_of(rles)
    kept = boxes[:, 2] > boxes[:, 0]
    return CocoPicture(
        image_id=entry.image_id,
        path=entry.path,
        height=entry.height,
        width=entry.width,
        source=entry.source,
        boxes=boxes[kept],
        rles=tuple(rle for rle, keep in zip(rles, kept, strict=True) if keep),
    )


def _list_of(file: Path, data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = data.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(f"{file}: no list of {name}, expected a COCO file; check the file", "coco-structure")
    return items


def _key(where: str, item: dict[str, Any], name: str) -> int | str:
    key = item.get(name)
    if type(key) is int or isinstance(key, str):
        return key
    raise InputError(f"{where}: {name} is {key!r}, expected a number; correct the file", "coco-structure")
