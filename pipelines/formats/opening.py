"""Looks at a file or folder, finds out its form, and takes the reader of that form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.config import ConvertConfig
from pipelines.data.folder_walk import walk_files
from pipelines.data.images import readable_suffixes
from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.files import read_json
from pipelines.formats.annotated import AnnotatedSet
from pipelines.formats.coco import coco_files, read_coco
from pipelines.formats.label_studio import is_label_studio, read_label_studio
from pipelines.formats.labelme import is_labelme, read_labelme
from pipelines.formats.mask_files import read_masks
from pipelines.formats.own_results import is_labels, is_predictions, pictures_of_labels, read_labels, read_predictions
from pipelines.formats.places import PicturePlaces
from pipelines.formats.s4net_pickle import read_pickle
from pipelines.formats.voc import is_cvat, is_voc, read_voc
from pipelines.formats.yolo_seg import read_yolo

_FOLDERS = {"voc", "cvat-voc", "cvat-coco", "yolo-seg", "masks", "labels", "predictions"}
_FILES = {"label-studio", "s4net-pickle"}
_NAMES_OF_YOLO = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")


def open_source(config: ConvertConfig, notes: Notes) -> AnnotatedSet:
    """Open what `s4 convert` is to read.

    Args:
        config: Settings, with `source`.
        notes: Told how the source is read, and what is left out.

    Raises:
        InputError: The form cannot be found out [source-form], the source is a file where a folder is expected or the
            other way round [source-form], or as the reader of the form raises.
    """
    path = config.source
    assert path is not None
    form = form_of(path) if config.from_ == "auto" else config.from_
    if (form in _FOLDERS and not path.is_dir()) or (form in _FILES and path.is_dir()):
        expected = "a folder" if form in _FOLDERS else "a file"
        raise InputError(f"{path}: {form} needs {expected}, the other found; correct SOURCE or --from", "source-form")
    notes.say(f"{path}: read as {form}")
    places = PicturePlaces(config.images or pictures_of_labels(path), notes)
    readers: dict[str, Callable[[], AnnotatedSet]] = {
        "voc": lambda: read_voc(path, form, config.classes, config.split, places, notes),
        "cvat-voc": lambda: read_voc(path, form, config.classes, config.split, places, notes),
        "coco": lambda: read_coco(path, form, places, notes),
        "cvat-coco": lambda: read_coco(path, form, places, notes),
        "labelme": lambda: read_labelme(path, form, places, notes),
        "label-studio": lambda: read_label_studio(path, form, places, notes),
        "yolo-seg": lambda: read_yolo(path, form, places, notes),
        "masks": lambda: read_masks(path, form, places, notes),
        "s4net-pickle": lambda: read_pickle(path, form),
        "labels": lambda: read_labels(path, form, config.classes, places, notes),
        "predictions": lambda: read_predictions(path, form, config.classes, places, notes),
    }
    return readers[form]()


def form_of(path: Path) -> str:
    """Return the form of a file or folder.

    Raises:
        InputError: It has none of the forms [source-form], or its JSON is damaged [json-damaged].
    """
    form = _form_of_folder(path) if path.is_dir() else _form_of_file(path)
    if form is None:
        raise InputError(
            f"{path}: its form is not one that s4 knows, annotations expected; name the form with --from", "source-form"
        )
    return form


def _form_of_file(path: Path) -> str | None:
    if path.suffix.lower() in (".pkl", ".pickle"):
        return "s4net-pickle"
    return _form_of_json(read_json(path)) if path.suffix.lower() == ".json" else None


def _form_of_json(content: Any) -> str | None:
    if is_labelme(content):
        return "labelme"
    if is_label_studio(content):
        return "label-studio"
    return "coco" if isinstance(content, dict) and "images" in content and "annotations" in content else None


def _form_of_folder(folder: Path) -> str | None:
    looks: dict[str, Callable[[Path], bool]] = {
        "labels": is_labels,
        "predictions": is_predictions,
        "cvat-voc": is_cvat,
        "voc": is_voc,
        "cvat-coco": lambda place: bool(coco_files(place)),
        "yolo-seg": lambda place: (
            any((place / name).is_file() for name in _NAMES_OF_YOLO) or (place / "labels").is_dir()
        ),
    }
    found = next((form for form, look in looks.items() if look(folder)), None)
    if found is not None:
        return found
    files = list(walk_files(folder, Notes()))
    texts = [file for file in files if file.suffix.lower() == ".json"]
    if texts:
        return "labelme" if is_labelme(read_json(texts[0])) else None
    return "masks" if any(file.name.lower().endswith(readable_suffixes()) for file in files) else None
