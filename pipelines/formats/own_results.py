"""What `pseudo-label` and `predict` write, as sources: instances with scores, label maps, and where pictures lie.

Labels are those that people corrected with `review`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.usual_places import recorded_pictures
from pipelines.data.classes import load_classes
from pipelines.data.images import strip_image_suffix
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_label_map
from pipelines.data.notes import Notes
from pipelines.data.prediction_records import SALIENT, noted_classes
from pipelines.data.record_files import RECORDS, SETTINGS, Record, intact_records, newest_records
from pipelines.data.review import read_reviews
from pipelines.data.rle import read_rle
from pipelines.errors import InputError
from pipelines.files import read_json
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet, Instance, class_name, regions
from pipelines.formats.coco import score_of
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.reviewed_labels import NO_CLASS, ReviewedInstances
from pipelines.journal import Journal
from pipelines.stores.paths import is_file


def is_labels(folder: Path) -> bool:
    """Return whether a folder holds pseudo labels."""
    manifest = folder / "manifest.json"
    content = read_json(manifest) if manifest.is_file() else None
    return isinstance(content, dict) and content.get("kind") == "pseudo"


def is_predictions(folder: Path) -> bool:
    """Return whether `predict` wrote a folder."""
    return (folder / SETTINGS).is_file() and (folder / RECORDS).is_file() and not is_labels(folder)


def pictures_of_labels(folder: Path) -> tuple[Path, ...] | None:
    """Return the folders of the pictures that labels were made from, if they are noted and still there."""
    places = recorded_pictures(folder) if is_labels(folder) else None
    return places if places and all(place.exists() for place in places) else None


def read_labels(folder: Path, form: str, classes: str | None, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read a label folder with its corrections; pictures and instances that the labels leave out are left out.

    Args:
        folder: The folder.
        form: Name of the form.
        classes: Class list that is expected; None for that of the folder.
        places: Finds the pictures.
        notes: Told what is left out.

    Raises:
        InputError: As `open_labels` or `read_reviews`; or the records are missing or damaged [records-missing].
    """
    asked = None if classes in (None, "auto") else load_classes(str(classes))
    labels = open_labels(folder, "pseudo", asked)
    names = labels.classes.names
    reviewed = ReviewedInstances(names, read_reviews(folder))

    def finish(image_id: str, record: Record, picture: AnnotatedPicture) -> AnnotatedPicture:
        label_map = labels.read_label(image_id)
        _require_size(labels.label_path(image_id), label_map, picture)
        finished = _with_map(picture, label_map, picture.instances, is_file(labels.confidence_path(image_id)))
        return replace(finished, strokes=len(reviewed.of(image_id).strokes))

    return _read(folder, form, names, places, notes, finish, reviewed)


def read_predictions(folder: Path, form: str, classes: str | None, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read the results of `predict`: instances of an S4Net, or label maps of a DeepLab.

    Args:
        folder: The folder.
        form: Name of the form.
        classes: Class list of label maps; None for that of the folder, or VOC's.
        places: Finds the pictures.
        notes: Told what is left out.

    Raises:
        InputError: The records are missing or damaged [records-missing], or a label map cannot be read.
    """
    settings = read_json(folder / SETTINGS)
    if not isinstance(settings, dict) or settings.get("network") != "deeplab":
        return _read(folder, form, None, places, notes, lambda image_id, record, picture: picture)
    asked = None if classes in (None, "auto") else load_classes(str(classes))
    class_list = asked or noted_classes(folder) or load_classes("voc")

    def finish(image_id: str, record: Record, picture: AnnotatedPicture) -> AnnotatedPicture:
        label_map = read_label_map(folder / f"{image_id}.png", class_list)
        _require_size(folder / f"{image_id}.png", label_map, picture)
        notes.decided(f"{folder}: each connected region of a class is taken for an instance", image_id)
        return _with_map(picture, label_map, regions(label_map, class_list.names), False)

    return _read(folder, form, class_list.names, places, notes, finish)


def _read(
    folder: Path,
    form: str,
    names: Sequence[str] | None,
    places: PicturePlaces,
    notes: Notes,
    finish: Any,
    reviewed: ReviewedInstances | None = None,
) -> AnnotatedSet:
    """Read the records of a folder; `finish` (image_id, record, picture) adds what is no record."""
    records = newest_records(Journal(folder / RECORDS))
    if not records:
        raise InputError(f"{folder}: no record of a picture, {RECORDS} expected; make them anew", "records-missing")
    done = {}
    for image_id, record in records.items():
        fault = "they failed" if "failed" in record else reviewed and reviewed.picture_fault(record)
        if fault:
            notes.left_out(f"{folder}: pictures left out, because {fault}", image_id)
        else:
            done[image_id] = record
    wanted = {image_id: str(record.get("file_name", image_id)) for image_id, record in done.items()}
    found = places.find(wanted.values(), folder)

    def read(image_id: str) -> AnnotatedPicture:
        record, name = done[image_id], wanted[image_id]
        with intact_records(folder):
            size = int(record["height"]), int(record["width"])
        frame = frame_of(found.get(name), size, image_id, folder)
        if frame.shown != size:
            raise InputError(
                f"{folder}: {image_id} was made from a picture of {size[1]}x{size[0]}, it has "
                f"{frame.shown[1]}x{frame.shown[0]} now; name the same pictures with --images",
                "label-size",
            )
        instances = tuple(_instances(record, folder, notes, reviewed))
        suffix = name[len(strip_image_suffix(name)) :] or ".jpg"
        picture = AnnotatedPicture(image_id, image_id + suffix, *size, instances, found.get(name))
        result: AnnotatedPicture = finish(image_id, record, picture)
        return result

    if names is None:
        names = list(dict.fromkeys(i.name for record in done.values() for i in _instances(record, folder, notes)))
    return AnnotatedSet(form, tuple(names) or (SALIENT,), list(done), read)


def _instances(record: Record, folder: Path, notes: Notes, reviewed: ReviewedInstances | None = None) -> list[Instance]:
    found = []
    for number, instance in enumerate(record.get("instances", ()), start=1):
        where = f"{record['image_id']} {number}"
        try:
            keyword, rle = instance["keyword"], read_rle(instance["segmentation"], record["height"], record["width"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{folder / RECORDS}: {where}: {error}, an instance with a mask expected; make the folder anew",
                "records-damaged",
            ) from error
        keyword, fault = (keyword, NO_CLASS) if reviewed is None else reviewed.shown(record, instance)
        if keyword is None:
            notes.left_out(f"{folder}: instances left out, because {fault}", where)
        else:
            score = score_of(instance.get("score"), folder / RECORDS, where)
            found.append(Instance(rle, class_name(str(keyword)), score))
    return found


def _with_map(
    picture: AnnotatedPicture, label_map: NDArray[np.uint8], instances: tuple[Instance, ...], confidence: bool
) -> AnnotatedPicture:
    return AnnotatedPicture(
        picture.image_id, picture.file_name, picture.height, picture.width, instances, picture.file, label_map, None,
        confidence,
    )  # fmt: skip


def _require_size(file: Path, label_map: NDArray[np.uint8], picture: AnnotatedPicture) -> None:
    if label_map.shape != (picture.height, picture.width):
        raise InputError(
            f"{file}: label map is {label_map.shape[1]}x{label_map.shape[0]}, expected "
            f"{picture.width}x{picture.height} as its record says; make the labels anew",
            "label-size",
        )
