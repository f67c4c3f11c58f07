"""Data with masks: COCO files for the salient-instance network, and VOC folders to evaluate on."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.data.coco import load_coco
from pipelines.data.coco_file import category_names
from pipelines.data.voc import read_split, truth_path
from pipelines.errors import InputError, S4Error
from pipelines.files import read_json
from pipelines.survey.listing import Listing

_SAMPLES = 20  # file names that tell where the pictures of a COCO file lie
_EVALUATION = ("val", "test", "trainval", "train")


@dataclass(frozen=True)
class CocoFile:
    """A COCO file.

    Attributes:
        path: The file.
        images: Folder of its pictures; None if they are not below the surveyed folder.
        pictures: How many pictures it lists.
        instances: How many annotations it has.
        has_masks: Whether its instances have masks.
        categories: Names of its categories.
        fault: Message about what is wrong with it for a training; empty if nothing is.
    """

    path: Path
    images: Path | None
    pictures: int
    instances: int
    has_masks: bool
    categories: tuple[str, ...]
    fault: str = ""

    @property
    def trains(self) -> bool:
        """Whether a salient-instance network can learn from it."""
        return self.has_masks and self.images is not None and not self.fault


@dataclass(frozen=True)
class Truth:
    """A list of pictures with true label maps, in VOC's layout."""

    voc: Path
    split: str
    pictures: int


def coco_files(listing: Listing) -> tuple[list[CocoFile], list[Path]]:
    """Return the COCO files of a folder, and the other JSON files."""
    found, others = [], []
    for path in listing.with_suffix(".json"):
        content = _content(path)
        if content is None:
            others.append(path)
        else:
            found.append(_coco_file(path, content, listing))
    return found, others


def _content(path: Path) -> dict[str, Any] | None:
    """Return the content of a COCO file; None for any other file."""
    try:
        content = read_json(path)
    except S4Error:
        return None
    lists = isinstance(content, dict) and [content.get("images"), content.get("annotations")]
    return content if lists and all(isinstance(one, list) for one in lists) else None


def _coco_file(path: Path, content: dict[str, Any], listing: Listing) -> CocoFile:
    names = [str(image.get("file_name", "")) for image in content["images"] if isinstance(image, dict)]
    annotations = [one for one in content["annotations"] if isinstance(one, dict)]
    images = _folder_of(names[:_SAMPLES], path, listing)
    has_masks = any(one.get("segmentation") for one in annotations)
    fault = _fault(path, images) if has_masks and images is not None else ""
    return CocoFile(
        path, images, len(names), len(annotations), has_masks, tuple(category_names(content).values()), fault
    )


def _folder_of(names: list[str], path: Path, listing: Listing) -> Path | None:
    """Return the folder below which every file name leads to a file, the nearest one to the COCO file first."""
    for folder in listing.near(path):
        if names and all(os.path.isfile(folder / name) for name in names):
            return folder
    return None


def _fault(path: Path, images: Path) -> str:
    try:
        load_coco(path, images)
    except InputError as error:
        return str(error)
    return ""


def training_files(files: list[CocoFile]) -> tuple[CocoFile | None, CocoFile | None]:
    """Choose the COCO file to train on, and the one that chooses the best checkpoint.

    A name with `train` is for training, and one with `val` in the same folder chooses. Without such names, the file of
    most pictures is for training.
    """
    usable = [file for file in files if file.trains and file.instances]
    named = [file for file in usable if "train" in file.path.stem.lower()] or [
        file for file in usable if not any(word in file.path.stem.lower() for word in ("val", "test"))
    ]
    train = max(named or usable, key=lambda file: file.pictures, default=None)
    others = (file for file in usable if train is not None and file != train and file.images == train.images)
    return train, next((file for file in others if "val" in file.path.stem.lower()), None)


def truths(listing: Listing) -> list[Truth]:
    """Return, for each VOC folder, the list that has a true label map for each of its pictures."""
    return [truth for voc in listing.voc if (truth := next(_truths(voc), None)) is not None]


def _truths(voc: Path) -> Iterator[Truth]:
    for split in _EVALUATION:
        try:
            ids = read_split(voc, split)
        except InputError:
            continue
        if all(os.path.isfile(truth_path(voc, image_id)) for image_id in ids):
            yield Truth(voc, split, len(ids))
