"""Pictures in several folders, each known by its path below its own folder."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from pipelines.data.images import ImageFile, find_images
from pipelines.data.notes import Notes
from pipelines.data.tar_shards import TAR_SUFFIX
from pipelines.errors import InputError
from pipelines.stores.paths import is_address

_MOST_PAIRS = 100  # that a message names


def find_pictures(folders: Sequence[Path], notes: Notes | None = None) -> dict[str, ImageFile]:
    """Find the pictures of several folders and tars, see `find_images`.

    Args:
        folders: Folders and tars, one or more.
        notes: As in `find_images`.

    Returns:
        image_id -> where the picture lies, sorted by image_id.

    Raises:
        InputError: As for `find_images`; or pictures of two folders have the same id [image-id-twice], or a folder of
            pictures is below two of the folders [images-overlap].
    """
    return joined(folders, [find_images(folder, notes) for folder in folders])


def joined(folders: Sequence[Path], found: Sequence[Mapping[str, ImageFile]]) -> dict[str, ImageFile]:
    """Join the pictures of several folders; see `find_pictures`.

    Args:
        folders: The folders.
        found: The pictures of each, by image_id.
    """
    if len(folders) > 1:
        _refuse_overlap(folders, found)
    places: dict[str, list[ImageFile]] = defaultdict(list)
    for pictures in found:
        for image_id, place in pictures.items():
            places[image_id].append(place)
    twice = [same for same in places.values() if len(same) > 1]
    if twice:
        pairs = "; ".join(" and ".join(map(str, same)) for same in twice[:_MOST_PAIRS])
        pairs += "; ..." if len(twice) > _MOST_PAIRS else ""
        raise InputError(
            f"--images: {len(twice)} pictures of several folders have the same path below their folder ({pairs}), "
            "expected each path once; rename them, or give the folder above all of them as --images",
            "image-id-twice",
        )
    return {image_id: same[0] for image_id, same in sorted(places.items())}


def name_below(picture: ImageFile, folders: Sequence[Path]) -> str:
    """Return the path of a picture below the folder that it was found in, with `/` and its suffix.

    Args:
        picture: A picture of `find_pictures(folders)`.
        folders: The folders.
    """
    # A path leads from `.` too, so that the folder with the most parts comes first.
    for folder in sorted(map(_base, folders), key=lambda folder: -len(folder.parts)):
        if is_address(folder) is not is_address(_file(picture)):
            continue
        try:
            return picture.relative_to(folder).as_posix()
        except ValueError:
            continue
    raise ValueError(f"{picture} is below none of {folders}")


def _base(folder: Path) -> Path:
    """Return the folder from which paths lead: that of a tar for a tar."""
    is_tar = folder.name.lower().endswith(TAR_SUFFIX) if is_address(folder) else folder.is_file()
    return folder.parent if is_tar else folder


def _file(picture: ImageFile) -> Path:
    return picture if isinstance(picture, Path) else picture.tar


def _refuse_overlap(folders: Sequence[Path], found: Sequence[Mapping[str, ImageFile]]) -> None:
    """Refuse pictures that would be taken twice under different names."""
    inside = [_places(pictures) for pictures in found]
    for (first, there), (second, here) in combinations(zip(folders, inside, strict=True), 2):
        both = sorted(there & here)
        if both:
            raise InputError(
                f"--images: pictures in {both[0]} are below {first} and below {second}, expected folders apart; name "
                "one of both",
                "images-overlap",
            )


def _places(pictures: Mapping[str, ImageFile]) -> set[str]:
    """Return the real folders and tars that pictures are in."""
    return {
        str(place) if is_address(place) else os.path.realpath(place)
        for place in {_holder(picture) for picture in pictures.values()}
    }


def _holder(picture: ImageFile) -> Path:
    return picture.parent if isinstance(picture, Path) else picture.tar
