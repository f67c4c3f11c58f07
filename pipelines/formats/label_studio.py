"""Label Studio: a JSON list of tasks, with brush strokes (run lengths) or polygons.

Instances with scores are written as predictions, which Label Studio shows as a proposal; others as annotations.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import MAX_PIXELS, ImageFile, readable_suffixes, strip_image_suffix
from pipelines.data.notes import Notes
from pipelines.data.rle import decode_masks, encode_masks, read_rle, usable_polygons
from pipelines.errors import InputError
from pipelines.files import read_json
from pipelines.formats.annotated import (
    AnnotatedPicture,
    AnnotatedSet,
    Instance,
    class_name,
    id_of_name,
    require_ids_once,
)
from pipelines.formats.brush import decode_brush, encode_brush
from pipelines.formats.coco import score_of
from pipelines.formats.losses import Losses
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.polygons import outline

_BRUSH, _POLYGON = "brushlabels", "polygonlabels"
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # Label Studio puts a mark before the name of a picture that it was given
_SERVED = "/data/local-files/?d="
_ERRORS = "surrogateescape"  # a name of a file may be no UTF-8
_VERSION = "s4"  # of the model, beside predictions


def is_label_studio(content: Any) -> bool:
    """Return whether the content of a JSON file is a list of Label Studio's tasks."""
    return isinstance(content, list) and bool(content) and all(isinstance(t, dict) and "data" in t for t in content)


def read_label_studio(path: Path, form: str, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read an export of Label Studio ("JSON").

    Args:
        path: The file.
        form: Name of the form.
        places: Finds the pictures.
        notes: Told what is left out.

    Raises:
        InputError: The file is damaged [json-damaged] or no list of tasks [label-studio-structure].
    """
    content = read_json(path)
    if not is_label_studio(content):
        raise InputError(
            f"{path}: no list of tasks with data, an export of Label Studio as JSON expected; export it anew",
            "label-studio-structure",
        )
    names = [_picture_name(path, task) for task in content]
    plain = [_without_mark(name, places) if uploaded else name for name, uploaded in names]
    found = places.find(dict.fromkeys(plain), path, [path.parent])
    tasks = [(id_of_name(name, path), name, task) for name, task in zip(plain, content, strict=True)]
    require_ids_once([image_id for image_id, _, _ in tasks], path)
    by_id = {i: (name, _results(path, i, task, notes), task["data"]) for i, name, task in tasks}
    used = (class_name(_label(result)) for _, results, _ in by_id.values() for result in results if _kind(result))

    def read(image_id: str) -> AnnotatedPicture:
        name, results, data = by_id[image_id]
        # A task without a result has no size but that of its data, where this program puts it.
        listed = {"original_width": data.get("width"), "original_height": data.get("height")}
        frame = frame_of(found.get(name), _size([*results, listed]), image_id, path)
        return _picture(path, image_id, name, results, frame.shown, notes, found.get(name))

    return AnnotatedSet(form, tuple(sorted(set(used))), list(by_id), read)


def _picture_name(path: Path, task: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the name of a task's picture below the folder of the pictures, and whether it was uploaded."""
    data = task["data"]
    for value in data.values() if isinstance(data, dict) else ():
        if isinstance(value, str):
            parts = _address_parts(value)
            inside = unquote(parts.path, errors=_ERRORS)
            name = parse_qs(parts.query, errors=_ERRORS).get("d", [inside])[0]
            if name.lower().endswith(readable_suffixes()):
                uploaded = "/upload/" in inside
                return PurePosixPath(name).name if parts.scheme or uploaded else name.lstrip("/"), uploaded
    raise InputError(
        f"{path}: task {task.get('id', '')} names no picture, a path or an address in data expected; correct it",
        "label-studio-structure",
    )


def _address_parts(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:  # a host that is none
        return SplitResult("", "", "", "", "")


def _without_mark(name: str, places: PicturePlaces) -> str:
    """Return the name that a picture had before it was uploaded, unless a given picture has the mark in its name."""
    match = _UPLOADED.fullmatch(name)
    known = places.given is not None and PurePosixPath(name).with_suffix("").as_posix() in places.given
    return name if match is None or known else match.group(1)


def _results(path: Path, image_id: str, task: Mapping[str, Any], notes: Notes) -> list[dict[str, Any]]:
    """Return the results of the first annotation that nobody cancelled, or else of the first prediction."""
    for key in ("annotations", "completions", "predictions"):
        several = task.get(key)
        items = several if isinstance(several, list) else []
        own = [item for item in items if isinstance(item, dict) and isinstance(item.get("result"), list)]
        whole = [item for item in own if not item.get("was_cancelled")]
        for number in range(2, len(whole) + 1):
            notes.left_out(f"{path}: {key} left out, because the picture has an earlier one", f"{image_id} {number}")
        if whole:
            results = whole[0]["result"]
            return [result for result in results if isinstance(result, dict) and isinstance(result.get("value"), dict)]
    return []


def _kind(result: Mapping[str, Any]) -> str | None:
    kind = result.get("type")
    return str(kind) if kind in (_BRUSH, _POLYGON, "brush", "polygon") else None


def _label(result: Mapping[str, Any]) -> str:
    labels = result["value"].get(_BRUSH) or result["value"].get(_POLYGON) or [""]
    return str(labels[0]) if isinstance(labels, list) else ""


def _picture(
    path: Path,
    image_id: str,
    name: str,
    results: Sequence[dict[str, Any]],
    shown: tuple[int, int],
    notes: Notes,
    file: ImageFile | None,
) -> AnnotatedPicture:
    instances = []
    for position, result in enumerate(results):
        where = f"{image_id}, result {position}"
        if _kind(result) is None:
            notes.left_out(f"{path}: results left out, because they are no masks", f"{where} ({result.get('type')})")
            continue
        mask = _mask(path, where, result, shown, notes)
        if mask is not None:
            score = score_of(result.get("score"), path, where)
            instances.append(Instance(encode_masks(mask[None])[0], class_name(_label(result)), score))
    file_name = image_id + name[len(strip_image_suffix(name)) :]
    return AnnotatedPicture(image_id, file_name, *shown, tuple(instances), file)


def _size(results: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    for result in results:
        height, width = result.get("original_height"), result.get("original_width")
        if type(height) is int and type(width) is int and height > 0 < width and height * width <= MAX_PIXELS:
            return height, width
    return None


def _mask(
    path: Path, where: str, result: Mapping[str, Any], shown: tuple[int, int], notes: Notes
) -> NDArray[np.bool_] | None:
    """Return the mask [H, W] of a result; None for a polygon that cannot be, which is told."""
    value, size = result["value"], _size([result]) or shown
    if size != shown:
        raise InputError(
            f"{path}: {where}: drawn on a picture of {size[1]}x{size[0]}, the picture is {shown[1]}x{shown[0]}; use "
            "the pictures that were annotated",
            "mask-size",
        )
    if isinstance(value.get("rle"), list):
        try:
            return decode_brush(value["rle"], *size)
        except ValueError as error:
            raise InputError(f"{path}: {where}: {error}; export it anew", "label-studio-structure") from error
    points = value.get("points")
    whole = isinstance(points, list) and all(isinstance(p, list) and len(p) == 2 for p in points)
    # Shares of a hundred: what is lost in writing them must not move a corner across the centre of a pixel.
    factors = (size[1] / 100, size[0] / 100)
    try:
        corners = [round(x * f, 3) for point in points for x, f in zip(point, factors, strict=True)] if whole else []
    except (TypeError, OverflowError, ValueError):
        corners = []
    usable, faults = usable_polygons([corners], *size)
    if faults:
        notes.left_out(f"{path}: results left out, because {faults[0]}", where)
        return None
    return np.asarray(decode_masks([read_rle(usable, *size)], *size)[0], bool)


class LabelStudioWriter:
    """Collects tasks, and gives them as the text of one file."""

    def __init__(self, as_polygons: bool, losses: Losses) -> None:
        """Take whether masks become polygons, and who is told what is lost."""
        self._as_polygons, self._losses = as_polygons, losses
        self._tasks: list[dict[str, Any]] = []

    def add(self, picture: AnnotatedPicture) -> None:
        """Take a picture."""
        results = list(self._written(picture))
        scores = [result["score"] for result in results if "score" in result]
        data = {
            "image": _SERVED + quote(picture.file_name, errors=_ERRORS),
            "width": picture.width,
            "height": picture.height,
        }
        task: dict[str, Any] = {"data": data}
        if scores:
            score = sum(scores) / len(scores)
            task["predictions"] = [{"model_version": _VERSION, "score": score, "result": results}]
        else:
            task["annotations"] = [{"result": results}]
        self._tasks.append(task)

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(self._tasks) + "\n"

    def _written(self, picture: AnnotatedPicture) -> Iterator[dict[str, Any]]:
        for number, instance in enumerate(picture.instances, start=1):
            case, mask = f"{picture.image_id} {number}", instance.mask
            if instance.crowd or not mask.any():
                self._losses.add("crowd" if instance.crowd else "empty", case)
                continue
            kind = _POLYGON if self._as_polygons else _BRUSH
            if self._as_polygons:
                shares = outline(mask) * (100 / picture.width, 100 / picture.height)
                value: dict[str, Any] = {"points": shares.round(8).tolist(), "closed": True}
            else:
                value = {"format": "rle", "rle": encode_brush(mask)}
            yield {
                "id": f"s4-{number}",
                "type": kind,
                "from_name": "label",
                "to_name": "image",
                "original_width": picture.width,
                "original_height": picture.height,
                "image_rotation": 0,
                "value": {**value, kind: [instance.name]},
                **({} if instance.score is None else {"score": instance.score}),
            }
