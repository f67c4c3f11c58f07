"""Keywords of pictures, from every form in which data sets give them.

A picture's keywords come in the order of the class list, each once. A picture without any class of the list is not
returned, because nothing tells its instances apart.

VOC classes that are not in use are passed over in every source. Folder names, VOC XML and COCO JSON may have any other
word as well, because they describe whole data sets. A word in a CSV table must be a class.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.data.class_names import NameMatcher, stands_for_background
from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import ImageFile, strip_image_suffix
from pipelines.data.keyword_places import PlaceReader, folder_names, tell_unplaced
from pipelines.data.keyword_tables import Named, read_table
from pipelines.data.keyword_voc import class_lists, read_lists, read_xml, split_ids, xml_files
from pipelines.data.notes import Notes, first_names
from pipelines.data.picture_names import PictureNames
from pipelines.errors import InputError
from pipelines.stores.paths import to_path

Keywords = dict[str, tuple[str, ...]]  # image_id -> class names


def read_keywords(
    source: str,
    images: dict[str, ImageFile],
    folder: Path,
    classes: ClassList,
    split: str | None = None,
    notes: Notes | None = None,
    allow_unplaced: bool = True,
    wanted: Collection[str] | None = None,
    chosen: bool = True,
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
        wanted: Takes only these pictures; None takes those of the split.
        chosen: Whether somebody chose the classes. Else the keywords themselves gave them: then words for background
            are passed over.

    Returns:
        image_id -> keywords, in the order of `images`; some of the pictures, at least one.

    Raises:
        InputError: No keyword is found [keywords-none], the source is damaged [keywords-file], a keyword is no class
            [class-unknown], a picture is not in the folder [keywords-picture-missing], folders name no class
            [keywords-unplaced], or the split is unknown [split-missing].
    """
    notes = notes or Notes()
    said = _Source(images, folder, classes, split, notes, allow_unplaced, wanted, chosen).read(source)
    said.refuse_faults()
    table = {image_id: said.keywords(image_id) for image_id in images if image_id in said.words}
    table = {image_id: keywords for image_id, keywords in table.items() if keywords}
    if not table:
        raise said.without_keywords()
    said.matcher.tell(notes)
    said.tell_others(notes)
    left = [image_id for image_id in images if image_id not in table]
    if left and split is None and wanted is None and not said.is_of_places:  # of places it is told already
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
    wanted: Collection[str] | None = None,
    chosen: bool = True,
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
        wanted: As in `read_keywords`.
        chosen: As in `read_keywords`.
    """
    try:
        place = _Source(images, folder, classes, split, Notes(), allow_unplaced, wanted, chosen)
        said = place.read(source)
        listed = place.wanted() or set()
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
            remedy = "correct them, check --images, or name the classes with --classes FILE or auto"
            remedy = remedy if self.strangers else "correct them, or check --images"
            raise InputError(f"{self.where}: {number}{'; '.join(lines)}; {remedy}", rule)

    def without_keywords(self) -> InputError:
        """Return the error of a source that gives no picture a keyword."""
        there = f", but {self._others_in_words()}" if self.others else ""
        names = first_names(self.matcher.names)
        return InputError(
            f"{self.where}: no picture has a keyword among {names}{there}, expected one or more; check --keywords, or "
            "name the classes with --classes FILE or auto",
            "keywords-none",
        )

    def keywords(self, image_id: str) -> tuple[str, ...]:
        """Return the words of a picture that are classes in use, in the order of the class list."""
        found = {self.matcher.find(word) for word in self.words[image_id]}
        return tuple(name for name in self.matcher.names if name in found)

    def tell_others(self, notes: Notes) -> None:
        """Tell of words that are no class."""
        if self.others:
            shown = self._others_in_words()
            notes.say(f"{self.where}: words that name no class of the list are passed over, with pictures: {shown}")

    def _others_in_words(self) -> str:
        return first_names([f"{word} {count}" for word, count in self.others.most_common()])


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
        wanted: Collection[str] | None,
        chosen: bool,
    ) -> None:
        self.images, self.folder, self.classes, self.split = images, folder, classes, split
        self.notes, self.allow_unplaced = notes, allow_unplaced
        self._wanted, self.chosen = wanted, chosen
        self.matcher = NameMatcher(classes.names)

    def wanted(self) -> set[str] | None:
        """Return the ids of the pictures to take; None for all."""
        return split_ids(self.folder.parent, self.split) if self._wanted is None else set(self._wanted)

    def read(self, source: str) -> _Said:
        """Read what a source says, see `read_keywords`."""
        faults: list[str] = []
        if source == "auto":
            where, named = self._find()
            strict = False
        else:
            named, faults = read_table(to_path(source), self.images, self.classes, self.notes)
            where, strict = source, Path(source).suffix.lower() in (".csv", ".tsv")
        said = _Said(where, self.matcher, faults=faults, is_of_places=source == "auto" and where == str(self.folder))
        self._sort(said, list(named))
        self._judge(said, strict)
        return said

    def _sort(self, said: _Said, named: Sequence[tuple[str, Iterable[str]]]) -> None:
        """Give the words to the pictures that are meant."""
        wanted = self.wanted()
        names = [name for name, _ in named]
        matched = PictureNames(self.images, self.notes).match(names, said.where, spellings=True)
        missing = {name: _plain(name) for name in names if name not in matched}
        asked = [(name, image_id) for name, image_id in missing.items() if wanted is None or image_id in wanted]
        # Of `a.jpg` and `a.png` one may be here: then the whole name tells which one is not.
        said.missing += dict.fromkeys(name if image_id in self.images else image_id for name, image_id in asked)
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
                    said.others[word] += 1
                    if self.chosen or not stands_for_background(word):
                        first.setdefault(word, image_id)
        for word, image_id in first.items() if strict else ():
            try:
                self.classes.position(word)
            except InputError as error:
                more = f" and {said.others[word] - 1} more" if said.others[word] > 1 else ""
                said.strangers.append(InputError(f"{image_id}{more}: {error.message}", error.rule))

    def _find(self) -> tuple[str, Named]:
        """Return the source that `auto` stands for, and its content."""
        wanted = self.wanted()
        asked = {i: place for i, place in self.images.items() if wanted is None or i in wanted}
        places = PlaceReader(asked, self.classes, self.matcher, self.chosen).read()
        if places.words:
            tell_unplaced(self.folder, places, self.classes, self.allow_unplaced, self.notes)
            return f"{self.folder}", iter(places.words.items())
        lists = class_lists(self.folder.parent, self.matcher, self.split)
        if lists:
            return f"{lists[0][1].parent}", read_lists(lists)
        annotations = list(xml_files(self.images, self.folder))
        if annotations:
            return f"{annotations[0][1].parent}", ((image_id, read_xml(xml)) for image_id, xml in annotations)
        folders = folder_names(self.images)
        found = f"folders {folders} name no class of the list" if folders else "no keywords found"
        raise InputError(
            f"{self.folder}: {found}, expected sub-folders or tars named after classes, key.cls in tars, "
            "../ImageSets/Main or VOC XML; name the classes with --classes FILE, take the folders' names with "
            "--classes auto, or pass a table as --keywords",
            "keywords-none",
        )


def _plain(name: str) -> str:
    """Return the image id that a name of no picture would stand for."""
    return strip_image_suffix(name.lstrip("/").removeprefix("./").removeprefix("JPEGImages/"))
