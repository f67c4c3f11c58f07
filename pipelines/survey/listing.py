"""The files of a folder, and which of its folders s4 has made or need another look."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipelines.data.folder_walk import leads_away
from pipelines.data.images import open_picture, readable_suffixes
from pipelines.data.tar_shards import TAR_SUFFIX
from pipelines.errors import InputError

# A folder is the work of s4 if it has all files of one of these sets.
_MADE = (
    {"config.json", "environment.json"},  # a run
    {"settings.json", "records.jsonl"},  # labels or predictions
    {"settings.json", "pictures.json"},  # labels that are not finished
    {"state.json", "log.txt"},  # a chain
)
_PICTURES = "JPEGImages"
_MASK_MODES = ("1", "P")
_MASK_WORDS = ("mask", "label", "segm", "truth", "annot")
_SAMPLES = 3


@dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes:
        folder: The folder.
        files: The names of the files in each folder below, sorted. Hidden files and folders are left out, and so are
            those that s4 has made.
        made: The folders that s4 has made.
        away: The links that lead away, which are not followed.
    """

    folder: Path
    files: dict[Path, list[str]]
    made: list[Path]
    away: list[Path]

    @cached_property
    def voc(self) -> list[Path]:
        """The folders in VOC's layout: those with a folder JPEGImages."""
        return sorted({place.parent for place in self.files if place.name == _PICTURES})

    @cached_property
    def masks(self) -> dict[Path, int]:
        """The folders of label maps outside of VOC folders, and how many each has."""
        found = {}
        for place in self.files:
            pictures = self.pictures(place)
            if pictures and not self.in_voc(place) and _holds_masks(place, pictures):
                found[place] = len(pictures)
        return found

    def in_voc(self, place: Path) -> bool:
        """Return whether a folder is a VOC folder or lies in one."""
        return any(place.is_relative_to(voc) for voc in self.voc)

    def pictures(self, place: Path) -> list[str]:
        """Return the names of the pictures in one folder, without its sub-folders."""
        return [name for name in self.files.get(place, ()) if name.lower().endswith(readable_suffixes())]

    def picture_places(self) -> list[Path]:
        """Return the folders outside of VOC folders that have pictures themselves, without folders of label maps."""
        places = (place for place in self.files if not self.in_voc(place) and place not in self.masks)
        return sorted(place for place in places if self.pictures(place))

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files of some suffixes in small letters, VOC folders included."""
        found = (place / name for place, names in self.files.items() for name in names)
        return sorted(path for path in found if path.name.lower().endswith(suffixes))

    def near(self, path: Path) -> list[Path]:
        """Return all folders: that of a file, those beside the file, and then the others."""
        beside = [place for place in self.files if place.is_relative_to(path.parent)]
        return list(dict.fromkeys([path.parent, *sorted(beside), *sorted(self.files)]))

    def tars(self) -> list[Path]:
        """Return the tar files outside of VOC folders."""
        return [path for path in self.with_suffix(TAR_SUFFIX) if not self.in_voc(path.parent)]


def list_files(folder: Path) -> Listing:
    """List the files below a folder. Links are followed as in `walk_files`, and each folder is visited once."""
    files: dict[Path, list[str]] = {}
    made: list[Path] = []
    away: list[Path] = []
    visited, top = set(), os.path.realpath(folder)
    for parent, folders, names in os.walk(folder, followlinks=True):
        place, real = Path(parent), os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        aside = away if leads_away(real, top) else made if _is_made(names) else None
        if aside is not None:
            aside.append(place)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files[place] = sorted(name for name in names if not name.startswith("."))
    return Listing(folder, files, made, away)


def _is_made(names: list[str]) -> bool:
    return any(wanted <= set(names) for wanted in _MADE)


def _holds_masks(place: Path, pictures: list[str]) -> bool:
    """Return whether pictures are label maps: PNG files with a palette, or grey ones in a folder that says so."""
    if not all(name.lower().endswith(".png") for name in pictures):
        return False
    said = any(word in place.name.lower() for word in _MASK_WORDS)
    modes = (*_MASK_MODES, "L", "I;16") if said else _MASK_MODES
    return all(_mode(place / name) in modes for name in pictures[:_SAMPLES])


def _mode(path: Path) -> str:
    try:
        with open_picture(path) as image:
            return image.mode
    except InputError:
        return ""
