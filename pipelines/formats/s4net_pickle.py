"""The pickle of the released S4Net: pictures and masks in lists of arrays, for training and for testing.

The file is a dict with `train_imgs`, `train_boxes`, `train_segs` and the same for `test`. A picture is [H, W, 3]
uint8 in the order blue, green, red. Boxes are [N, 4]: left, top, right less left, bottom less top, of the outermost
pixels. Masks are [N, H, W] of 0 and 1. Nothing in a pickle but plain containers and arrays is loaded.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import open_image
from pipelines.data.prediction_records import SALIENT
from pipelines.data.rle import boxes_of, encode_masks
from pipelines.data.safe_npy import load_arrays
from pipelines.errors import InputError
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet, Instance
from pipelines.formats.losses import Losses
from pipelines.regular_files import open_regular

_PARTS = ("train", "test")
_LISTS = ("imgs", "boxes", "segs")
_DIGITS = 6
_PROTOCOL = 2  # the newest that the Python of the released code reads


def read_pickle(path: Path, form: str) -> AnnotatedSet:
    """Read the file; the pictures get the ids `train/000001`, `test/000001` and so on.

    Args:
        path: The file.
        form: Name of the form.

    Raises:
        InputError: The pickle is damaged or not of this form [pickle-damaged], or it asks for code [pickle-unsafe].
    """
    content = _loaded(path)
    entries = {
        f"{part}/{number + 1:0{_DIGITS}d}": (part, number)
        for part in _PARTS
        for number in range(_length(path, content, part))
    }
    if not entries:
        raise InputError(f"{path}: no picture in it, lists train_imgs and train_segs expected", "pickle-damaged")

    def read(image_id: str) -> AnnotatedPicture:
        part, number = entries[image_id]
        pixels = _picture(path, content[f"{part}_imgs"][number], image_id)
        masks = _masks(path, content[f"{part}_segs"][number], pixels.shape[:2], image_id)
        instances = tuple(Instance(rle, SALIENT) for rle in encode_masks(masks))
        name, (height, width) = f"{image_id}.png", pixels.shape[:2]
        return AnnotatedPicture(image_id, name, height, width, instances, pixels=pixels)

    return AnnotatedSet(form, (SALIENT,), list(entries), read)


def _loaded(path: Path) -> dict[Any, Any]:
    try:
        with open_regular(path) as file:
            content = load_arrays(file)
    except pickle.UnpicklingError as error:
        unsafe = "it asks for" in str(error)
        remedy = "do not open files from where you do not trust" if unsafe else "restore the file"
        rule = "pickle-unsafe" if unsafe else "pickle-damaged"
        raise InputError(f"{path}: {error}, arrays in plain lists expected; {remedy}", rule) from error
    except Exception as error:  # a damaged pickle fails in as many ways as there are instructions
        raise _damaged(path, f"{type(error).__name__} while reading") from error
    if not isinstance(content, dict):
        raise _damaged(path, "content is no dict")
    return content


def _length(path: Path, content: dict[Any, Any], part: str) -> int:
    pictures, masks = (content.get(f"{part}_{name}", []) for name in ("imgs", "segs"))
    if not isinstance(pictures, list) or not isinstance(masks, list) or len(pictures) != len(masks):
        raise _damaged(path, f"{part}_imgs and {part}_segs are not lists of the same length")
    return len(pictures)


def _picture(path: Path, value: Any, image_id: str) -> NDArray[np.uint8]:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3:
        raise _damaged(path, f"{image_id} is no picture [H, W, 3] of uint8")
    return np.ascontiguousarray(value[:, :, ::-1])


def _masks(path: Path, value: Any, size: tuple[int, ...], image_id: str) -> NDArray[np.bool_]:
    try:
        masks = np.zeros((0, *size), bool) if len(value) == 0 else np.asarray(value, np.float32) > 0.5
    except (TypeError, ValueError) as error:
        raise _damaged(path, f"masks of {image_id} are no arrays") from error
    if masks.ndim != 3 or masks.shape[1:] != tuple(size):
        raise _damaged(path, f"masks of {image_id} have shape {masks.shape}")
    return np.asarray(masks)


def _damaged(path: Path, found: str) -> InputError:
    return InputError(f"{path}: {found}, the pickle of the released S4Net expected; restore the file", "pickle-damaged")


class PickleWriter:
    """Collects pictures and masks, which are in memory as a whole; all of them are to train on."""

    def __init__(self, names: Sequence[str], losses: Losses) -> None:
        """Take who is told what is lost.

        Args:
            names: Names of the classes, none of which the file can hold.
            losses: Told what is lost.
        """
        self._losses = losses
        self._content: dict[str, list[Any]] = {f"{part}_{name}": [] for part in _PARTS for name in _LISTS}
        for name in names:
            if name != SALIENT:
                losses.add("classes", name)

    def add(self, picture: AnnotatedPicture) -> None:
        """Take a picture with its masks.

        Raises:
            InputError: It is not known where the picture lies [image-missing], or it cannot be read.
        """
        image_id = picture.image_id
        if picture.pixels is None and picture.file is None:
            raise InputError(
                f"{picture.file_name}: no such picture beside the source, expected it to store it; name the folder of "
                "the pictures with --images",
                "image-missing",
            )
        if picture.pixels is None:
            self._losses.add("names", image_id)
        rgb = open_image(picture.file) if picture.pixels is None and picture.file is not None else picture.pixels
        assert rgb is not None
        masks, kept = [], []
        for number, instance in enumerate(picture.instances, start=1):
            case, mask = f"{image_id} {number}", instance.mask
            if instance.crowd or not mask.any():
                self._losses.add("crowd" if instance.crowd else "empty", case)
                continue
            masks.append(mask.astype(np.uint8))
            kept.append(instance.rle)
        boxes = boxes_of(kept)
        boxes[:, 2:] -= boxes[:, :2] + 1
        self._content["train_imgs"].append(np.ascontiguousarray(rgb[:, :, ::-1]))
        self._content["train_boxes"].append(boxes)
        self._content["train_segs"].append(np.array(masks, np.uint8).reshape(-1, picture.height, picture.width))

    def write(self, file: BinaryIO) -> None:
        """Write the file."""
        pickle.dump(self._content, file, protocol=_PROTOCOL)
