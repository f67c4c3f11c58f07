"""The result of one picture, from a record and a label map, in the form that views are made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import ImageFile
from pipelines.data.working_size import WorkingSize
from pipelines.formats.annotated import AnnotatedPicture, Instance, regions

__all__ = ["Instance", "PicturePixels", "PictureResult", "class_endings"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PicturePixels:
    """A picture to draw on.

    Attributes:
        working: [h, w, 3] RGB of its working size.
        size: Both sizes.
        whole: Returns [H, W, 3] RGB of its full size.
    """

    working: Pixels
    size: WorkingSize
    whole: Callable[[], Pixels]

    @classmethod
    def of(cls, pixels: Pixels) -> "PicturePixels":
        """Return a picture [H, W, 3] in memory."""
        size = WorkingSize.of((pixels.shape[0], pixels.shape[1]))
        return cls(size.reduce(pixels), size, lambda: pixels)


@dataclass(frozen=True, eq=False)
class PictureResult:
    """The instances or the label map of a picture.

    Attributes:
        image_id: Its id, a path without suffix, with `/`.
        file_name: Its file name below the folder of the pictures.
        height: Height in pixels.
        width: Width in pixels.
        instances: Instances of an S4Net, in the order of the record.
        label_map: [H, W] uint8 positions in the class list, 0 for background; None for an S4Net.
        names: Names of the classes of the label map.
        file: Where the picture lies; None for one that has no file, as a frame of a video.
    """

    image_id: str
    file_name: str
    height: int
    width: int
    instances: tuple[Instance, ...] = ()
    label_map: NDArray[np.uint8] | None = None
    names: Sequence[str] = ()
    file: ImageFile | None = None

    @classmethod
    def of_record(
        cls,
        image_id: str,
        record: Mapping[str, Any],
        label_map: NDArray[np.uint8] | None = None,
        names: Sequence[str] = (),
        file: ImageFile | None = None,
    ) -> "PictureResult":
        """Return the result that a record of `PredictionRecords` describes."""
        found = record.get("instances", ())
        instances = tuple(Instance(each["segmentation"], each["keyword"], each["score"]) for each in found)
        size = record["height"], record["width"]
        return cls(image_id, record["file_name"], *size, instances, label_map, names, file)

    @property
    def endings(self) -> list[str]:
        """What the files of each mask end with: the number of the instance, or the name of the class."""
        if self.label_map is None:
            return [str(number) for number in range(1, len(self.instances) + 1)]
        endings = class_endings(self.names)
        return [endings[position - 1] for position in self._positions]

    @property
    def _positions(self) -> list[int]:
        there = np.unique(self.label_map) if self.label_map is not None else ()
        return [int(position) for position in there if 0 < position <= len(self.names)]

    def masks(self) -> Iterator[NDArray[np.bool_]]:
        """Yield the mask [H, W] of each instance, or of each class that occurs; one at a time is decoded."""
        if self.label_map is None:
            yield from (instance.mask for instance in self.instances)
        else:
            yield from (self.label_map == position for position in self._positions)

    def annotated(self) -> AnnotatedPicture:
        """Return the result with instances alone: each connected region of a class is one."""
        found = self.instances if self.label_map is None else regions(self.label_map, self.names)
        return AnnotatedPicture(self.image_id, self.file_name, self.height, self.width, found, self.file)


def class_endings(names: Sequence[str]) -> list[str]:
    """Return a word for each class that a file name can end with: letters, digits and `_`, each word once."""
    endings: list[str] = []
    for name in names:
        word = "".join(sign if sign.isalnum() else "_" for sign in name)[:60] or "_"
        while word in endings:
            word += "_"
        endings.append(word)
    return endings
