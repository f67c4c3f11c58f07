"""The masks of annotations in COCO's forms, brought onto their picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.coco_file import Annotation
from pipelines.data.images import MAX_PIXELS, Frame
from pipelines.data.notes import Notes
from pipelines.data.placement import Placement, Size, drawn_before_exif, place_mask, placement, tell_placement
from pipelines.data.rle import MaskSizeError, Rle, decode_masks, encode_masks, read_rle, usable_polygons

_BEYOND = 0.1  # share of a picture by which corners may leave it, where the file does not tell the size


@dataclass(frozen=True)
class PlacedMask:
    """A mask on its picture, and the annotation that it comes from."""

    rle: Rle
    annotation: Annotation


class MaskReader:
    """Reads the masks of annotations in one file.

    Attributes:
        file: The file.
    """

    def __init__(self, file: Path, notes: Notes, before_exif: bool = False) -> None:
        """Take what is the same for all pictures.

        Args:
            file: The file, for messages.
            notes: Told of masks that are left out, scaled or turned.
            before_exif: Whether other pictures of the file prove that masks were drawn before EXIF turned the picture.
        """
        self.file, self._notes, self.before_exif = file, notes, before_exif

    def read(self, name: str, annotations: Sequence[Annotation], listed: Size | None, frame: Frame) -> list[PlacedMask]:
        """Return the masks of a picture, without those that are empty or damaged.

        Args:
            name: Name of the picture, for messages.
            annotations: Annotations of the picture.
            listed: (height, width) of the picture in the file; None where the file has none.
            frame: The picture.

        Raises:
            MaskSizeError: A mask is for a picture of another shape.
        """
        found = []
        for annotation in annotations:
            try:
                rle = self._one(name, annotation.where, annotation.content.get("segmentation"), listed, frame)
            except MaskSizeError as error:
                raise MaskSizeError(f"{annotation.where}: {error}") from error
            except ValueError as error:
                self._leave_out(str(error), annotation.where)
                continue
            found.append(PlacedMask(rle, annotation))
        return found

    def _one(self, name: str, where: str, segmentation: Any, listed: Size | None, frame: Frame) -> Rle:
        if not segmentation:
            raise ValueError("they have no mask")
        if isinstance(segmentation, list):
            return self._polygons(name, where, segmentation, listed, frame)
        drawn = size_of(segmentation)
        way = self._way(name, drawn, frame)
        rle = read_rle(segmentation, *drawn)
        return rle if way == Placement(frame.shown, frame.shown) else _placed(rle, way)

    def _polygons(self, name: str, where: str, polygons: list[Any], listed: Size | None, frame: Frame) -> Rle:
        drawn = listed or frame.shown
        usable, faults = usable_polygons(polygons, *drawn)
        for fault in faults if usable else ():
            self._notes.left_out(f"{self.file}: polygons left out, because {fault}", where)
        if listed is None:
            _require_inside(usable, frame.shown)
        way = self._way(name, drawn, frame)
        factors = (way.upright[1] / drawn[1], way.upright[0] / drawn[0])
        scaled = [(np.reshape(polygon, (-1, 2)) * factors).ravel().tolist() for polygon in usable]
        rle = read_rle(scaled if usable else polygons, *way.upright)
        return rle if way.turn is None else _placed(rle, Placement(way.upright, way.upright, way.turn))

    def _way(self, name: str, drawn: Size, frame: Frame) -> Placement:
        way = placement(drawn, frame, self.before_exif)
        tell_placement(self.file, name, way, frame, self._notes)
        return way

    def _leave_out(self, reason: str, where: str) -> None:
        self._notes.left_out(f"{self.file}: annotations left out, because {reason}", where)


def any_drawn_before_exif(listed: Iterable[tuple[Size | None, Frame]]) -> bool:
    """Return whether the size of one picture in a file proves that masks were drawn before EXIF turned the picture."""
    return any(size is not None and drawn_before_exif(size, frame) for size, frame in listed)


def size_of(segmentation: Any) -> Size:
    """Return the size (height, width) that run lengths name.

    Raises:
        ValueError: They name none, or one that no picture has.
    """
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError("the segmentation is neither run lengths nor polygons")
    if size[0] * size[1] > MAX_PIXELS:
        pixels = min(size[0] * size[1], 10**18)  # a number in a file may have more digits than a float
        raise ValueError(f"the mask has {pixels / 1e6:.0f} megapixels")
    return size[0], size[1]


def _placed(rle: Rle, way: Placement) -> Rle:
    mask = decode_masks([rle], *way.drawn)[0].astype(bool)
    return encode_masks(place_mask(mask, way)[None])[0]


def _require_inside(polygons: list[list[float]], shown: Size) -> None:
    """Refuse polygons that leave the picture, where only their corners tell the size that they were drawn for."""
    for polygon in polygons:
        share = np.reshape(polygon, (-1, 2)) / (shown[1], shown[0])
        if share.min() < -_BEYOND or share.max() > 1 + _BEYOND:
            x, y = np.reshape(polygon, (-1, 2)).max(axis=0)
            raise MaskSizeError(f"polygon up to ({x:g}, {y:g}), a picture of {shown[1]}x{shown[0]} expected")
