"""Opens instances of other programs: looks at a file or folder, and takes the reader of its form."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.data.folder_walk import walk_files
from pipelines.data.images import ImageFile, readable_suffixes
from pipelines.data.instance_sources.coco_annotations import open_coco
from pipelines.data.instance_sources.mask_folder import MaskFolder
from pipelines.data.instance_sources.picture_masks import InstanceSource
from pipelines.data.instance_sources.result_list import open_result_list
from pipelines.data.instance_sources.sam_folder import open_sam_folder
from pipelines.data.instance_sources.yolo_folder import YoloFolder
from pipelines.data.notes import Notes, first_names
from pipelines.errors import InputError
from pipelines.files import read_json

_FORMS = "COCO JSON, a list of results, a folder of masks, of Segment Anything's JSON, or of YOLO-seg's texts"
_TEXTS = (".json", ".txt")
_Reader = Callable[[Path, Mapping[str, Path], Mapping[str, ImageFile], Notes], InstanceSource]
# Readers of folders by the kind of their files, best first.
_READERS: dict[str, _Reader] = {"masks": MaskFolder, ".json": open_sam_folder, ".txt": YoloFolder}


def open_instances(path: Path, images: Mapping[str, ImageFile], notes: Notes | None = None) -> InstanceSource:
    """Open the instances in a file or folder.

    Args:
        path: COCO JSON; a JSON list of results; or a folder of masks, of JSON files or of texts.
        images: image_id -> picture file, of the pictures that will be asked for.
        notes: Told how the source is read, and what is left out.

    Raises:
        InputError: The path does not exist [file-missing], is in none of these forms [instances-form], or as its
            reader raises.
    """
    notes = notes or Notes()
    if path.is_dir():
        return _open_folder(path, images, notes)
    try:
        content = read_json(path)
    except InputError as error:
        if path.suffix.lower() == ".json" or error.rule == "file-missing":
            raise
        raise InputError(f"{path}: is no JSON, {_FORMS} expected; check --instances", "instances-form") from error
    return _open_json(path, content, images, notes)


def instance_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder that instances may be read from, by their path below it."""
    suffixes = (*readable_suffixes(), *_TEXTS)
    found = [path for path in walk_files(folder, Notes()) if path.name.lower().endswith(suffixes)]
    return {path.relative_to(folder).as_posix(): path for path in found}


def _open_json(path: Path, content: Any, images: Mapping[str, ImageFile], notes: Notes) -> InstanceSource:
    if isinstance(content, list):
        return open_result_list(path, content, images, notes)
    return open_coco(path, content, images, notes)


def _is_of_many_pictures(content: Any) -> bool:
    """Return whether JSON names pictures, as COCO's does; Segment Anything's is about the picture of its name."""
    if isinstance(content, list):
        return bool(content) and all(isinstance(item, dict) and "image_id" in item for item in content)
    return isinstance(content, dict) and "images" in content


def _files_by_kind(folder: Path, images: Mapping[str, ImageFile]) -> dict[str, dict[str, Path]]:
    """Return the files of a folder by their name without suffix: picture files, `.json` and `.txt`."""
    pictures = {place.resolve() for place in images.values() if isinstance(place, Path)}
    by_suffix: dict[str, dict[str, list[Path]]] = {}
    for inside, path in instance_files(folder).items():
        kind = path.suffix.lower() if path.suffix.lower() in _TEXTS else "masks"
        # Pictures and what is known of them may lie in one folder.
        if kind != "masks" or path.resolve() not in pictures:
            by_suffix.setdefault(kind, {}).setdefault(inside[: -len(path.suffix)], []).append(path)
    return {kind: _single(folder, files) for kind, files in by_suffix.items()}


def _open_folder(folder: Path, images: Mapping[str, ImageFile], notes: Notes) -> InstanceSource:
    by_kind = _files_by_kind(folder, images)
    if list(by_kind) == [".json"] and len(by_kind[".json"]) == 1:
        (file,) = by_kind[".json"].values()
        content = read_json(file)
        if _is_of_many_pictures(content):
            return _open_json(file, content, images, notes)
    if not by_kind:
        raise InputError(f"{folder}: nothing to read masks from, {_FORMS} expected; check --instances", "folder-empty")
    strangers = None
    for kind, reader in _READERS.items():
        try:
            if kind in by_kind:
                return reader(folder, by_kind[kind], images, notes)
        except InputError as error:
            if error.rule != "masks-none":
                raise
            strangers = strangers or error
    assert strangers is not None
    raise strangers


def _single(folder: Path, files: Mapping[str, list[Path]]) -> dict[str, Path]:
    """Return the only file of each name."""
    twice = [" and ".join(path.name for path in paths) for paths in files.values() if len(paths) > 1]
    if twice:
        raise InputError(
            f"{folder}: {len(twice)} names stand for several files ({first_names(twice, 100)}), expected one file for "
            "a picture; remove the others",
            "image-id-twice",
        )
    return {name: paths[0] for name, paths in files.items()}
