"""Keywords of pictures, from every form in which data sets give them.

A picture's keywords come in the order of the class list, each once. A picture without any class of the list is not
returned, because nothing tells its instances apart.

VOC classes that are not in use are passed over in every source. Folder names, VOC XML and COCO JSON may have any other
word as well, because they describe whole data sets. A word in a CSV table must be a class.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from pipelines.data.class_names import NameMatcher
from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import ImageFile, strip_image_suffix
from pipelines.data.keyword_places import PlaceReader, folder_names, tell_unplaced
from pipelines.data.keyword_tables import Named, damaged, read_table
from pipelines.data.notes import Notes, first_names
from pipelines.data.picture_names import PictureNames
from pipelines.data.voc import read_split
from pipelines.errors import InputError
from pipelines.files import read_text

Keywords = dict[str, tuple[str, ...]]  # image_id -> class names

_ABSENT = "-1"  # in VOC's lists; 1 is present, and 0 is present but hard to see, as in class vectors
_LIST_LINE = re.compile(r"(\S+)\s+(-1|0|1)")


def read_keywords(
    source: str,
    images: dict[str, ImageFile],
    folder: Path,
    classes: ClassList,
    split: str | None = None,
    notes: Notes | None = None,
    allow_unplaced: bool = True,
) -> Keywords:
    """Read the keywords of pictures.

    Args:
        source: `auto`, which takes the first of these that is there: what the places of pictures tell (sub-folders and
            tars named after classes or synsets, ImageNet's picture names, `key.cls` and `key.txt` in tars), VOC lists
            in `../ImageSets/Main`, VOC XML in `../Annotations` or beside the pictures. Or a file: CSV with the
            columns `image,keywords`, `.npy` with class vectors, `.txt` with class numbers, `.json` in COCO's form, or
            the folder of SBD's `.mat` files.
        images: Where each picture lies, by image_id, as `find_images(folder)` gives it.
        folder: The pictures' folder.
        classes: Classes in use. Words are compared with them as `NameMatcher` does.
        split: Takes only pictures of this VOC split, from its own lists in `Main` where it has them; None takes all.
        notes: Told what is left out, and which names were understood though they are spelled otherwise.
        allow_unplaced: Whether more than a tenth of the pictures may lie in folders that name no class.

    Returns:
        image_id -> keywords, in the order of `images`; some of the pictures, at least one.

    Raises:
        InputError: No keyword is found [keywords-none], the source is damaged [keywords-file], a keyword is no class
            [class-unknown], a picture is not in the folder [keywords-picture-missing], folders name no class
            [keywords-unplaced], or the split is unknown [split-missing].
    """
    notes = notes or Notes()
    said = _Source(images, folder, classes, split, notes, allow_unplaced).read(source)
    said.refuse_faults()
    table = {image_id: said.keywords(image_id) for image_id in images if image_id in said.words}
    table = {image_id: keywords for image_id, keywords in table.items() if keywords}
    said.matcher.tell(notes)
    said.tell_others(notes)
    if not table:
        raise InputError(
            f"{said.where}: no picture has a keyword among {first_names(classes.names)}, expected one or more; check "
            "--keywords and --classes",
            "keywords-none",
        )
    left = [image_id for image_id in images if image_id not in table]
    if left and split is None and not said.is_of_places:  # of places it is told already
        shown = f"no keyword for {len(left)} of {len(images)} pictures, which are left out ({first_names(left)})"
        notes.say(f"{said.where}: {shown}")
    return table


def keyword_faults(
    source: str,
    images: dict[str, ImageFile],
    folder: Path,
    classes: ClassList,
    split: str | None = None,
    allow_unplaced: bool = True,
) -> list[InputError]:
    """Return all faults in the keywords of pictures, each as an error of its own.

    A picture that is on the list of the split and not in the folder is a fault too.

    Args:
        source: See `read_keywords`.
        images: Where each picture lies, by image_id.
        folder: The pictures' folder.
        classes: Classes in use.
        split: The VOC split, or None.
        allow_unplaced: As in `read_keywords`.
    """
    try:
        said = _Source(images, folder, classes, split, Notes(), allow_unplaced).read(source)
        listed = _split_ids(folder.parent, split) or set()
    except InputError as error:
        return [error]
    faults = [InputError(f"{said.where}: {fault}; correct the file", "keywords-file") for fault in said.faults]
    faults += [
        InputError(
            f"{split if image_id in listed and image_id not in said.missing else said.where}: picture {image_id} is "
            f"not in {folder}, expected all that are named; complete the data set",
            "image-missing",
        )
        for image_id in sorted((listed - images.keys()) | set(said.missing))
    ]
    return faults + [InputError(f"{said.where}: {fault.message}", fault.rule) for fault in said.strangers]


@dataclass
class _Said:
    """What a source says of the pictures.

    Attributes:
        where: The file or folder.
        matcher: Finds the classes in use.
        words: image_id -> words, of pictures in the folder.
        missing: Ids of pictures that the source names and that are not in the folder.
        faults: What is wrong with lines of a table.
        strangers: An error for each word that must be a class and is none.
        others: Words that are passed over, with the number of their pictures.
        is_of_places: Whether it is what the places of the pictures tell.
    """

    where: str
    matcher: NameMatcher
    words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    missing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    strangers: list[InputError] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    is_of_places: bool = False

    def refuse_faults(self) -> None:
        """Refuse a source with faults; one message tells all of them.

        Raises:
            InputError: Lines cannot be read [keywords-file], words are no class [class-unknown], or pictures are not in
                the folder [keywords-picture-missing]. Faults of several kinds are a [keywords-file].
        """
        faults = {
            "keywords-file": self.faults,
            "class-unknown": [fault.message for fault in self.strangers],
            "keywords-picture-missing": [
                f"{len(self.missing)} of {len(self.missing) + len(self.words)} pictures are not in the folder "
                f"({first_names(self.missing)}), expected all of them"
            ]
            if self.missing
            else [],
        }
        rules = [rule for rule, some in faults.items() if some]
        if rules:
            lines = [fault for some in faults.values() for fault in some]
            number = f"{len(lines)} faults: " if len(lines) > 1 else ""
            rule = rules[0] if len(rules) == 1 else "keywords-file"
            raise InputError(f"{self.where}: {number}{'; '.join(lines)}; correct them, or check --images", rule)

    def keywords(self, image_id: str) -> tuple[str, ...]:
        """Return the words of a picture that are classes in use, in the order of the class list."""
        found = {self.matcher.find(word) for word in self.words[image_id]}
        return tuple(name for name in self.matcher.names if name in found)

    def tell_others(self, notes: Notes) -> None:
        """Tell of words that are no class."""
        if self.others:
            shown = first_names([f"{word} {count}" for word, count in self.others.most_common()])
            notes.say(f"{self.where}: words that name no class of the list are passed over, with pictures: {shown}")


class _Source:
    """The pictures and classes that keywords are wanted for."""

    def __init__(
        self,
        images: dict[str, ImageFile],
        folder: Path,
        classes: ClassList,
        split: str | None,
        notes: Notes,
        allow_unplaced: bool,
    ) -> None:
        self.images, self.folder, self.classes, self.split = images, folder, classes, split
        self.notes, self.allow_unplaced = notes, allow_unplaced
        self.matcher = NameMatcher(classes.names)

    def read(self, source: str) -> _Said:
        """Read what a source says, see `read_keywords`."""
        faults: list[str] = []
        if source == "auto":
            where, named = self._find()
            strict = False
        else:
            named, faults = read_table(Path(source), self.images, self.classes, self.notes)
            where, strict = source, Path(source).suffix.lower() in (".csv", ".tsv")
        said = _Said(where, self.matcher, faults=faults, is_of_places=source == "auto" and where == str(self.folder))
        self._sort(said, list(named))
        self._judge(said, strict)
        return said

    def _sort(self, said: _Said, named: Sequence[tuple[str, Iterable[str]]]) -> None:
        """Give the words to the pictures that are meant."""
        wanted = _split_ids(self.folder.parent, self.split)
        matched = PictureNames(self.images, self.notes).match([name for name, _ in named], said.where)
        missing = dict.fromkeys(_plain(name) for name, _ in named if name not in matched)
        said.missing += [image_id for image_id in missing if wanted is None or image_id in wanted]
        for name, some in named:
            image_id = matched.get(name)
            if image_id is not None and (wanted is None or image_id in wanted):
                said.words[image_id].update(some)

    def _judge(self, said: _Said, strict: bool) -> None:
        """Look at the words that name no class in use; those of other VOC classes are passed over in silence."""
        voc = NameMatcher(VOC_CLASSES) if self.classes.is_voc else None
        first: dict[str, str] = {}
        for image_id, words in said.words.items():
            for word in sorted(words):
                if self.matcher.find(word) is None and (voc is None or voc.find(word) is None):
                    first.setdefault(word, image_id)
                    said.others[word] += 1
        for word, image_id in first.items() if strict else ():
            try:
                self.classes.position(word)
            except InputError as error:
                more = f" and {said.others[word] - 1} more" if said.others[word] > 1 else ""
                said.strangers.append(InputError(f"{image_id}{more}: {error.message}", error.rule))

    def _find(self) -> tuple[str, Named]:
        """Return the source that `auto` stands for, and its content."""
        wanted = _split_ids(self.folder.parent, self.split)
        asked = {i: place for i, place in self.images.items() if wanted is None or i in wanted}
        places = PlaceReader(asked, self.classes, self.matcher).read()
        if places.words:
            tell_unplaced(self.folder, places, self.classes, self.allow_unplaced, self.notes)
            return f"{self.folder}", iter(places.words.items())
        lists = _class_lists(self.folder.parent, self.matcher, self.split)
        if lists:
            return f"{lists[0][1].parent}", _read_lists(lists)
        annotations = [
            (image_id, xml) for image_id, path in self.images.items() if (xml := _xml_of(image_id, path, self.folder))
        ]
        if annotations:
            return f"{annotations[0][1].parent}", ((image_id, _read_xml(xml)) for image_id, xml in annotations)
        folders = folder_names(self.images)
        found = f"folders {folders} name no class of the list" if folders else "no keywords found"
        raise InputError(
            f"{self.folder}: {found}, expected sub-folders or tars named after classes, key.cls in tars, "
            "../ImageSets/Main or VOC XML; name the classes with --classes, or pass a table as --keywords",
            "keywords-none",
        )


def _plain(name: str) -> str:
    """Return the image id that a name of no picture would stand for."""
    return strip_image_suffix(name.lstrip("/").removeprefix("./").removeprefix("JPEGImages/"))


def _split_ids(voc: Path, split: str | None) -> set[str] | None:
    """Return the pictures of a split; None for all pictures, where no split is asked for or only `Main` knows it."""
    if split is None:
        return None
    only_main = not (voc / "ImageSets" / "Segmentation" / f"{split}.txt").is_file() and any(_lists(voc, split))
    return None if only_main else set(read_split(voc, split))


def _lists(voc: Path, split: str) -> Iterator[Path]:
    return (voc / "ImageSets" / "Main").glob(f"*_{split}.txt")


def _class_lists(voc: Path, matcher: NameMatcher, split: str | None) -> list[tuple[str, Path]]:
    """Return the per-class lists of a split, or of all splits where this split has none of its own."""
    paths = sorted(_lists(voc, split)) if split is not None else []
    paths = paths or sorted(_lists(voc, "*"))
    named = ((_class_of_list(path, matcher), path) for path in paths)
    return [(name, path) for name, path in named if name is not None]


def _class_of_list(path: Path, matcher: NameMatcher) -> str | None:
    """Return the class of a list `<class>_<split>.txt`; the longest name counts: `sea_lion` before `sea`."""
    parts = path.stem.split("_")
    names = ("_".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((found for name in names if (found := matcher.find(name)) is not None), None)


def _read_lists(lists: Sequence[tuple[str, Path]]) -> Named:
    for name, path in lists:
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            parts = _LIST_LINE.fullmatch(line.strip())
            if parts is None:
                raise damaged(f"{path}: line {number} is {line!r}", "an id and 1, 0 or -1")
            if parts.group(2) != _ABSENT:
                yield parts.group(1), [name]


def _xml_of(image_id: str, path: ImageFile, folder: Path) -> Path | None:
    places = [folder.parent / "Annotations" / f"{image_id}.xml"]
    places += [path.with_suffix(".xml")] if isinstance(path, Path) else []
    return next((place for place in places if place.is_file()), None)


def _read_xml(path: Path) -> list[str]:
    """Read the names of a picture's objects; names of parts, such as `head`, lie one level deeper and are left out."""
    try:
        root = ElementTree.fromstring(read_text(path))
    except (ElementTree.ParseError, ValueError) as error:
        raise damaged(f"{path}: {error}", "VOC XML") from error
    return [(name.text or "").strip() for name in root.findall("object/name")]
