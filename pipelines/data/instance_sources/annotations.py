"""Instances from annotations in COCO's forms, whatever file they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.coco_file import Annotation
from pipelines.data.coco_masks import MaskReader
from pipelines.data.images import Frame, ImageFile, picture_frame
from pipelines.data.instance_sources.picture_masks import PictureMasks, unlisted, wrong_size
from pipelines.data.notes import Notes
from pipelines.data.placement import Size, drawn_before_exif, is_doubtful
from pipelines.data.rle import MaskSizeError
from pipelines.data.working_size import working_masks
from pipelines.errors import InputError


@dataclass(frozen=True)
class AnnotatedPicture:
    """The annotations of one picture.

    Attributes:
        file: The file, for messages.
        size: (height, width) of the picture in the file; None where the file has none.
        annotations: Each has a `segmentation`, and maybe a `score`.
    """

    file: Path
    size: Size | None
    annotations: Sequence[Annotation]


class AnnotationSource:
    """A source of instances, see `InstanceSource`; an instance without a score has score 1."""

    def __init__(
        self,
        path: Path,
        files: Sequence[Path],
        pictures: Mapping[str, AnnotatedPicture],
        images: Mapping[str, ImageFile],
        notes: Notes,
        has_categories: bool = False,
    ) -> None:
        """Take the annotations; masks are decoded later, picture by picture.

        Args:
            path: The file or folder that was named.
            files: The files that the annotations come from.
            pictures: image_id -> annotations.
            images: image_id -> picture file.
            notes: Told what is left out, scaled or turned.
            has_categories: Whether annotations name categories.
        """
        self.path = path
        self.files: Sequence[Path] = files
        self._pictures, self._images, self._notes = pictures, images, notes
        self._before_exif: bool | None = None
        self.has_categories = has_categories

    def categories(self, image_id: str) -> Sequence[str]:
        """Return the names of the categories of a picture's instances."""
        picture = self._pictures.get(image_id)
        return [] if picture is None else [annotation.category for annotation in picture.annotations]

    def __call__(self, image_id: str, frame: Frame) -> PictureMasks:
        """Return the instances of a picture; see `InstanceSource`."""
        if image_id not in self._pictures:
            raise unlisted(self.path, image_id)
        picture = self._pictures[image_id]
        drawn = self._drawn(picture)
        doubtful = drawn is not None and is_doubtful(drawn, frame)
        reader = MaskReader(picture.file, self._notes, doubtful and self._were_drawn_before_exif())
        try:
            placed = reader.read(image_id, picture.annotations, picture.size, frame)
            scores = _scores([mask.annotation for mask in placed])
        except MaskSizeError as error:
            raise wrong_size(picture.file, image_id, error) from error
        except ValueError as error:
            raise InputError(
                f"{picture.file}: {image_id}: {error}, scores of 0 to 1 expected; correct the file", "coco-mask"
            ) from error
        if picture.annotations and not placed:
            raise InputError(
                f"{picture.file}: {image_id}: none of its {len(picture.annotations)} masks is usable, one or more "
                "expected; correct the file",
                "coco-mask",
            )
        masks = working_masks([mask.rle for mask in placed], frame.working)
        return PictureMasks(masks, scores, tuple(mask.annotation.category for mask in placed))

    def _drawn(self, picture: AnnotatedPicture) -> Size | None:
        """Return the size that the masks of a picture were drawn for, as far as the file tells it."""
        if picture.size is not None:
            return picture.size
        for annotation in picture.annotations:
            segmentation = annotation.content.get("segmentation")
            size = segmentation.get("size") if isinstance(segmentation, dict) else None
            if isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size):
                return size[0], size[1]
        return None

    def _were_drawn_before_exif(self) -> bool:
        """Return whether any picture proves that masks were drawn before EXIF turned the picture; found out once."""
        if self._before_exif is None:
            self._before_exif = any(
                drawn_before_exif(drawn, frame)
                for image_id, picture in self._pictures.items()
                if (drawn := self._drawn(picture)) and (frame := _frame(self._images.get(image_id)))
            )
        return self._before_exif


def _frame(image: ImageFile | None) -> Frame | None:
    try:
        return None if image is None else picture_frame(image)
    except InputError:  # told when the picture itself is read
        return None


def _scores(annotations: Sequence[Annotation]) -> NDArray[np.float32]:
    given = [annotation.content.get("score") for annotation in annotations]
    try:
        values = np.array([1 if score is None else score for score in given], np.float64)
    except (TypeError, OverflowError) as error:  # no number, or one of hundreds of digits
        raise ValueError(str(error)) from error
    if values.ndim != 1:
        raise ValueError("scores are lists")
    scores = values.clip(-1, 2).astype(np.float32)
    if not ((scores >= 0) & (scores <= 1)).all():  # NaN fails as well
        raise ValueError(f"scores are {values.min()} to {values.max()}")
    return scores
