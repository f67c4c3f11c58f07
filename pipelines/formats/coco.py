"""COCO JSON, also in the folders that CVAT imports and exports.

Every mask is kept as run lengths, with its score. A crowd gets an id in the range that COCO keeps for crowds, since
other programs mark with `iscrowd` every mask that polygons cannot express.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.data.coco_file import CocoImage, as_key, category_names, is_marked_crowd, read_coco_file
from pipelines.data.coco_masks import MaskReader, any_drawn_before_exif
from pipelines.data.coco_writer import coco_json
from pipelines.data.images import ImageFile, strip_image_suffix
from pipelines.data.notes import Notes
from pipelines.data.rle import MaskSizeError, boxes_of
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
from pipelines.formats.losses import Losses
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.polygons import outlines

CVAT_FILE = "annotations/instances_default.json"
_READ = {
    "images": {"id", "file_name", "height", "width"},
    "annotations": {"id", "image_id", "category_id", "segmentation", "iscrowd", "score", "area", "bbox"},
    "categories": {"id", "name"},
}
"""The fields of COCO JSON that are kept; areas and boxes are measured anew."""
_CROWD_ID = 900_000_000_000  # COCO numbers its crowds from here on


def coco_files(folder: Path) -> list[Path]:
    """Return the annotation files of a folder in the layout of COCO and CVAT: `annotations/instances_*.json`."""
    return sorted((folder / "annotations").glob("instances_*.json"))


def read_coco(path: Path, form: str, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read COCO JSON.

    Args:
        path: The file, or a folder with `annotations/instances_*.json`.
        form: Name of the form.
        places: Finds the pictures.
        notes: Told what is left out, scaled or turned.

    Raises:
        InputError: As `read_coco_file`; or there is no such file [file-missing].
    """
    files = coco_files(path) if path.is_dir() else [path]
    if not files:
        raise InputError(
            f"{path}: no annotations/instances_*.json in it, COCO JSON expected; name the file", "file-missing"
        )
    names: dict[str, None] = {}
    numbers: dict[str, int] = {}
    entries: dict[str, tuple[_CocoReader, CocoImage]] = {}
    ids: list[str] = []
    for file in files:
        reader = _CocoReader(file, path, places, notes)
        names |= dict.fromkeys(reader.names)
        for name, number in reader.numbers.items():
            if numbers.setdefault(name, number) != number:
                notes.left_out(f"{file}: ids of categories left out, because an earlier file has others", name)
        ids += reader.entries
        entries |= {image_id: (reader, image) for image_id, image in reader.entries.items()}
    require_ids_once(ids, path)

    def read(image_id: str) -> AnnotatedPicture:
        reader, image = entries[image_id]
        return reader.picture(image_id, image)

    return AnnotatedSet(form, tuple(names), ids, read, numbers)


class _CocoReader:
    """One file: its pictures by image id, and the names of its classes."""

    def __init__(self, file: Path, root: Path, places: PicturePlaces, notes: Notes) -> None:
        content = read_json(file)
        images = read_coco_file(file, notes, content, crowds=True)
        listed = category_names(content)
        used = [class_name(a.category) for image in images for a in image.annotations if _is_read(a.content)]
        self.names = tuple(dict.fromkeys([*map(class_name, listed.values()), *used]))
        ids = [id_of_name(image.file_name, file) for image in images]
        require_ids_once(ids, file)
        self.entries = dict(zip(ids, images, strict=True))
        keys = [as_key(item["id"]) for item in content["images"]]
        self._numbers = {i: key for i, key in zip(ids, keys, strict=True) if isinstance(key, int)}
        self.numbers: dict[str, int] = {}
        for key, name in listed.items():
            if isinstance(key, int) and self.numbers.setdefault(class_name(name), key) != key:
                notes.left_out(f"{file}: categories left out, because another one has their name", f"{key} {name}")
        for name in _other_fields(content):
            notes.left_out(f"{file}: fields left out, because no form has a place for them", name)
        base = root if root.is_dir() else file.parent
        subset = file.stem.removeprefix("instances_")
        beside = [base, base / "images" / subset, base / subset]
        self._found = places.find(dict.fromkeys(image.file_name for image in images), file, beside)
        self._frames = {
            image.file_name: frame_of(self._found.get(image.file_name), image.size, image.file_name, file)
            for image in images
        }
        before_exif = any_drawn_before_exif((image.size, self._frames[image.file_name]) for image in images)
        self._reader = MaskReader(file, notes, before_exif)
        self._content = content

    def picture(self, image_id: str, image: CocoImage) -> AnnotatedPicture:
        frame = self._frames[image.file_name]
        try:
            placed = self._reader.read(image.file_name, image.annotations, image.size, frame)
        except MaskSizeError as error:
            raise InputError(
                f"{self._reader.file}: {image.file_name}: {error}; use the pictures that were annotated", "coco-mask"
            ) from error
        instances = [
            Instance(
                mask.rle,
                class_name(mask.annotation.category),
                score_of(mask.annotation.content.get("score"), self._reader.file, mask.annotation.where),
                is_marked_crowd(mask.annotation, self._content),
            )
            for mask in placed
        ]
        file: ImageFile | None = self._found.get(image.file_name)
        name = image_id + image.file_name[len(strip_image_suffix(image.file_name)) :]
        number = self._numbers.get(image_id)
        return AnnotatedPicture(image_id, name, *frame.shown, tuple(instances), file, number=number)


def score_of(value: Any, file: Path, where: str) -> float | None:
    """Return a score; None where there is none.

    Raises:
        InputError: It is no number of 0 to 1 [score-value].
    """
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise InputError(f"{file}: {where}: score is {str(value)[:40]}, 0 to 1 expected; correct it", "score-value")
    return float(value)


def coco_text(
    pictures: Iterable[AnnotatedPicture],
    names: Sequence[str],
    as_polygons: bool,
    numbers: Mapping[str, int] | None = None,
    losses: Losses | None = None,
) -> str:
    """Return the content of a COCO file.

    Pictures and classes keep the ids that they have in COCO JSON. Where one has none, or two have the same, all count
    from 1. Annotations always do.

    Args:
        pictures: The pictures.
        names: Names of the classes.
        as_polygons: Whether masks become polygons; crowds remain run lengths.
        numbers: The ids of the classes, as `AnnotatedSet` has them.
        losses: Told what is lost.
    """
    records: list[dict[str, Any]] = []
    written: list[Instance] = []
    own: list[int | None] = []
    for picture in pictures:
        instances = list(_written(picture, as_polygons, losses))
        records.append(_record(picture, instances))
        written += instances
        own.append(picture.number)
    of_coco = losses if numbers is not None else None  # else no id is lost
    new = _kept(own, "pictures", of_coco)
    classes = _kept([(numbers or {}).get(name) for name in names], "classes", of_coco)
    content = coco_json(records, dict(zip(names, classes, strict=True)))
    for image, number in zip(content["images"], new, strict=True):
        image["id"] = number
    for annotation, instance in zip(content["annotations"], written, strict=True):
        annotation["image_id"] = new[annotation["image_id"] - 1]
        if instance.score is None:
            del annotation["score"]
        if instance.crowd:
            annotation |= {"iscrowd": 1, "id": _CROWD_ID + annotation["id"]}
        elif as_polygons:
            annotation["segmentation"] = [polygon.ravel().tolist() for polygon in outlines(instance.mask)]
    return json.dumps(content) + "\n"


def _kept(numbers: Sequence[int | None], what: str, losses: Losses | None) -> list[int]:
    """Return the ids where each is one of its own, and else those from 1 on."""
    own = [number for number in numbers if number is not None]
    if len(set(own)) == len(numbers):
        return own
    if losses is not None:
        losses.add("ids", what)
    return list(range(1, len(numbers) + 1))


def _written(picture: AnnotatedPicture, as_polygons: bool, losses: Losses | None) -> Iterator[Instance]:
    """Yield the instances that can be written: an outline needs a pixel."""
    for number, instance in enumerate(picture.instances, start=1):
        if not as_polygons or instance.crowd or instance.mask.any():
            yield instance
        elif losses is not None:
            losses.add("empty", f"{picture.image_id} {number}")


def _record(picture: AnnotatedPicture, instances: Sequence[Instance]) -> dict[str, Any]:
    rles = [instance.rle for instance in instances]
    return {
        "file_name": picture.file_name,
        "height": picture.height,
        "width": picture.width,
        "instances": [
            {
                "box": [float(side) for side in box],
                "score": instance.score,
                "keyword": instance.name,
                "area": int(instance.mask.sum()),
                "segmentation": instance.rle,
            }
            for instance, box in zip(instances, boxes_of(rles), strict=True)
        ],
    }


def _other_fields(content: Mapping[str, Any]) -> list[str]:
    """Return the names of fields that say something and that are not read, such as `categories.supercategory`."""
    names = dict.fromkeys(name for name, value in content.items() if value and name not in _READ)
    for name, own in _READ.items():
        items = content.get(name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                names |= dict.fromkeys(f"{name}.{key}" for key, value in item.items() if value and key not in own)
    return list(names)


def _is_read(content: dict[str, Any]) -> bool:
    return bool(content.get("segmentation"))
