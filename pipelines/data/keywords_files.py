"""Keywords of pictures, from every form in which data sets give them.

A picture's keywords come in the order of the class list, each once. A picture without any class of the list is not
returned, because nothing tells its instances apart.

VOC classes that are not in use are passed over in every source. Folder names, VOC XML and COCO JSON may have any other
word as well, because they describe whole data sets. A word in a CSV table must be a class.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import ImageFile, strip_image_suffix
from pipelines.data.keyword_tables import Named, damaged, read_table
from pipelines.data.notes import first_names
from pipelines.data.synsets import class_of_synset, is_synset, synset_of_picture
from pipelines.data.tar_shards import TarMember, read_member
from pipelines.data.voc import read_split
from pipelines.errors import InputError
from pipelines.files import read_text

Keywords = dict[str, tuple[str, ...]]  # image_id -> class names

_LONGEST_TEXT = 1 << 16  # bytes of a text beside a picture: room for any list of classes
_ABSENT = "-1"  # in VOC's lists; 1 is present, and 0 is present but hard to see, as in class vectors
_LIST_LINE = re.compile(r"(\S+)\s+(-1|0|1)")


def read_keywords(
    source: str, images: dict[str, ImageFile], folder: Path, classes: ClassList, split: str | None = None
) -> Keywords:
    """Read the keywords of pictures.

    Args:
        source: `auto`, which takes the first of these that is there: what the places of pictures tell (sub-folders and
            tars named after classes or synsets, ImageNet's picture names, `key.cls` and `key.txt` in tars), VOC lists
            in `../ImageSets/Main`, VOC XML in `../Annotations` or beside the pictures. Or a file: CSV with the
            columns `image,keywords` and `;` between keywords, `.npy` with class vectors, `.txt` with class numbers,
            `.json` in COCO's form, or the folder of SBD's `.mat` files.
        images: Where each picture lies, by image_id, as `find_images(folder)` gives it.
        folder: The pictures' folder.
        classes: Classes in use.
        split: Takes only pictures of this VOC split, from its own lists in `Main` where it has them; None takes all.

    Returns:
        image_id -> keywords, in the order of `images`; some of the pictures, at least one.

    Raises:
        InputError: No keyword is found [keywords-none], the source is damaged [keywords-file], a keyword is no class
            [class-unknown], a picture is not in the folder [keywords-picture-missing], or the split is unknown
            [split-missing].
    """
    where, words, strict = _named_words(source, images, folder, classes, split)
    missing = [image_id for image_id in words if image_id not in images]
    if missing:
        raise InputError(
            f"{where}: {len(missing)} of {len(words)} pictures are not in the folder ({first_names(missing)}), "
            "expected all of them; check --images",
            "keywords-picture-missing",
        )
    table = {
        image_id: _in_use(where, image_id, words[image_id], classes, strict) for image_id in images if image_id in words
    }
    table = {image_id: keywords for image_id, keywords in table.items() if keywords}
    if not table:
        raise InputError(
            f"{where}: no picture has a keyword among {first_names(classes.names)}, expected one or more; check "
            "--keywords and --classes",
            "keywords-none",
        )
    return table


def keyword_faults(
    source: str, images: dict[str, ImageFile], folder: Path, classes: ClassList, split: str | None = None
) -> list[InputError]:
    """Return all faults in the keywords of pictures, where `read_keywords` stops at the first.

    A picture that is on the list of the split and not in the folder is a fault too.

    Args:
        source: See `read_keywords`.
        images: Where each picture lies, by image_id.
        folder: The pictures' folder.
        classes: Classes in use.
        split: The VOC split, or None.
    """
    try:
        where, words, strict = _named_words(source, images, folder, classes, split)
        listed = _split_ids(folder.parent, split) or set()
    except InputError as error:
        return [error]
    faults = [
        InputError(
            f"{where if image_id in words else split}: picture {image_id} is not in {folder}, expected all that are "
            "named; complete the data set",
            "image-missing",
        )
        for image_id in sorted((listed | words.keys()) - images.keys())
    ]
    for image_id, some in words.items() if strict else ():
        faults += _strangers(where, image_id, some, classes)
    return faults


def _named_words(
    source: str, images: dict[str, ImageFile], folder: Path, classes: ClassList, split: str | None
) -> tuple[str, dict[str, set[str]], bool]:
    """Return where the keywords stand, the words of every picture, and whether each word must be a class."""
    if source == "auto":
        where, named = _find_source(images, folder, classes, split)
        strict = False
    else:
        where, named = source, read_table(Path(source), images, classes)
        strict = Path(source).suffix.lower() == ".csv"
    return where, _words_by_picture(named, images, _split_ids(folder.parent, split)), strict


def _words_by_picture(named: Named, images: dict[str, ImageFile], wanted: set[str] | None) -> dict[str, set[str]]:
    """Gather the words of every picture, for each way to write the picture's name."""
    words: dict[str, set[str]] = defaultdict(set)
    for name, some in named:
        inside = name.lstrip("/").removeprefix("./").removeprefix("JPEGImages/")
        image_id = inside if inside in images else strip_image_suffix(inside)
        if wanted is None or image_id in wanted:
            words[image_id].update(some)
    return words


def _in_use(where: str, image_id: str, words: set[str], classes: ClassList, strict: bool) -> tuple[str, ...]:
    """Return the words of a picture that are classes in use, in the order of the class list."""
    for stranger in _strangers(where, image_id, words, classes) if strict else ():
        raise stranger
    return tuple(name for name in classes.names if name in words)


def _strangers(where: str, image_id: str, words: set[str], classes: ClassList) -> list[InputError]:
    """Return an error for each word of a picture that is neither a class in use nor another class of VOC."""
    errors = []
    for word in sorted(words - set(classes.names)):
        if not (classes.is_voc and word in VOC_CLASSES):
            try:
                classes.position(word)
            except InputError as error:
                errors.append(InputError(f"{where}: {image_id}: {error.message}", error.rule))
    return errors


def _split_ids(voc: Path, split: str | None) -> set[str] | None:
    """Return the pictures of a split; None for all pictures, where no split is asked for or only `Main` knows it."""
    if split is None:
        return None
    only_main = not (voc / "ImageSets" / "Segmentation" / f"{split}.txt").is_file() and any(_lists(voc, split))
    return None if only_main else set(read_split(voc, split))


def _find_source(
    images: dict[str, ImageFile], folder: Path, classes: ClassList, split: str | None
) -> tuple[str, Named]:
    """Return the source that `auto` stands for, and its content."""
    words = ((image_id, _place_words(image_id, path, classes)) for image_id, path in images.items())
    by_place = [(image_id, some) for image_id, some in words if some]
    if by_place:
        return f"{folder}", iter(by_place)
    lists = _class_lists(folder.parent, classes, split)
    if lists:
        return f"{lists[0][1].parent}", _read_lists(lists)
    annotations = [(image_id, xml) for image_id, path in images.items() if (xml := _xml_of(image_id, path, folder))]
    if annotations:
        return f"{annotations[0][1].parent}", ((image_id, _read_xml(xml)) for image_id, xml in annotations)
    raise InputError(
        f"{folder}: no keywords found, expected sub-folders or tars named after classes, key.cls in tars, "
        "../ImageSets/Main or VOC XML; pass a table as --keywords",
        "keywords-none",
    )


def _place_words(image_id: str, path: ImageFile, classes: ClassList) -> list[str]:
    """Return the classes that a picture's place tells.

    They are those of the innermost folder that names a class, of the picture's own name, or of files beside it.
    """
    place = PurePosixPath(image_id)
    synset = synset_of_picture(place.name)
    names = [*reversed(place.parent.parts), *([synset] if synset else [])]
    for name in names:
        found = _class_named(name, classes)
        if found:
            return [found]
    # Where a synset names no class in use, a number beside the picture would say no more.
    return [] if isinstance(path, Path) or any(map(is_synset, names)) else _words_beside(path, classes)


def _class_named(word: str, classes: ClassList) -> str | None:
    """Return the class in use that a word or synset means; None without one."""
    name = class_of_synset(word) or word
    return name if name in classes.names else None


def _words_beside(picture: TarMember, classes: ClassList) -> list[str]:
    """Return the classes that `key.cls` or `key.txt` names, as names or synsets with `;` between them."""
    number: tuple[TarMember, str] | None = None
    for member in picture.beside:
        text = read_member(member, _LONGEST_TEXT).decode("utf-8", "replace")
        words = [found for word in re.split(r"[;\n]", text) if (found := _class_named(word.strip(), classes))]
        if words:
            return words
        if member.member.endswith(".cls") and text.strip().isdecimal():
            number = member, text.strip()
    if number is not None:
        raise damaged(f"{number[0]}: holds the number {number[1]}", "a class or synset by name, or --keywords FILE")
    return []


def _lists(voc: Path, split: str) -> Iterator[Path]:
    return (voc / "ImageSets" / "Main").glob(f"*_{split}.txt")


def _class_lists(voc: Path, classes: ClassList, split: str | None) -> list[tuple[str, Path]]:
    """Return the per-class lists of a split, or of all splits where this split has none of its own."""
    paths = sorted(_lists(voc, split)) if split is not None else []
    paths = paths or sorted(_lists(voc, "*"))
    by_length = sorted(classes.names, key=len, reverse=True)  # `sea_lion` before `sea`
    named = ((next((name for name in by_length if path.name.startswith(f"{name}_")), None), path) for path in paths)
    return [(name, path) for name, path in named if name is not None]


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
