"""Class lists made of the names that keywords use: `--classes auto`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.data.class_names import NameMatcher, name_key, stands_for_background
from pipelines.data.classes import MOST_CLASSES, VOC_CLASSES, ClassList
from pipelines.data.images import ImageFile
from pipelines.data.keyword_places import PlaceReader
from pipelines.data.keyword_tables import has_names, read_table
from pipelines.data.keyword_voc import lists_by_own_names, read_lists, read_xml, split_ids, xml_files
from pipelines.data.notes import Notes, first_names
from pipelines.errors import InputError
from pipelines.stores.paths import to_path

_VOC = ClassList.from_names(VOC_CLASSES)
_AUTO = "--classes auto"


def words_used(
    source: str, images: Mapping[str, ImageFile], folder: Path, split: str | None, notes: Notes
) -> Counter[str]:
    """Return the words of a source of keywords, with the numbers of their pictures.

    Args:
        source: See `pipelines.data.keywords_files.read_keywords`.
        images: Where each picture lies, by image_id.
        folder: The pictures' folder.
        split: The VOC split whose lists are read, or None.
        notes: Told what is left out.

    Raises:
        InputError: The source numbers its classes and does not name them [classes-numbers], or it is damaged.
    """
    if source == "auto":
        wanted = split_ids(folder.parent, split)
        asked = {image_id: place for image_id, place in images.items() if wanted is None or image_id in wanted}
        return PlaceReader(asked, _VOC, NameMatcher(VOC_CLASSES)).names() or _words_in_voc(asked, folder, split)
    if not has_names(to_path(source)):
        raise InputError(
            f"{source}: numbers the classes and does not name them, names expected with {_AUTO}; pass the list that it "
            "counts as --classes voc or --classes FILE",
            "classes-numbers",
        )
    return _counted(some for _, some in read_table(to_path(source), images, _VOC, notes)[0])


def _words_in_voc(images: Mapping[str, ImageFile], folder: Path, split: str | None) -> Counter[str]:
    lists = lists_by_own_names(folder.parent, split)
    if lists:
        return _counted(some for _, some in read_lists(lists))
    return _counted(read_xml(xml) for _, xml in xml_files(images, folder))


def _counted(pictures: Iterable[Iterable[str]]) -> Counter[str]:
    return Counter(word for some in pictures for word in set(some))


def means_voc(words: Iterable[str]) -> bool:
    """Return whether any word means a class of VOC, however it is spelled."""
    voc = NameMatcher(VOC_CLASSES)
    return any(voc.find(word) is not None for word in words)


def classes_of_words(words: Mapping[str, int], where: str) -> ClassList:
    """Make a class list of words, sorted by name.

    If all words mean classes of VOC, the classes have VOC's names. Otherwise words that differ in case, spaces, `_` and
    `-` alone are one class, spelled as most pictures have it. Words for background are no class.

    Args:
        words: Words with their numbers of pictures.
        where: The file or folder that they come from, for messages.

    Raises:
        InputError: There is no word [keywords-none], or there are more than 254 classes [classes-count].
    """
    voc = NameMatcher(VOC_CLASSES)
    shown = {word: count for word, count in words.items() if name_key(word) and not stands_for_background(word)}
    meant = {voc.find(word) for word in shown}
    names = {name for name in meant if name is not None} if None not in meant else _spellings(shown)
    if not names:
        raise InputError(
            f"{where}: no keyword names a class, names expected with {_AUTO}: folders or tars named after what their "
            "pictures show, VOC lists or XML, or a table as --keywords; write them",
            "keywords-none",
        )
    ordered = sorted(names, key=lambda name: (name.casefold(), name))
    if len(ordered) > MOST_CLASSES:
        raise InputError(
            f"{where}: {len(ordered)} names are used as keywords ({first_names(ordered)}), expected at most "
            f"{MOST_CLASSES} with {_AUTO}; list the classes that you want in a file, as --classes FILE",
            "classes-count",
        )
    return ClassList.from_names(ordered, where)


def _spellings(words: Mapping[str, int]) -> set[str]:
    """Return the words, of those that differ in case, spaces, `_` and `-` alone the one with the most pictures."""
    alike: dict[str, list[str]] = defaultdict(list)
    for word in sorted(words):
        alike[name_key(word)].append(word)
    return {max(same, key=lambda word: words[word]) for same in alike.values()}
