"""YOLO-seg: pictures, a text file for each, and `data.yaml`, as ultralytics trains on them.

A line of a text is an instance: one polygon, which enters holes and other parts through lines of no width.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipelines.data.folder_walk import walk_files
from pipelines.data.images import ImageFile, find_image_files, picture_frame
from pipelines.data.instance_sources.yolo_folder import YoloFolder
from pipelines.data.notes import Notes
from pipelines.data.rle import read_rle
from pipelines.errors import InputError
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet, Instance
from pipelines.formats.losses import Losses
from pipelines.formats.places import PicturePlaces
from pipelines.formats.polygons import outline
from pipelines.formats.target import TargetFolder

_IMAGES, _LABELS = "images", "labels"
_SPLITS = ("train", "val", "valid", "test")
# Endings that ultralytics reads and this program too; other pictures become PNG.
_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_yolo(folder: Path, form: str, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read a folder of pictures and texts; a text lies in `labels` where its picture lies in `images`.

    Args:
        folder: The folder, maybe with `data.yaml`.
        form: Name of the form.
        places: Finds the pictures.
        notes: Told what is left out.

    Raises:
        InputError: There is no picture [folder-empty], or as `YoloFolder`.
    """
    given = places.given is not None
    all_pictures: Mapping[str, ImageFile] = places.given or find_image_files(folder, notes)
    pictures = {name if given else _without(name, _IMAGES): file for name, file in all_pictures.items()}
    ids = {name: name for name in pictures} if given else _ids(list(pictures))
    texts = [path.relative_to(folder) for path in walk_files(folder, notes) if path.suffix.lower() == ".txt"]
    files = {_without(text.with_suffix("").as_posix(), _LABELS): folder / text for text in texts}
    if not files:
        raise InputError(f"{folder}: no text in it, a .txt for each picture expected; check the path", "folder-empty")
    source = YoloFolder(folder, files, pictures, notes)
    used = (name for image_id in pictures for name, _, _ in source.polygons(image_id))
    names = dict.fromkeys([*(name for name in source.names if name), *used])

    def read(image_id: str) -> AnnotatedPicture:
        file = pictures[image_id]
        height, width = picture_frame(file).shown
        instances = []
        for name, corners, score in source.polygons(image_id):
            # What was lost in writing shares must not move a corner across the centre of a pixel.
            polygon = (corners.clip(0, 1) * (width, height)).round(3).ravel().tolist()
            rle = read_rle([polygon], height, width)
            instances.append(Instance(rle, name, score))
        own_id = ids[image_id]
        name = own_id + PurePosixPath(file.name).suffix
        return AnnotatedPicture(own_id, name, height, width, tuple(instances), file)

    by_id = {own_id: image_id for image_id, own_id in ids.items()}
    return AnnotatedSet(form, tuple(names), list(by_id), lambda own_id: read(by_id[own_id]))


def _ids(names: Sequence[str]) -> dict[str, str]:
    """Return the image id of each picture: without the folder of its part, if no two pictures are alike then."""
    short = {name: name.split("/", 1)[1] if name.split("/", 1)[0] in _SPLITS else name for name in names}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def _without(name: str, part: str) -> str:
    """Return a path without the last folder of a name."""
    parts = list(PurePosixPath(name).parts)
    if part in parts[:-1]:
        del parts[len(parts) - 2 - parts[:-1][::-1].index(part)]
    return "/".join(parts)


class YoloWriter:
    """Writes pictures, texts and `data.yaml`.

    Attributes:
        counts: The number of pictures to train on and to validate on.
    """

    def __init__(
        self, target: TargetFolder, names: Sequence[str], ids: Sequence[str], val_share: float, losses: Losses
    ) -> None:
        """Take where to write, and choose the pictures to validate on.

        Args:
            target: The folder.
            names: Names of the classes.
            ids: All image ids.
            val_share: Share of the pictures to validate on. With 0, or one picture, it is those to train on.
            losses: Told what is lost.
        """
        self._target, self._losses = target, losses
        self._names = list(names)
        count = min(len(ids) - 1, max(1, round(val_share * len(ids)))) if val_share > 0 else 0
        # By a hash of the name, so that the choice has nothing to do with the order of the pictures.
        mixed = sorted(ids, key=lambda image_id: hashlib.sha256(image_id.encode("utf-8", "surrogateescape")).digest())
        self._val = set(mixed[:count])
        self.counts = {"train": len(ids) - count, "val": count}

    def add(self, picture: AnnotatedPicture) -> None:
        """Write a picture and its text."""
        part = "val" if picture.image_id in self._val else "train"
        # ultralytics puts `labels` for the last `images` of a path.
        inside = "/".join(f"{name}_" if name == _IMAGES else name for name in picture.image_id.split("/"))
        self._target.add_picture(f"{_IMAGES}/{part}/{inside}", picture, _SUFFIXES)
        lines = []
        for number, instance in enumerate(picture.instances, start=1):
            if self._expresses(instance, f"{picture.image_id} {number}"):
                shares = outline(instance.mask) / (picture.width, picture.height)
                numbers = " ".join(f"{share:.8f}".rstrip("0").rstrip(".") for share in shares.ravel().tolist())
                lines.append(f"{self._names.index(instance.name)} {numbers}\n")
        self._target.add(f"{_LABELS}/{part}/{inside}.txt", "".join(lines))

    def finish(self) -> None:
        """Write `data.yaml`."""
        val = f"{_IMAGES}/{'val' if self._val else 'train'}"
        # A text in JSON is one in YAML as well.
        names = [f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(self._names)]
        lines = [f"train: {_IMAGES}/train", f"val: {val}", f"nc: {len(names)}", "names:", *names]
        self._target.add("data.yaml", "\n".join(lines) + "\n")

    def _expresses(self, instance: Instance, case: str) -> bool:
        if instance.crowd:
            self._losses.add("crowd", case)
            return False
        if not instance.mask.any():
            self._losses.add("empty", case)
            return False
        return True
