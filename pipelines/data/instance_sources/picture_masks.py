"""What a source of instances gives for a picture, and what all sources refuse alike."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import Frame
from pipelines.data.notes import first_names
from pipelines.errors import InputError


@dataclass(frozen=True, eq=False)
class PictureMasks:
    """The N instances of a picture, as a source found them.

    Attributes:
        masks: [N, h, w] bool, of the size that `open_working_picture` gives to the picture.
        scores: [N] float32 in 0..1.
        categories: N names of categories in the source; empty where it names none.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    categories: tuple[str, ...]

    @classmethod
    def certain(cls, masks: Sequence[NDArray[np.bool_]], size: tuple[int, int]) -> "PictureMasks":
        """Return masks [h, w] of a source that gives neither scores nor categories."""
        stacked = np.stack(masks) if masks else np.zeros((0, *size), bool)
        return cls(stacked, np.ones(len(masks), np.float32), ("",) * len(masks))


class InstanceSource(Protocol):
    """Instances of many pictures; opened with `opening.open_instances`.

    Attributes:
        path: The file or folder.
        files: The files that the instances come from.
        has_categories: Whether instances may have categories with names.
    """

    path: Path
    files: Sequence[Path]
    has_categories: bool

    def __call__(self, image_id: str, frame: Frame) -> PictureMasks:
        """Return the instances of a picture.

        Raises:
            InputError: The source knows nothing usable of the picture [masks-missing] [mask-size] [mask-mode]
                [coco-mask].
        """
        ...

    def categories(self, image_id: str) -> Sequence[str]:
        """Return the names of the categories of a picture's instances; empty names where the source has none."""
        ...


def reject_strangers(path: Path, known: Collection[str], there: Collection[str], images: Collection[str]) -> None:
    """Refuse a source that knows none of the pictures.

    Args:
        path: The source.
        known: Image ids that the source knows.
        there: Names of pictures in the source.
        images: Image ids of the pictures.

    Raises:
        InputError: The source knows none of the pictures [masks-none].
    """
    if not known:
        raise InputError(
            f"{path}: masks of none of the {len(images)} pictures ({first_names(list(images), 1)}), but of "
            f"{first_names(list(there), 3) or 'no picture'}; check --instances",
            "masks-none",
        )


def unlisted(path: Path, image_id: str) -> InputError:
    """Return the error of a picture that a source does not know."""
    return InputError(
        f"{path}: nothing about {image_id}, masks or an entry without masks expected; add one", "masks-missing"
    )


def wrong_size(path: Path, image_id: str, error: Exception) -> InputError:
    """Return the error of a mask that fits the picture in no way."""
    return InputError(f"{path}: {image_id}: {error}; make the masks anew for these pictures", "mask-size")
