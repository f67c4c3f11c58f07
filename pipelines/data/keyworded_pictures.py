"""Pictures of one or several folders, with their keywords and the class list that these are in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.classes import ClassList, load_classes
from pipelines.data.images import ImageFile, find_images
from pipelines.data.keyword_classes import classes_of_words, means_voc, words_used
from pipelines.data.keyword_voc import knows_split, split_ids
from pipelines.data.keywords_files import Keywords, keyword_faults, read_keywords
from pipelines.data.notes import Notes
from pipelines.data.picture_folders import joined
from pipelines.errors import InputError
from pipelines.stores.paths import common_folder

_AUTO, _VOC = "auto", "voc"
_SHOWN = 8
# Errors of a reading with VOC's classes that other classes may mend.
_OTHER_CLASSES = ("keywords-none", "class-unknown", "keywords-file")
_FEWEST_NAMES = 2  # one folder of another name may be anything


@dataclass(frozen=True)
class _Group:
    """Pictures whose keywords are read from the same source.

    Attributes:
        source: `auto` or a table.
        folder: The folder of the pictures; for several folders, the one that holds them all.
        images: Where each picture lies, by image_id.
        split: The VOC split to take, or None.
        wanted: Ids of the pictures to take, where a table is for several folders and there is a split.
    """

    source: str
    folder: Path
    images: dict[str, ImageFile]
    split: str | None = None
    wanted: frozenset[str] | None = None

    def asked(self) -> tuple[str, dict[str, ImageFile], Path]:
        """Return the first arguments of the readers of keywords."""
        return self.source, self.images, self.folder


class KeywordedPictures:
    """The pictures that a command is to work on.

    Attributes:
        images: Where each picture lies, by image_id and sorted by it, with keywords or without.
    """

    def __init__(self, folders: Sequence[Path], sources: Sequence[str], split: str | None, notes: Notes) -> None:
        """Find the pictures.

        Args:
            folders: Folders and tars of pictures.
            sources: Where the keywords come from: one source for each folder, or one for all.
            split: Takes only pictures of this VOC split. Of several folders, those without such a list are taken whole.
            notes: Told what is left out and how things were understood.

        Raises:
            InputError: As for `pipelines.data.picture_folders.find_pictures`.
        """
        found = [find_images(folder, notes) for folder in folders]
        self.images = joined(folders, found)
        self._notes = notes
        self._groups = _grouped(folders, found, sources, split)

    def read(self, classes: str | None, allow_unplaced: bool = True) -> tuple[ClassList, Keywords]:
        """Read the keywords, see `read_keywords`.

        Args:
            classes: The class list: `voc`, `auto` for the names that the keywords use, or a file. None takes VOC's
                twenty, or the names that the keywords use where none of them means a class of VOC.
            allow_unplaced: Whether more than a tenth of the pictures may lie in folders that name no class.

        Returns:
            The classes, and image_id -> keywords of the pictures that have some.

        Raises:
            InputError: The keywords or the class list cannot be used.
        """
        if classes is not None:
            known = self._named() if classes == _AUTO else load_classes(classes)
            return known, self._keywords(known, classes != _AUTO, allow_unplaced)
        known = load_classes(_VOC)
        try:
            return known, self._keywords(known, True, allow_unplaced)
        except InputError as error:
            known = self._instead_of_voc(error)
        return known, self._keywords(known, False, allow_unplaced)

    def faults(self, classes: str | None, allow_unplaced: bool = True) -> list[InputError]:
        """Return all faults in the keywords, each as an error of its own; the arguments are those of `read`."""
        try:
            known = self._named() if classes == _AUTO else load_classes(classes or _VOC)
        except InputError as error:
            return [error]
        found = self._faults(known, classes != _AUTO, allow_unplaced)
        mendable = next((fault for fault in found if fault.rule in _OTHER_CLASSES), None)
        if classes is None and mendable is not None:
            try:
                found = self._faults(self._instead_of_voc(mendable), False, allow_unplaced)
            except InputError:
                return found
        return found

    def _faults(self, classes: ClassList, chosen: bool, allow_unplaced: bool) -> list[InputError]:
        return [
            fault
            for group in self._groups
            for fault in keyword_faults(*group.asked(), classes, group.split, allow_unplaced, group.wanted, chosen)
        ]

    def _keywords(self, classes: ClassList, chosen: bool, allow_unplaced: bool) -> Keywords:
        found: Keywords = {}
        for group in self._groups:
            found |= read_keywords(
                *group.asked(), classes, group.split, self._notes, allow_unplaced, group.wanted, chosen
            )
        return {image_id: found[image_id] for image_id in self.images if image_id in found}

    def _words(self) -> Counter[str]:
        words: Counter[str] = Counter()
        for group in self._groups:
            words += words_used(*group.asked(), group.split, self._notes)
        return words

    def _named(self) -> ClassList:
        """Return the classes that the keywords name."""
        classes = classes_of_words(self._words(), self._where())
        self._notes.say(f"--classes auto: {_in_words(classes)}, as the keywords name them")
        return classes

    def _instead_of_voc(self, error: InputError) -> ClassList:
        """Return the classes that the keywords name, for a set that knows none of VOC's.

        Args:
            error: What is wrong with VOC's classes.

        Raises:
            InputError: The same error, where other classes would not help.
        """
        if error.rule not in _OTHER_CLASSES:
            raise error
        try:
            words = self._words()
            classes = classes_of_words(words, self._where())
        except InputError:
            raise error from None
        if means_voc(words) or len(classes.names) < _FEWEST_NAMES:
            raise error
        self._notes.say(
            f"--classes: not given, and no keyword is a class of VOC, so the names that the keywords use are the "
            f"classes, as with --classes auto: {_in_words(classes)}"
        )
        return classes

    def _where(self) -> str:
        return ", ".join(str(group.folder if group.source == _AUTO else group.source) for group in self._groups)


def _in_words(classes: ClassList) -> str:
    names = ", ".join(classes.names[:_SHOWN]) + (", ..." if len(classes.names) > _SHOWN else "")
    return f"{len(classes.names)} {'class' if len(classes.names) == 1 else 'classes'} ({names})"


def _grouped(
    folders: Sequence[Path], found: Sequence[dict[str, ImageFile]], sources: Sequence[str], split: str | None
) -> list[_Group]:
    """Return a group for each folder, but one for all folders that share a table."""
    of_each = list(sources) * len(folders) if len(sources) == 1 else list(sources)
    splits = _splits(folders, split)
    groups, shared = [], [source for source in dict.fromkeys(of_each) if source != _AUTO and of_each.count(source) > 1]
    for folder, images, source, own in zip(folders, found, of_each, splits, strict=True):
        if source not in shared:
            groups.append(_Group(source, folder, images, own))
    for source in shared:
        members = [number for number, one in enumerate(of_each) if one == source]
        images = {image_id: place for number in members for image_id, place in found[number].items()}
        wanted: set[str] = set()
        for number in members:
            wanted |= _wanted(folders[number], found[number], splits[number])
        above = common_folder([folders[number] for number in members])
        ordered = dict(sorted(images.items()))
        groups.append(_Group(source, above, ordered, None, frozenset(wanted) if split is not None else None))
    return groups


def _splits(folders: Sequence[Path], split: str | None) -> list[str | None]:
    """Return the split to take of each folder: None of those without such a list, if another folder has one."""
    if split is None or len(folders) == 1:
        return [split] * len(folders)
    known = [knows_split(folder.parent, split) for folder in folders]
    return [split if has_list or not any(known) else None for has_list in known]


def _wanted(folder: Path, images: Mapping[str, ImageFile], split: str | None) -> set[str]:
    ids = split_ids(folder.parent, split)
    return set(images) if ids is None else ids
