"""Salient instances from COCO JSON, checked as a whole before the first picture is used."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipelines.data.coco_file import CocoImage, read_coco_file, reject_doubled
from pipelines.data.coco_masks import MaskReader, any_drawn_before_exif
from pipelines.data.images import Frame, picture_files, picture_frame, strip_image_suffix
from pipelines.data.notes import Notes, first_names
from pipelines.data.picture_names import PictureNames
from pipelines.data.placement import placement
from pipelines.data.rle import MaskSizeError, Rle, boxes_of, decode_masks, encode_masks
from pipelines.data.working_size import WorkingSize, working_masks
from pipelines.errors import InputError
from pipelines.events import Events

__all__ = ["CocoPicture", "encode_masks", "load_coco"]


@dataclass(frozen=True, eq=False)
class CocoPicture:
    """One picture with its instances; the categories of the file are not kept, because every instance is salient.

    Attributes:
        image_id: File name without suffix, with `/`.
        path: File of the picture.
        height: Height in pixels, as `open_image` gives it.
        width: Width in pixels, as `open_image` gives it.
        source: Where the picture was taken from, if the file says so; otherwise empty.
        boxes: [N, 4] float32 xyxy in pixels, half-open, tight around the masks; N may be 0.
        rles: N masks as compressed run lengths.
    """

    image_id: str
    path: Path
    height: int
    width: int
    source: str
    boxes: NDArray[np.float32]
    rles: tuple[Rle, ...]

    def working(self) -> "CocoPicture":
        """Return the picture with its instances at the size that `open_working_picture` gives."""
        size = WorkingSize.of((self.height, self.width))
        if not size.is_reduced:
            return self
        rles = encode_masks(working_masks(self.rles, size))
        boxes = boxes_of(rles)
        kept = boxes[:, 2] > boxes[:, 0]  # an instance of a few pixels may be gone
        left = tuple(rle for rle, keep in zip(rles, kept, strict=True) if keep)
        return replace(self, height=size.size[0], width=size.size[1], boxes=boxes[kept], rles=left)

    def masks(self) -> NDArray[np.uint8]:
        """Decode the masks [N, H, W] uint8, 0 or 1, anew at every call."""
        return decode_masks(self.rles, self.height, self.width)


def load_coco(annotations: Path, images: Path, events: Events | None = None) -> list[CocoPicture]:
    """Read an annotation file, and compare it with the headers of its pictures.

    Crowds and masks without a single pixel are left out: neither is an instance to find. So are annotations without a
    usable mask, and pictures that have no other annotation.

    Args:
        annotations: COCO JSON with `images` and `annotations`; masks as run lengths or polygons.
        images: Folder of the pictures. A file name that is not in it is matched as `PictureNames` does.
        events: Told what is left out, scaled, turned or matched.

    Returns:
        The pictures in the order of the file, also those without annotations; one or more.

    Raises:
        InputError: Something is missing, doubled or contradictory, or no picture is usable [coco-*], the JSON is
            damaged [json-damaged], or a picture is damaged.
    """
    notes = Notes(events)
    if not images.is_dir():
        raise InputError(
            f"{images}: no such folder, expected the pictures of {annotations}; check --images", "folder-missing"
        )
    listed = read_coco_file(annotations, notes)
    paths = _find_pictures(annotations, [image.file_name for image in listed], images, notes)
    frames = [picture_frame(path) for path in paths]
    before_exif = any_drawn_before_exif((image.size, frame) for image, frame in zip(listed, frames, strict=True))
    _reject_sizes(annotations, listed, frames)
    reader = MaskReader(annotations, notes, before_exif)
    pictures = []
    for image, path, frame in zip(listed, paths, frames, strict=True):
        picture = _picture(reader, image, path, strip_image_suffix(path.relative_to(images).as_posix()), frame)
        if picture is None:
            notes.left_out(f"{annotations}: pictures left out, because none of their masks is usable", image.file_name)
        else:
            pictures.append(picture)
    notes.tell()
    if not pictures:
        found = f"none of the masks of its {len(listed)} pictures is usable, one or more expected"
        raise InputError(f"{annotations}: {found}; look at the file", "coco-empty")
    return pictures


def listed_pictures(annotations: Path, images: Path) -> dict[str, Path]:
    """Return the path of each picture that an annotation file lists, by its name there; it need not exist.

    Raises:
        InputError: The file is no COCO JSON [json-damaged] [coco-*].
    """
    names = [image.file_name for image in read_coco_file(annotations, Notes())]
    return {name: images / name for name in names} | _matched(annotations, names, images, Notes())


def _find_pictures(file: Path, names: Sequence[str], images: Path, notes: Notes) -> list[Path]:
    """Return the path of each name; no path leads out of the folder."""
    found = _matched(file, names, images, notes)
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(
            f"{file}: {len(missing)} of {len(names)} pictures are not in the folder ({first_names(missing)}), "
            "expected all of them; check --images",
            "coco-picture-missing",
        )
    reject_doubled(file, [(name, strip_image_suffix(found[name].relative_to(images).as_posix())) for name in names])
    return [found[name] for name in names]


def _matched(file: Path, names: Sequence[str], images: Path, notes: Notes) -> dict[str, Path]:
    """Return the path of each name that means a picture in the folder."""
    found = {name: images / name for name in names if _is_inside(name) and os.path.isfile(images / name)}
    if len(found) == len(set(names)) or not images.is_dir():
        return found
    by_id: dict[str, list[Path]] = {}
    for path in picture_files(images):
        by_id.setdefault(strip_image_suffix(path.relative_to(images).as_posix()), []).append(path)
    matched = PictureNames({image_id: paths[0] for image_id, paths in by_id.items()}, notes).match(names, str(file))
    return {name: by_id[image_id][0] for name, image_id in matched.items() if len(by_id[image_id]) == 1} | found


def _is_inside(name: str) -> bool:
    inside = PurePosixPath(name)
    return not inside.is_absolute() and ".." not in inside.parts


def _reject_sizes(file: Path, listed: Sequence[CocoImage], frames: Sequence[Frame]) -> None:
    """Refuse sizes that are neither those of the pictures nor of the same shape."""
    strange = []
    for image, frame in zip(listed, frames, strict=True):
        try:
            placement(image.size or frame.shown, frame)
        except MaskSizeError:
            sizes = [f"{width}x{height}" for height, width in (image.size or frame.shown, frame.shown)]
            strange.append(f"{image.file_name} is listed as {sizes[0]} and is {sizes[1]}")
    if strange:
        raise InputError(
            f"{file}: {first_names(strange)}, expected one size, or one shape; use the pictures that were annotated",
            "coco-picture-size",
        )


def _picture(reader: MaskReader, image: CocoImage, path: Path, image_id: str, frame: Frame) -> CocoPicture | None:
    """Return a picture with its instances; None if it has annotations and no usable one among them."""
    try:
        placed = reader.read(image.file_name, image.annotations, image.size, frame)
    except MaskSizeError as error:
        raise InputError(
            f"{reader.file}: {image.file_name}: {error}; use the pictures that were annotated", "coco-mask"
        ) from error
    if image.annotations and not placed:
        return None
    rles = [mask.rle for mask in placed]
    boxes = boxes_of(rles)
    kept = boxes[:, 2] > boxes[:, 0]
    return CocoPicture(
        image_id=image_id,
        path=path,
        height=frame.shown[0],
        width=frame.shown[1],
        source=image.source,
        boxes=boxes[kept],
        rles=tuple(rle for rle, keep in zip(rles, kept, strict=True) if keep),
    )
