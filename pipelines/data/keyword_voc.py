"""Keywords in a folder of VOC's layout: the lists of each class in `ImageSets/Main`, and XML for each picture."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from pipelines.data.class_names import NameMatcher
from pipelines.data.images import ImageFile
from pipelines.data.keyword_tables import Named, damaged
from pipelines.data.voc import read_split
from pipelines.files import read_text
from pipelines.stores.paths import presence

_ABSENT = "-1"  # in VOC's lists; 1 is present, and 0 is present but hard to see, as in class vectors
_LIST_LINE = re.compile(r"(\S+)\s+(-1|0|1)")
_SEGMENTATION = Path("ImageSets", "Segmentation")
_MAIN = Path("ImageSets", "Main")
_SPLITS = {"test", "train", "train_aug", "trainval", "val"}


def split_ids(voc: Path, split: str | None) -> set[str] | None:
    """Return the pictures of a split; None for all pictures, where no split is asked for or only `Main` knows it."""
    if split is None:
        return None
    only_main = not (voc / _SEGMENTATION / f"{split}.txt").is_file() and any(_lists(voc, split))
    return None if only_main else set(read_split(voc, split))


def knows_split(voc: Path, split: str) -> bool:
    """Return whether a folder has a list of this name, in `ImageSets/Segmentation` or in `ImageSets/Main`."""
    return (voc / _SEGMENTATION / f"{split}.txt").is_file() or any(_lists(voc, split))


def _lists(voc: Path, split: str) -> Iterator[Path]:
    """Yield the lists of classes; `train_aug.txt` itself is a list of pictures."""
    return (path for path in (voc / _MAIN).glob(f"*_{split}.txt") if path.stem not in _SPLITS)


def class_lists(voc: Path, matcher: NameMatcher, split: str | None) -> list[tuple[str, Path]]:
    """Return the per-class lists of a split, or of all splits where this split has none of its own."""
    named = ((_class_of_list(path, matcher), path) for path in _paths(voc, split))
    return [(name, path) for name, path in named if name is not None]


def lists_by_own_names(voc: Path, split: str | None) -> list[tuple[str, Path]]:
    """Return the lists that `class_lists` returns for any classes, each with the name that its file gives."""
    ends = _SPLITS | {path.stem for path in (voc / _SEGMENTATION).glob("*.txt")}
    found = []
    for path in _paths(voc, split):
        end = max((end for end in ends if path.stem.endswith(f"_{end}")), key=len, default=None)
        found.append((path.stem.removesuffix(f"_{end}") if end else path.stem.rpartition("_")[0], path))
    return found


def _paths(voc: Path, split: str | None) -> list[Path]:
    own = sorted(_lists(voc, split)) if split is not None else []
    return own or sorted(_lists(voc, "*"))


def _class_of_list(path: Path, matcher: NameMatcher) -> str | None:
    """Return the class of a list `<class>_<split>.txt`; the longest name counts: `sea_lion` before `sea`."""
    parts = path.stem.split("_")
    names = ("_".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((found for name in names if (found := matcher.find(name)) is not None), None)


def read_lists(lists: Sequence[tuple[str, Path]]) -> Named:
    """Yield the pictures that show the class of each list, with that class.

    Args:
        lists: Classes and the files of their lists.

    Raises:
        InputError: A line is no line of such a list [keywords-file].
    """
    for name, path in lists:
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            parts = _LIST_LINE.fullmatch(line.strip())
            if parts is None:
                raise damaged(f"{path}: line {number} is {line!r}", "an id and 1, 0 or -1")
            if parts.group(2) != _ABSENT:
                yield parts.group(1), [name]


def xml_files(images: Mapping[str, ImageFile], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the pictures that have XML, in `Annotations` beside the folder of the pictures or beside the picture.

    Args:
        images: Where each picture lies, by image_id.
        folder: The folder of the pictures.

    Yields:
        (image_id, XML).
    """
    apart, beside = folder.parent / "Annotations", folder
    is_apart, is_beside = presence(apart), presence(beside)
    for image_id, path in images.items():
        xml = apart / f"{image_id}.xml"
        if is_apart(xml):
            yield image_id, xml
        elif isinstance(path, Path) and is_beside(path.with_suffix(".xml")):
            yield image_id, path.with_suffix(".xml")


def read_xml(path: Path) -> list[str]:
    """Read the names of a picture's objects; names of parts, such as `head`, lie one level deeper and are left out."""
    try:
        # expat refuses entities that multiply, and ElementTree opens no other file.
        root = ElementTree.fromstring(read_text(path))  # nosec B314
    except (ElementTree.ParseError, ValueError) as error:
        raise damaged(f"{path}: {error}", "VOC XML") from error
    return [(name.text or "").strip() for name in root.findall("object/name")]
