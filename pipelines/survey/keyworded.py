"""Pictures with keywords: folders named after classes, VOC folders, tables and tar shards."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from pipelines.data.class_names import NameMatcher
from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import IMAGE_SUFFIXES, find_images, strip_image_suffix
from pipelines.data.keyword_tables import read_table
from pipelines.data.keyword_voc import lists_by_own_names
from pipelines.data.keywords_files import keyword_faults, read_keywords
from pipelines.data.notes import Notes
from pipelines.data.synsets import class_of_synset, is_synset
from pipelines.data.tar_shards import TarMember, index_tar, read_member
from pipelines.data.voc import pictures_folder
from pipelines.errors import InputError
from pipelines.survey.annotated import CocoFile
from pipelines.survey.listing import Listing

# Names that sort pictures without saying what they show.
_NO_CLASSES = {
    "train", "val", "valid", "validation", "test", "images", "image", "img", "imgs", "pictures", "photos", "data",
    "jpegimages", "other", "others", "misc", "unsorted", "background",
}  # fmt: skip
_TRAIN = "train"
_SPLITS = ("train_aug", "train", "trainval", None)
_SAMPLES = 20
_LONGEST_TEXT = 1 << 16
_MOST_CLASSES = 254
_VOC = NameMatcher(VOC_CLASSES)


@dataclass(frozen=True)
class Keyworded:
    """Pictures whose keywords s4 can read.

    Attributes:
        what: How the keywords are given, in words.
        images: Folder of the pictures.
        keywords: `auto`, or the path of a table.
        split: List of the VOC folder, or None for all pictures.
        counts: How many pictures have each keyword, in the order of the class list.
        pictures: How many pictures have a keyword.
        without: Ids of pictures that have none, where all pictures should have one.
        unplaced: Why labelling would stop, because many pictures lie in folders that name no class; empty if it would
            not.
    """

    what: str
    images: Path
    keywords: str
    split: str | None
    counts: dict[str, int]
    pictures: int
    without: tuple[str, ...]
    unplaced: str = ""


@dataclass
class Candidates:
    """What was tried.

    Attributes:
        usable: Pictures whose keywords can be read, best first.
        faults: Why others cannot be used, by place.
    """

    usable: list[Keyworded] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def try_out(self, what: str, images: Path, keywords: str, names: Sequence[str], split: str | None = None) -> bool:
        """Read the keywords of pictures; note the result. Return whether that was possible."""
        place = f"{what}: {images if keywords == 'auto' else keywords}"
        try:
            self.usable.append(_read(what, images, keywords, names, split))
        except InputError as error:
            self.faults[place] = str(error)
            return False
        self.faults.pop(place, None)
        return True


def _read(what: str, images: Path, keywords: str, names: Sequence[str], split: str | None) -> Keyworded:
    classes, found = ClassList.from_names(names, what), find_images(images)
    words = read_keywords(keywords, found, images, classes, split)
    counts = Counter(word for some in words.values() for word in some)
    ordered = {name: counts[name] for name in classes.names if counts[name]}
    is_part = split is not None or keywords != "auto"  # the other pictures may be there to evaluate on
    without = () if is_part else tuple(image_id for image_id in found if image_id not in words)
    faults = keyword_faults(keywords, found, images, classes, split, allow_unplaced=False)
    unplaced = next((fault.message for fault in faults if fault.rule == "keywords-unplaced"), "")
    return Keyworded(what, images, keywords, split, ordered, len(words), without, unplaced)


def keyworded(listing: Listing, coco: Sequence[CocoFile]) -> Candidates:
    """Find the pictures whose keywords can be read.

    Args:
        listing: The files.
        coco: COCO files; pictures of those with masks are not taken for classes because of their folders.
    """
    candidates = Candidates()
    _class_folders(listing, {file.images for file in coco if file.trains}, candidates)
    _tables(listing, candidates)
    for voc in listing.voc:
        _voc(voc, candidates)
    for file in coco:
        if file.images is not None and not file.has_masks and file.categories:
            candidates.try_out("COCO file without masks", file.images, str(file.path), file.categories)
    _shards(listing, candidates)
    candidates.usable.sort(key=lambda one: -one.pictures)
    return candidates


def _known(name: str) -> str | None:
    """Return the VOC class that the name of a folder or tar means."""
    return class_of_synset(name) or _VOC.find(name)


def _class_folders(listing: Listing, salient: set[Path | None], candidates: Candidates) -> None:
    """Take folders named after VOC's classes and their neighbours; else folders of any names beside each other."""
    places = [place for place in listing.picture_places() if place != listing.folder]
    own = [place for place in places if place not in salient and _may_be_class(place)]
    named = {part for place in places if (part := _class_place(listing.folder, place)) is not None}
    if named:
        roots = {part.parent for part in named}
        named |= {place for place in places if place.name.lower() == _TRAIN and place.parent in roots}
        neighbours = {place.name for place in own if place.parent in roots}
        names = _in_order(neighbours | {_known(part.name) or "" for part in named})
        candidates.try_out("folders of class names", Path(os.path.commonpath(roots)), "auto", names)
        return
    for parent, count in Counter(place.parent for place in own).items():
        if count > 1:
            names = sorted(place.name for place in own if place.parent == parent)
            candidates.try_out("folders of own class names", parent, "auto", names)


def _class_place(folder: Path, place: Path) -> Path | None:
    """Return the innermost folder, of a folder of pictures and those above it, that is named after a VOC class.

    A folder `train` mostly holds pictures to train on. It is a class only beside folders of other classes.
    """
    above = (one for one in (place, *place.parents) if one != folder and one.is_relative_to(folder))
    return next((one for one in above if _known(one.name) and one.name.lower() != _TRAIN), None)


def _may_be_class(place: Path) -> bool:
    name = place.name
    return name.lower() not in _NO_CLASSES and not is_synset(name) and _known(name) is None and name.isprintable()


def _voc(voc: Path, candidates: Candidates) -> None:
    """Take the pictures of a VOC folder whose lists or XML name classes; those of a training split, if it has one."""
    names, what = _voc_names(voc), "VOC lists or XML"
    if not names:
        if all(one.images != pictures_folder(voc) for one in candidates.usable):  # else a table names them
            candidates.faults[f"{what}: {voc}"] = f"{voc}: no list in ImageSets/Main and no XML names a class"
        return
    any(candidates.try_out(what, pictures_folder(voc), "auto", names, split) for split in _SPLITS)


def _voc_names(voc: Path) -> list[str]:
    """Return the class names of a VOC folder: those of the lists in `Main`, or those of VOC that its XML names."""
    found = {name for name, _ in lists_by_own_names(voc, None)}
    if not found:
        found = {name for path in sorted((voc / "Annotations").glob("*.xml")) for name in _xml_names(path)}
    return _in_order(found)


def _xml_names(path: Path) -> set[str]:
    try:
        # As in `pipelines.data.keyword_voc.read_xml`: expat refuses entities that multiply.
        root = ElementTree.parse(path)  # nosec B314
        return {(name.text or "").strip() for name in root.findall("object/name")}
    except (ElementTree.ParseError, OSError, ValueError, LookupError):  # the last one is an unknown encoding
        return set()


def _in_order(names: set[str]) -> list[str]:
    """Return class names without a second reading: VOC's in their order, then others by the alphabet."""
    return [*(name for name in VOC_CLASSES if name in names), *sorted(names - set(VOC_CLASSES) - {"", "background"})]


def _tables(listing: Listing, candidates: Candidates) -> None:
    """Take CSV tables of keywords whose pictures are here."""
    for path in listing.with_suffix(".csv"):
        try:
            named, faults = read_table(path, (), ClassList.from_names(VOC_CLASSES), Notes())
            rows = list(named)
        except InputError as error:
            candidates.faults[f"table: {path}"] = str(error)
            continue
        if faults:
            candidates.faults[f"table: {path}"] = f"{path}: {faults[0]}; correct the file [keywords-file]"
            continue
        words = _in_order({word for _, some in rows for word in some})
        images = _pictures_of(path, [name for name, _ in rows], listing)
        if images is None or not words:
            found = "none of its pictures is here" if words else "it names no class"
            candidates.faults[f"table: {path}"] = f"{path}: {found}"
        else:
            candidates.try_out("CSV table", images, str(path), words)


def _pictures_of(path: Path, names: list[str], listing: Listing) -> Path | None:
    """Return the folder that has the first pictures of a table, the nearest one to the table first."""
    stems = [strip_image_suffix(name.lstrip("/").removeprefix("JPEGImages/")) for name in names[:_SAMPLES]]
    for folder in listing.near(path):
        if stems and all(
            any(os.path.isfile(folder / f"{stem}{suffix}") for suffix in IMAGE_SUFFIXES) for stem in stems
        ):
            return folder
    return None


def _shards(listing: Listing, candidates: Candidates) -> None:
    """Take tars that are named after classes, or whose pictures have keywords beside them."""
    tars = listing.tars()
    if not tars:
        return
    root = Path(os.path.commonpath([tar.parent for tar in tars]))
    try:
        names = {name for tar in tars for name in _tar_names(tar)}
    except InputError as error:
        candidates.faults[f"tar shards: {root}"] = str(error)
        return
    if len(names) > _MOST_CLASSES:  # the texts beside the pictures are captions
        names &= set(VOC_CLASSES)
    if names:
        candidates.try_out("tar shards", root, "auto", _in_order(names))
    else:
        candidates.faults[f"tar shards: {root}"] = f"{root}: no tar and no text beside a picture names a class"


def _tar_names(tar: Path) -> Iterator[str]:
    members, _ = index_tar(tar, IMAGE_SUFFIXES)
    for name in (tar.stem, *(part for member in members for part in Path(member.member).parent.parts)):
        known = _known(name.removesuffix(".tar"))
        if known:
            yield known
    for member in members:
        yield from _words_beside(member)


def _words_beside(member: TarMember) -> Iterator[str]:
    for beside in member.beside:
        text = read_member(beside, _LONGEST_TEXT).decode("utf-8", "replace")
        for word in (word.strip() for part in text.splitlines() for word in part.split(";")):
            if word and not word.isdecimal() and not (is_synset(word) and class_of_synset(word) is None):
                yield class_of_synset(word) or word
