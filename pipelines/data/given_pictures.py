"""Pictures that a user names one by one, by a pattern, or by their folder."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.config.base import VIDEO_SUFFIXES, is_video
from pipelines.config.paths import matches
from pipelines.data.folder_walk import ignored_suffix, tell_ignored, walk_files
from pipelines.data.images import IMAGE_SUFFIXES, ImageFile, advice_by_suffix, by_id, find_images, readable_suffixes
from pipelines.data.notes import Notes
from pipelines.data.tar_shards import TAR_SUFFIX, index_tar
from pipelines.errors import InputError
from pipelines.regular_files import kind_of_file, require_regular
from pipelines.stores.paths import common_folder, is_address


class Given(NamedTuple):
    """What a user named.

    Attributes:
        root: The folder that holds all of it; a single folder is that folder itself.
        pictures: image_id -> where each picture lies, sorted by image_id. The id is the path from the root, without
            suffix, with `/`.
        videos: The same for videos, as far as they were asked for.
    """

    root: Path
    pictures: dict[str, ImageFile]
    videos: dict[str, Path]


def given_pictures(inputs: Sequence[Path], notes: Notes | None = None, videos: bool = False) -> Given:
    """Find the pictures that a user names.

    Args:
        inputs: Pictures, tars of them, folders with their sub-folders, and patterns such as `*.jpg`; one or more. A
            pattern stands for the pictures, tars and folders that it fits.
        notes: Told of files that are ignored, in folders, in tars, and among those that a pattern fits.
        videos: Whether to take videos too: those that are named or fit a pattern, and those of a folder without a
            picture.

    Raises:
        InputError: An input is not there or in no folder [image-missing] or is no file [not-regular], a pattern fits no
            picture or a tar has none [folder-empty], pictures differ in their suffix alone [image-id-twice], or as
            `find_images`.
    """
    notes = notes or Notes()
    places = [place for one in inputs for place in _places(one, notes, videos)]
    if len(places) == 1 and places[0].is_dir():
        alone = _videos_alone(places[0]) if videos else {}
        return Given(places[0], {}, alone) if alone else Given(places[0], find_images(places[0], notes), {})
    root = common_folder([_folder_of(place) for place in map(_absolute, places)])
    films: dict[Path, None] = {}
    found: dict[ImageFile, None] = {}
    for place in map(_absolute, places):
        if videos and is_video(place) and not place.is_dir():
            films[place] = None
        elif videos and place.is_dir() and (inside := _videos_alone(place)):
            films |= dict.fromkeys(inside.values())
        else:
            found |= dict.fromkeys(_pictures(place, notes))
    kinds = " ".join(IMAGE_SUFFIXES)
    pictures = by_id(root, list(found), kinds) if found or not films else {}
    return Given(root, pictures, by_id(root, list(films), kinds) if films else {})


def _folder_of(place: Path) -> Path:
    """Return a folder that was named, or the folder of a file.

    Raises:
        InputError: The file lies at the top of a store, so that no path leads to it from a folder [image-missing].
    """
    folder = place if place.is_dir() else place.parent
    if folder == place and not place.is_dir():
        message = f"{place}: is in no folder of its store, a picture in a folder expected; put it into a folder"
        raise InputError(message, "image-missing")
    return folder


def _videos_alone(folder: Path) -> dict[str, Path]:
    """Return the videos of a folder by id, if the folder has videos and no picture; else none."""
    found, pictures = [], (*readable_suffixes(), TAR_SUFFIX)
    for file in walk_files(folder, Notes()):
        if file.name.lower().endswith(pictures):
            return {}
        if is_video(file):
            found.append(file)
    return by_id(folder, found, " ".join(VIDEO_SUFFIXES)) if found else {}


def _places(given: Path, notes: Notes, videos: bool) -> list[Path]:
    """Return the files and folders that an input stands for."""
    if given.exists() if is_address(given) else os.path.exists(given):
        require_regular(given)
        return [given]
    suffixes = (*IMAGE_SUFFIXES, TAR_SUFFIX, *(VIDEO_SUFFIXES if videos else ()))
    fitting = matches(given)
    if not fitting:
        message = f"{given}: no such picture or folder, expected one; check the path"
        raise InputError(message, "image-missing")
    strange = {place: kind for place in fitting if (kind := _strange(place)) is not None}
    for place, kind in strange.items():
        notes.left_out(f"{given}: left out, because they are no files", f"{place.name} ({kind})")
    fitting = [place for place in fitting if place not in strange]
    found = [place for place in fitting if place.is_dir() or place.name.lower().endswith(suffixes)]
    if not found:
        message = f"{given}: fits {len(fitting)} files and no picture, expected files ending in {' '.join(suffixes)}"
        raise InputError(f"{message}; check the pattern", "folder-empty")
    ignored = (ignored_suffix(place.name) for place in fitting if place not in found)
    tell_ignored(given, Counter(suffix for suffix in ignored if suffix is not None), advice_by_suffix(), notes)
    return found


def _strange(place: Path) -> str | None:
    """Return what is neither a file nor a folder, in words; None for the others."""
    if is_address(place):
        return None
    try:
        return kind_of_file(os.stat(place).st_mode)
    except OSError:
        return "a link that leads nowhere"


def _absolute(path: Path) -> Path:
    """Return the path from the root, without `..`; a link stays a link."""
    return path if is_address(path) else Path(os.path.abspath(path))


def _pictures(place: Path, notes: Notes) -> list[ImageFile]:
    if place.is_dir():
        return list(find_images(place, notes).values())
    if not place.name.lower().endswith(TAR_SUFFIX):
        return [place]
    members, ignored = index_tar(place, readable_suffixes())
    tell_ignored(place, ignored, advice_by_suffix(), notes)
    return list(members)
