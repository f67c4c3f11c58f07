"""Pictures with their instances: what every reader of a form gives, and every writer takes."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.data.classes import IGNORE
from pipelines.data.images import ImageFile, strip_image_suffix
from pipelines.data.prediction_records import SALIENT
from pipelines.data.rle import Rle, decode_masks, encode_masks
from pipelines.errors import InputError

_NEIGHBOURS = np.ones((3, 3), int)  # regions that touch at a corner are one
_DRIVE = re.compile("[A-Za-z]:")
SOURCE = "SOURCE"
"""How messages call the argument that names what is read."""


@dataclass(frozen=True, eq=False)
class Instance:
    """An instance of a picture.

    Attributes:
        rle: Its mask.
        name: Name of its class.
        score: 0..1; None where the source has none.
        crowd: Whether it is a group of objects that nobody has told apart.
    """

    rle: Rle
    name: str
    score: float | None = None
    crowd: bool = False

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask [H, W], decoded anew at every use."""
        return np.asarray(decode_masks([self.rle], *self.rle["size"])[0], bool)


@dataclass(frozen=True, eq=False)
class AnnotatedPicture:
    """A picture with its N instances.

    Attributes:
        image_id: Its id, a path without suffix, with `/`.
        file_name: The same with its suffix.
        height: Height in pixels.
        width: Width in pixels.
        instances: Its instances; N may be 0.
        file: The picture; None if it is not known where the picture lies.
        label_map: [H, W] uint8 positions in the class list, 0 for background and 255 for unknown; None where the source
            has instances alone.
        pixels: [H, W, 3] RGB of a picture that is no file of its own.
        confidence: Whether a map of confidence lies beside the label map.
        strokes: Number of brush strokes that somebody painted over the label map, and that no instance shows.
        number: Its id in COCO JSON; None where the source has none that is a number.
    """

    image_id: str
    file_name: str
    height: int
    width: int
    instances: tuple[Instance, ...]
    file: ImageFile | None = None
    label_map: NDArray[np.uint8] | None = None
    pixels: NDArray[np.uint8] | None = None
    confidence: bool = False
    strokes: int = 0
    number: int | None = None


@dataclass(frozen=True)
class AnnotatedSet:
    """What a source holds; a picture is read when its turn comes.

    Attributes:
        form: Name of the form, as in `--from`.
        names: Names of the classes, in the order of the source.
        ids: Image ids, each once.
        read: image_id -> the picture.
        numbers: Names of classes -> their ids in COCO JSON, as far as they are numbers; None if the source is none.
    """

    form: str
    names: tuple[str, ...]
    ids: Sequence[str]
    read: Callable[[str], AnnotatedPicture] = field(repr=False)
    numbers: Mapping[str, int] | None = None

    def __iter__(self) -> Iterator[AnnotatedPicture]:
        """Yield the pictures in the order of their ids."""
        return map(self.read, self.ids)


def regions(label_map: NDArray[np.uint8], names: Sequence[str]) -> tuple[Instance, ...]:
    """Return each connected region of a class as an instance; pixels that touch at a corner are connected.

    Args:
        label_map: [H, W] positions in the class list, 0 for background and 255 for unknown.
        names: Names of the classes.
    """
    found = []
    for position in np.unique(label_map[(label_map > 0) & (label_map != IGNORE)]).tolist():
        numbered, count = ndimage.label(label_map == position, structure=_NEIGHBOURS)
        masks = (numbered == number for number in range(1, count + 1))
        found += [Instance(encode_masks(mask[None])[0], names[position - 1]) for mask in masks]
    return tuple(found)


def class_name(name: str) -> str:
    """Return the name of a class; an instance without one is salient, and no more is known of it."""
    return name.strip() or SALIENT


def id_of_name(name: str, where: Path) -> str:
    r"""Return the image id of a picture's name in somebody's file.

    Args:
        name: A path, maybe with backslashes, a drive or a root.
        where: The file, for the message.

    Raises:
        InputError: The name leads out of the folder of the pictures, or is none [path-outside].
    """
    inside = PurePosixPath(name.replace("\\", "/"))
    if is_rooted(inside):
        inside = PurePosixPath(inside.name)
    if ".." in inside.parts or not inside.name or not _is_text(name):
        raise InputError(
            f"{where}: names the picture {name!r}, a name inside the folder of the pictures expected; correct it",
            "path-outside",
        )
    return strip_image_suffix(inside.as_posix())


def is_rooted(path: PurePosixPath) -> bool:
    """Return whether a path begins with a root or a drive, such as `C:/`; nobody else has the folders that follow."""
    return path.is_absolute() or (len(path.parts) > 1 and _DRIVE.fullmatch(path.parts[0]) is not None)


def _is_text(name: str) -> bool:
    """Return whether a name is one for a file: JSON can also hold a zero byte, and half of a character."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def require_ids_once(ids: Sequence[str], where: Path) -> None:
    """Refuse two pictures of the same id, of which one would replace the other.

    Raises:
        InputError: An id is there twice [image-id-twice].
    """
    seen: set[str] = set()
    for image_id in ids:
        if image_id in seen:
            raise InputError(
                f"{where}: two pictures have the name {image_id!r} apart from the suffix, one expected; rename one",
                "image-id-twice",
            )
        seen.add(image_id)
