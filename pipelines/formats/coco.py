"""COCO JSON, also in the folders that CVAT imports and exports.

Every mask is kept as run lengths, with its score. A crowd gets an id in the range that COCO keeps for crowds, since
other programs mark with `iscrowd` every mask that polygons cannot express.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.data.coco_file import CocoImage, category_names, is_marked_crowd, read_coco_file
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
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.polygons import outlines

CVAT_FILE = "annotations/instances_default.json"
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
    entries: dict[str, tuple[_CocoReader, CocoImage]] = {}
    ids: list[str] = []
    for file in files:
        reader = _CocoReader(file, path, places, notes)
        names |= dict.fromkeys(reader.names)
        ids += reader.entries
        entries |= {image_id: (reader, image) for image_id, image in reader.entries.items()}
    require_ids_once(ids, path)

    def read(image_id: str) -> AnnotatedPicture:
        reader, image = entries[image_id]
        return reader.picture(image_id, image)

    return AnnotatedSet(form, tuple(names), ids, read)


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
        return AnnotatedPicture(image_id, name, *frame.shown, tuple(instances), file)


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


def coco_text(pictures: Iterable[AnnotatedPicture], names: Sequence[str], as_polygons: bool) -> str:
    """Return the content of a COCO file.

    Args:
        pictures: The pictures.
        names: Names of the classes; their ids count from 1.
        as_polygons: Whether masks become polygons; crowds remain run lengths.
    """
    records: list[dict[str, Any]] = []
    written: list[Instance] = []
    for picture in pictures:
        records.append(_record(picture))
        written += picture.instances
    content = coco_json(records, {name: number for number, name in enumerate(names, start=1)})
    for annotation, instance in zip(content["annotations"], written, strict=True):
        if instance.score is None:
            del annotation["score"]
        if instance.crowd:
            annotation |= {"iscrowd": 1, "id": _CROWD_ID + annotation["id"]}
        elif as_polygons:
            annotation["segmentation"] = [polygon.ravel().tolist() for polygon in outlines(instance.mask)]
    return json.dumps(content) + "\n"


def _record(picture: AnnotatedPicture) -> dict[str, Any]:
    rles = [instance.rle for instance in picture.instances]
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
            for instance, box in zip(picture.instances, boxes_of(rles), strict=True)
        ],
    }


def _is_read(content: dict[str, Any]) -> bool:
    return bool(content.get("segmentation"))
