"""Keywords that the places of pictures tell: folders and tars named after classes, and texts beside pictures.

A folder named `train`, `val`, `test` or `images` is a part of a data set. It says nothing of what pictures show, though
`train` is a class of VOC. It counts as a class if the class list was chosen for it, or if it lies where folders of
classes lie: its pictures are in it directly, and no other part of a data set lies beside it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipelines.data.class_names import NameMatcher, name_key, stands_for_background
from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import ImageFile
from pipelines.data.notes import Notes, first_names
from pipelines.data.synsets import class_of_synset, is_synset, synset_of_picture
from pipelines.data.tar_shards import TarMember, read_member
from pipelines.errors import InputError, nearest_name

_PARTS = {"images", "test", "testing", "train", "training", "trainval", "val", "valid", "validation"}
_SHARD = re.compile(r".*[-_.]\d{3,}")  # the name of one tar of many
_LONGEST_TEXT = 1 << 16  # bytes of a text beside a picture: room for any list of classes
_MOST_UNPLACED = 0.1  # share of the pictures
_SHOWN = 5  # folders that a message names


@dataclass(frozen=True)
class PlaceWords:
    """What the places of pictures tell.

    Attributes:
        words: image_id -> classes, of the pictures whose place tells some.
        unplaced: Folder -> number of its pictures, where no name means a class.
        others: Folder -> number of its pictures, where a name means a class that is not in use.
        parts: Folders that are named like a part of a data set, and were taken for a class.
    """

    words: dict[str, list[str]] = field(default_factory=dict)
    unplaced: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    parts: set[str] = field(default_factory=set)


class PlaceReader:
    """Reads the classes of pictures from their places."""

    def __init__(
        self, images: Mapping[str, ImageFile], classes: ClassList, matcher: NameMatcher, chosen: bool = True
    ) -> None:
        """Take the pictures.

        Args:
            images: Where each picture lies, by image_id.
            classes: Classes in use.
            matcher: Finds the names of these classes.
            chosen: Whether somebody chose the classes. Else they were read from the pictures, or they are VOC's twenty.
        """
        self._images, self._matcher = images, matcher
        self._voc = NameMatcher(VOC_CLASSES) if classes.is_voc else None
        self._is_chosen = chosen and classes.names != VOC_CLASSES
        self._beside: dict[PurePosixPath, set[str]] = defaultdict(set)
        for folder in {PurePosixPath(image_id).parent for image_id in images}:
            for place in (folder, *folder.parents):
                self._beside[place.parent].add(name_key(place.name))

    def read(self) -> PlaceWords:
        """Read the classes of all pictures.

        Raises:
            InputError: A picture in a tar has the number of a class beside it, and no name [keywords-file].
        """
        found = PlaceWords()
        for image_id, path in self._images.items():
            place = PurePosixPath(image_id)
            words = self._words(place, path)
            if not words and (part := self._part_as_class(place.parent)):
                words = [part]
                found.parts.add(place.parent.as_posix())
            if words:
                found.words[image_id] = words
            else:
                (found.others if self._means_another(place) else found.unplaced)[place.parent.as_posix()] += 1
        return found

    def names(self) -> Counter[str]:
        """Return the names that the places give by themselves, with their numbers of pictures, to make classes of them.

        VOC's synsets go by the names of their classes. Folders that are parts of a data set, and tars with a number,
        give no name.

        Raises:
            InputError: As for `read`.
        """
        return Counter(
            word for image_id, path in self._images.items() for word in self._own_words(PurePosixPath(image_id), path)
        )

    def _own_words(self, place: PurePosixPath, path: ImageFile) -> list[str]:
        """Return the names of a picture: in `key.cls`, of its synset, of the innermost folder, or in `key.txt`."""
        labels = [] if isinstance(path, Path) else _texts_beside(path, ".cls")
        synset = synset_of_picture(place.name) or ""
        names = (folder.name for folder in (place.parent, *place.parent.parents))
        named = next((name for name in names if _may_name_class(name)), "")
        part = None if place.parent in self._beside else self._part_as_class(place.parent)  # with folders, it is a part
        single = class_of_synset(synset) or class_of_synset(named) or named or part
        if labels:
            return labels
        if single or synset:
            return [single or synset]
        return [] if isinstance(path, Path) else _texts_beside(path, ".txt") or self._words_beside(path)

    def _words(self, place: PurePosixPath, path: ImageFile) -> list[str]:
        """Return the classes of a picture.

        They are those of the innermost folder that names a class, of the picture's own name, or of texts beside it.
        """
        synset = synset_of_picture(place.name)
        for folder in (place.parent, *place.parent.parents):
            found = self._class_of(folder.name)
            chosen = self._is_chosen and folder == place.parent
            if found and (chosen or name_key(folder.name) not in _PARTS):
                return [found]
        if synset and (found := self._class_of(synset)):
            return [found]
        # Where a synset names no class in use, a number beside the picture would say no more.
        is_named = synset or any(map(is_synset, place.parts))
        return [] if isinstance(path, Path) or is_named else self._words_beside(path)

    def _part_as_class(self, folder: PurePosixPath) -> str | None:
        """Return the class of a folder named like a part of a data set, if it lies as a folder of a class does."""
        others = (self._beside[folder.parent] - {name_key(folder.name)}) & _PARTS
        return None if others else self._class_of(folder.name)

    def _class_of(self, word: str) -> str | None:
        return self._matcher.find(class_of_synset(word) or word) if word else None

    def _means_another(self, place: PurePosixPath) -> bool:
        """Return whether a name in the place of a picture means a class that is not in use."""
        if synset_of_picture(place.name) or any(map(is_synset, place.parts)):
            return True
        names = [part for part in place.parent.parts if name_key(part) not in _PARTS]
        return self._voc is not None and any(self._voc.find(name) is not None for name in names)

    def _words_beside(self, picture: TarMember) -> list[str]:
        """Return the classes that `key.cls` or `key.txt` names, as names or synsets with `;` between them."""
        number: tuple[TarMember, str] | None = None
        for member in picture.beside:
            text = read_member(member, _LONGEST_TEXT).decode("utf-8", "replace")
            words = [found for word in re.split(r"[;\n]", text) if (found := self._class_of(word.strip()))]
            if words:
                return words
            if member.member.endswith(".cls") and text.strip().isdecimal():
                number = member, text.strip()
        if number is not None:
            raise InputError(
                f"{number[0]}: holds the number {number[1]}, expected a class or synset by name, or --keywords FILE; "
                "correct the file",
                "keywords-file",
            )
        return []


def _may_name_class(folder: str) -> bool:
    """Return whether a folder or tar of any name may be called after what its pictures show."""
    is_place = name_key(folder) in _PARTS or _SHARD.fullmatch(folder)
    return bool(name_key(folder)) and not is_place and not stands_for_background(folder)


def _texts_beside(picture: TarMember, suffix: str) -> list[str]:
    """Return the words in a text beside a picture, synsets of VOC as names; none if the text is a number."""
    texts = [read_member(one, _LONGEST_TEXT) for one in picture.beside if one.member.endswith(suffix)]
    words = [word.strip() for text in texts for word in re.split(r"[;\n]", text.decode("utf-8", "replace"))]
    return [class_of_synset(word) or word for word in words if word and not word.isdecimal()]


def tell_unplaced(where: Path, found: PlaceWords, classes: ClassList, allowed: bool, notes: Notes) -> None:
    """Tell which folders name no class, with the number of their pictures.

    Args:
        where: The folder of the pictures.
        found: What the places of the pictures tell.
        classes: Classes in use.
        allowed: Whether any number of pictures may be left out.
        notes: Told of the folders.

    Raises:
        InputError: More than a tenth of the pictures is left out [keywords-unplaced].
    """
    for folder in sorted(found.parts):
        notes.decided(f"{where}: folders named like a part of a data set, taken for folders of a class", folder)
    if found.others:
        folders = _with_counts(found.others, ())
        notes.say(f"{where}: {found.others.total()} pictures of classes that are not in use are left out ({folders})")
    left = found.unplaced.total()
    total = len(found.words) + left + found.others.total()
    if not left:
        return
    folders = _with_counts(found.unplaced, classes.names)
    what = f"{where}: {left} of {total} pictures are in folders that name no class of the list ({folders})"
    if left > _MOST_UNPLACED * total and not allowed:
        raise InputError(
            f"{what}, expected at most a tenth; rename the folders, name their classes with --classes FILE or auto, "
            "or leave the pictures out with --allow-unplaced",
            "keywords-unplaced",
        )
    notes.say(f"{what}; they are left out", warn=True)


def folder_names(image_ids: Iterable[str]) -> str:
    """Return the first names of the folders that pictures are in, for a message; empty if there are none."""
    names = dict.fromkeys(PurePosixPath(image_id).parent.name for image_id in image_ids)
    return first_names([name for name in names if name])


def _with_counts(folders: Counter[str], names: Iterable[str]) -> str:
    """Return folders with the number of their pictures, and for each the name that it may be meant for."""
    parts = []
    for folder, count in folders.most_common(_SHOWN):
        near = nearest_name(folder.rpartition("/")[2], names)
        shown = "no folder" if folder == "." else folder
        parts.append(f"{shown} {count}" + (f", did you mean {near}?" if near else ""))
    return "; ".join(parts + (["..."] if len(folders) > _SHOWN else []))
