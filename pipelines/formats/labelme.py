"""labelme: a JSON file beside each picture.

A mask is a shape of type `mask`, which labelme has since version 5.2: a PNG of the pixels inside its box. As polygons,
the parts of an instance share a `group_id`. The score stands in a key of its own, which labelme keeps. A crowd has the
flag `crowd`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import BACKGROUND_NAMES, IGNORED_NAME
from pipelines.data.folder_walk import walk_files
from pipelines.data.images import ImageFile, encode_png, mask_in_png
from pipelines.data.notes import Notes
from pipelines.data.rle import decode_masks, encode_masks, read_rle, usable_polygons
from pipelines.errors import InputError
from pipelines.files import read_json, read_text
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet, Instance, class_name, require_ids_once
from pipelines.formats.coco import score_of
from pipelines.formats.losses import Losses
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.polygons import outlines
from pipelines.formats.target import TargetFolder

_VERSION = "5.5.0"  # of labelme, whose form is written; every later version reads it
_NAMES = "labels.txt"
_ARC = np.linspace(0, 2 * np.pi, 361)[:-1]
_NO_CLASS = (*BACKGROUND_NAMES, IGNORED_NAME)
_CROWD = "crowd"


def labelme_files(path: Path, notes: Notes) -> dict[str, Path]:
    """Return labelme's files of a folder, or the one file that is named, by their path without suffix."""
    if path.is_file():
        return {path.stem: path}
    files = [file for file in walk_files(path, notes) if file.suffix.lower() == ".json"]
    return {file.relative_to(path).with_suffix("").as_posix(): file for file in files if is_labelme(read_json(file))}


def is_labelme(content: Any) -> bool:
    """Return whether the content of a JSON file is that of labelme."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(path: Path, form: str, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read the files of a folder.

    Args:
        path: The folder, or one file.
        form: Name of the form.
        places: Finds the pictures.
        notes: Told what is left out.

    Raises:
        InputError: There is no such file [folder-empty], or a file is damaged [json-damaged] [labelme-structure].
    """
    files = labelme_files(path, notes)
    if not files:
        raise InputError(f"{path}: no JSON file of labelme in it, one or more expected; check the path", "folder-empty")
    contents = {image_id: _Content(file, read_json(file)) for image_id, file in files.items()}
    require_ids_once(list(files), path)
    listed = path.with_name(_NAMES) if path.is_file() else path / _NAMES
    lines = read_text(listed).splitlines() if listed.is_file() else []
    names = dict.fromkeys(name.strip() for name in lines if name.strip() and name.strip() not in _NO_CLASS)
    names |= dict.fromkeys(name for content in contents.values() for name in content.names)
    root = path if path.is_dir() else path.parent
    wanted = {image_id: _picture_name(image_id, content.picture) for image_id, content in contents.items()}
    found = places.find(wanted.values(), path, [root])

    def read(image_id: str) -> AnnotatedPicture:
        name = wanted[image_id]
        return contents[image_id].annotated(image_id, name, found.get(name), notes)

    return AnnotatedSet(form, tuple(names), list(files), read)


def _picture_name(image_id: str, given: str) -> str:
    """Return the name of a picture below the folder: it lies beside its JSON file."""
    name = PurePosixPath(given.replace("\\", "/")).name
    return (PurePosixPath(image_id).parent / (name or image_id)).as_posix()


class _Content:
    """What stands in one file. The picture inside it, if there is one, is not kept."""

    def __init__(self, file: Path, content: Any) -> None:
        if not is_labelme(content):
            raise _wrong(file, "no shapes with an imagePath")
        self.file, self.picture = file, str(content["imagePath"])
        self.shapes: list[dict[str, Any]] = content["shapes"]
        if not all(isinstance(s, dict) and isinstance(s.get("label"), str) for s in self.shapes):
            raise _wrong(file, "a shape without a label")
        size = content.get("imageHeight"), content.get("imageWidth")
        whole = all(type(side) is int and side > 0 for side in size)
        self.size: tuple[int, int] | None = size if whole else None
        self.names = [class_name(s["label"]) for s in self.shapes if s["label"] not in _NO_CLASS]

    def annotated(self, image_id: str, name: str, file: ImageFile | None, notes: Notes) -> AnnotatedPicture:
        frame = frame_of(file, self.size, image_id, self.file)
        height, width = frame.shown
        if self.size is not None and self.size != frame.shown:
            raise InputError(
                f"{self.file}: drawn on a picture of {self.size[1]}x{self.size[0]}, {file} is {width}x{height}; use "
                "the pictures that were annotated",
                "mask-size",
            )
        groups: dict[Any, list[tuple[dict[str, Any], NDArray[np.bool_]]]] = {}
        for position, shape in enumerate(self.shapes):
            where = f"{image_id}, shape {position}"
            mask = None if shape["label"] in _NO_CLASS else self._mask(shape, height, width, where, notes)
            if shape["label"] in _NO_CLASS:
                notes.left_out(f"{self.file.parent}: shapes left out, because they name no class", where)
            elif mask is not None:
                group = shape.get("group_id")
                key = (shape["label"], group) if isinstance(group, int) else position
                groups.setdefault(key, []).append((shape, mask))
        instances = tuple(self._instance(parts) for parts in groups.values())
        return AnnotatedPicture(image_id, self._file_name(image_id), height, width, instances, file)

    def _file_name(self, image_id: str) -> str:
        return image_id + PurePosixPath(self.picture.replace("\\", "/")).suffix

    def _instance(self, parts: Sequence[tuple[dict[str, Any], NDArray[np.bool_]]]) -> Instance:
        shape, mask = parts[0][0], np.any([mask for _, mask in parts], axis=0)
        flags = shape.get("flags")
        return Instance(
            encode_masks(mask[None])[0],
            class_name(shape["label"]),
            score_of(shape.get("score"), self.file, "a shape"),
            isinstance(flags, dict) and flags.get(_CROWD) is True,
        )

    def _mask(
        self, shape: Mapping[str, Any], height: int, width: int, where: str, notes: Notes
    ) -> NDArray[np.bool_] | None:
        """Return the mask [H, W] of a shape; None for one that has no area, which is told."""
        kind = shape.get("shape_type", "polygon")
        points = _points(shape.get("points"))
        corners = None if points is None else _corners(kind, points)
        if points is not None and kind == "mask" and len(points) == 2:
            return self._pasted(shape.get("mask"), points, height, width, where)
        if corners is None:
            what = f"{self.file.parent}: shapes left out, because a {kind} of such points has no area"
            notes.left_out(what, where)
            return None
        usable, faults = usable_polygons([corners.ravel().tolist()], height, width)
        if faults:
            notes.left_out(f"{self.file.parent}: shapes left out, because {faults[0]}", where)
            return None
        return np.asarray(decode_masks([read_rle(usable, height, width)], height, width)[0], bool)

    def _pasted(self, text: Any, points: NDArray[np.float64], height: int, width: int, where: str) -> NDArray[np.bool_]:
        try:
            pixels = mask_in_png(base64.b64decode(text, validate=True), (height, width))
        except (TypeError, ValueError) as error:  # base64 says ValueError too
            raise _wrong(self.file, f"{where}: the mask is damaged ({error})") from error
        (left, top), (right, bottom) = points.astype(int).tolist()
        inside = 0 <= left <= right < width and 0 <= top <= bottom < height
        if not inside or pixels.shape != (bottom - top + 1, right - left + 1):
            raise _wrong(self.file, f"{where}: the mask does not fit its two points")
        mask = np.zeros((height, width), bool)
        mask[top : bottom + 1, left : right + 1] = pixels
        return mask


def _points(given: Any) -> NDArray[np.float64] | None:
    if not isinstance(given, list) or not all(isinstance(point, list) and len(point) == 2 for point in given):
        return None
    if not all(type(value) in (int, float) and abs(value) < 2**31 for point in given for value in point):
        return None
    return np.array(given, np.float64).reshape(-1, 2)


def _corners(kind: str, points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the corners of a shape; None for one without an area."""
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if kind == "circle" and len(points) == 2:
        radius = np.hypot(*(points[1] - points[0]))
        return np.asarray(points[0] + radius * np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1))
    is_polygon = kind in ("polygon", "oriented_rectangle", "rectangle") and len(points) > 2
    return points if is_polygon else None


def _wrong(file: Path, found: str) -> InputError:
    return InputError(f"{file}: {found}, a file of labelme expected; correct or remove it", "labelme-structure")


class LabelmeWriter:
    """Writes a JSON file for each picture, and the picture beside it."""

    def __init__(
        self, target: TargetFolder, names: Sequence[str], copies: bool, as_polygons: bool, losses: Losses
    ) -> None:
        """Take where to write.

        Args:
            target: The folder.
            names: Names of the classes.
            copies: Whether pictures are copied.
            as_polygons: Whether masks become polygons.
            losses: Told what is lost.
        """
        self._target, self._copies, self._as_polygons, self._losses = target, copies, as_polygons, losses
        target.add(_NAMES, "".join(f"{name}\n" for name in (IGNORED_NAME, BACKGROUND_NAMES[1], *names)))

    def add(self, picture: AnnotatedPicture) -> None:
        """Write a picture and its file."""
        image_id = picture.image_id
        name = picture.file_name
        if self._copies or picture.pixels is not None:
            name = self._target.add_picture(image_id, picture)
        for number, instance in enumerate(picture.instances, start=1):
            if not instance.mask.any():
                self._losses.add("empty", f"{image_id} {number}")
        place = PurePosixPath(name).name
        self._target.add(f"{image_id}.json", labelme_text(picture, place, self._as_polygons))

    def finish(self) -> None:
        """Write nothing more: the files say everything."""


def labelme_text(picture: AnnotatedPicture, place: str, as_polygons: bool, content: str | None = None) -> str:
    """Return the content of the file of a picture.

    Args:
        picture: The picture.
        place: The path of the picture from the folder of the file, with `/`.
        as_polygons: Whether masks become polygons.
        content: The picture itself, in base64, where it is no file; None: it lies at `place`.
    """
    shapes = []
    for number, instance in enumerate(picture.instances, start=1):
        shapes += _shapes(instance, number, as_polygons)
    written: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": place,
        "imageData": content,
        "imageHeight": picture.height,
        "imageWidth": picture.width,
    }
    return json.dumps(written, indent=2) + "\n"


def _shapes(instance: Instance, number: int, as_polygons: bool) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"label": instance.name, "description": "", "group_id": None}
    common |= {"flags": {_CROWD: True} if instance.crowd else {}}
    common |= {} if instance.score is None else {"score": instance.score}
    mask = instance.mask
    if not mask.any():
        return []
    if as_polygons:
        parts = outlines(mask)
        group = {"group_id": number} if len(parts) > 1 else {}
        return [{**common, **group, "shape_type": "polygon", "points": part.tolist()} for part in parts]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [[int(columns[0]), int(rows[0])], [int(columns[-1]), int(rows[-1])]]
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    png = base64.b64encode(encode_png(np.where(inside, np.uint8(255), np.uint8(0)))).decode()
    return [{**common, "shape_type": "mask", "points": box, "mask": png}]
