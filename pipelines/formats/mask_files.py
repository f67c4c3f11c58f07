"""Masks in picture files: `<id>/001_<class>.png` for each instance, 255 inside and 0 outside.

Other folders of masks are read as `pipelines.data.instance_sources.mask_folder` reads them.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import numpy as np

from pipelines.data.images import ImageFile, encode_png, find_image_files
from pipelines.data.instance_sources.mask_folder import MaskFolder
from pipelines.data.mask_pictures import open_mask
from pipelines.data.notes import Notes
from pipelines.data.rle import encode_masks
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet, Instance, class_name
from pipelines.formats.losses import Losses
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.target import TargetFolder

_DIGITS = 3
_WORD = r"(?=.*[^0-9_. -])"  # `12_cat` has a class, and `2007_000032` is the name of a picture
# Name of a file that holds one instance: `001_7` as it is written here, or as others number masks.
_OF_INSTANCE = re.compile(rf"[0-9]{{{_DIGITS}}}_(?P<own>.+)|[0-9]+(?:_(?P<other>{_WORD}.+))?")


def read_masks(folder: Path, form: str, places: PicturePlaces, notes: Notes) -> AnnotatedSet:
    """Read a folder of masks.

    Args:
        folder: The folder.
        form: Name of the form.
        places: Finds the pictures.
        notes: Told how masks are read.

    Raises:
        InputError: There is no picture file in the folder [folder-empty], or as `MaskFolder`.
    """
    files = find_image_files(folder, notes)
    pictures: Mapping[str, ImageFile]
    pictures = places.given if places.given is not None else {_id_of(name): file for name, file in files.items()}
    source = MaskFolder(folder, files, pictures, notes)
    known = pictures if places.given is not None else places.find(source.ids, folder, [folder])
    masks = set(source.files)
    found = {image_id: file for image_id, file in known.items() if file not in masks}

    def name_of(image_id: str, file: Path) -> str:
        return class_name(_name_in(file) if source.is_folder(image_id) else "")

    names = {name_of(image_id, file) for image_id in source.ids for file in source.files_of(image_id)}

    def read(image_id: str) -> AnnotatedPicture:
        file = found.get(image_id)
        values = open_mask(source.files_of(image_id)[0]).values
        frame = frame_of(file, (values.shape[0], values.shape[1]), image_id, folder)
        instances = [
            Instance(encode_masks(mask[None])[0], name_of(image_id, of_mask))
            for of_mask, mask in source.masks(image_id, frame)
        ]
        name = image_id + (".jpg" if file is None else PurePosixPath(file.name).suffix)
        return AnnotatedPicture(image_id, name, *frame.shown, tuple(instances), file)

    return AnnotatedSet(form, tuple(sorted(names)), source.ids, read)


def _id_of(name: str) -> str:
    """Return the image id of a mask: that of its folder if the file is numbered."""
    inside = PurePosixPath(name)
    return inside.parent.as_posix() if _OF_INSTANCE.fullmatch(inside.name) and len(inside.parts) > 1 else name


def _name_in(file: Path) -> str:
    match = _OF_INSTANCE.fullmatch(file.stem)
    return unquote(match["own"] or match["other"] or "") if match else ""


def _quoted(name: str) -> str:
    """Return the name of a class for a file; one of digits alone gets a mark that tells it from a number."""
    text = quote(name, safe=" ")
    return text if re.match(_WORD, text) else f"%{ord(text[0]):02X}{text[1:]}"


class MaskFilesWriter:
    """Writes a folder of masks for each picture."""

    def __init__(self, target: TargetFolder, losses: Losses) -> None:
        """Take where to write, and who is told what is lost."""
        self._target, self._losses = target, losses

    def add(self, picture: AnnotatedPicture) -> None:
        """Write the masks of a picture."""
        image_id, losses = picture.image_id, self._losses
        written = 0
        for number, instance in enumerate(picture.instances, start=1):
            case = f"{image_id} {number}"
            if instance.crowd:
                losses.add("crowd", case)
                continue
            written += 1
            pixels = np.where(instance.mask, np.uint8(255), np.uint8(0))
            self._target.add(f"{image_id}/{number:0{_DIGITS}d}_{_quoted(instance.name)}.png", encode_png(pixels))
        if not written:
            losses.add("no-instance", image_id)

    def finish(self) -> None:
        """Write nothing more: the files say everything."""
