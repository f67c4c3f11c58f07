"""All that a folder holds, and what could not be placed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.classes import load_classes
from pipelines.data.images import readable_suffixes
from pipelines.data.synsets import class_of_synset, is_synset
from pipelines.data.tar_shards import TAR_SUFFIX
from pipelines.errors import InputError
from pipelines.survey.annotated import CocoFile, Truth, coco_files, training_files, truths
from pipelines.survey.joining import classes_of, joinable
from pipelines.survey.keyworded import Keyworded, keyworded
from pipelines.survey.listing import Listing, list_files

_READ = (*readable_suffixes(), TAR_SUFFIX, ".json", ".csv")
_CLASS_WORDS = ("class", "name", "categor", "label")
_ASIDE = (".toml", ".txt", ".md", ".xml", ".py", ".sh", ".db", ".ini", ".html", ".pt", ".safetensors")


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        listing: Its files.
        labelled: Pictures with keywords to label, the largest set; None without any.
        beside: Sets of pictures that are labelled together with these, see `pipelines.survey.joining`.
        others: Further sets of pictures with keywords.
        class_file: A file that lists the classes of the pictures to label, or None.
        train: COCO file to train on, or None.
        val: COCO file that chooses the best checkpoint, or None.
        coco: All COCO files.
        truth: Pictures with true label maps to evaluate on, or None.
        unplaced: What could not be placed, in words, and how many of it.
        faults: Why something that looked usable is not.
    """

    listing: Listing
    labelled: Keyworded | None
    beside: tuple[Keyworded, ...]
    others: tuple[Keyworded, ...]
    class_file: Path | None
    train: CocoFile | None
    val: CocoFile | None
    coco: tuple[CocoFile, ...]
    truth: Truth | None
    unplaced: dict[str, int]
    faults: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the pictures to label."""
        return classes_of(self.sets)

    @property
    def sets(self) -> tuple[Keyworded, ...]:
        """All sets of pictures to label."""
        return (self.labelled, *self.beside) if self.labelled else ()


def survey(folder: Path) -> Survey:
    """Look at a folder; no file is changed, and pictures are not decoded."""
    listing = list_files(folder)
    coco, other_json = coco_files(listing)
    train, val = training_files(coco)
    candidates = keyworded(listing, coco)
    sets = joinable(candidates.usable)
    labelled = sets[0] if sets else None
    truth = max(truths(listing), key=lambda one: one.pictures, default=None)
    used = {file.images for file in coco} | {one.images for one in candidates.usable}
    unplaced = dict(_unplaced(listing, sets, [place for place in used if place is not None], other_json))
    return Survey(
        listing,
        labelled,
        sets[1:],
        tuple(one for one in candidates.usable if one not in sets),
        _class_file(listing, sets),
        train,
        val,
        tuple(coco),
        truth,
        unplaced,
        (*(file.fault for file in coco if file.fault), *candidates.faults.values()),
    )


def _class_file(listing: Listing, sets: Sequence[Keyworded]) -> Path | None:
    """Return a file of class names that has all classes of the pictures to label, the nearest one to them first."""
    if not sets:
        return None
    files = [path for path in listing.with_suffix(".txt") if any(word in path.stem.lower() for word in _CLASS_WORDS)]
    places = {place: number for number, place in enumerate(listing.near(sets[0].images))}
    for path in sorted(files, key=lambda path: places[path.parent]):
        try:
            if set(classes_of(sets)) <= set(load_classes(str(path)).names):
                return path
        except InputError:
            continue
    return None


def _unplaced(
    listing: Listing, sets: Sequence[Keyworded], used: list[Path], other_json: list[Path]
) -> Iterator[tuple[str, int]]:
    """Yield what could not be placed, in words, and how many of it."""
    for labelled in sets:
        folders = Counter(image_id.rpartition("/")[0] or "." for image_id in labelled.without)
        for name, count in sorted(folders.items()):
            why = ", a synset of no VOC class" if _is_strange_synset(name) else ""
            yield f"pictures without a keyword in {labelled.images / name}{why}", count
    places = (place for place in listing.picture_places() if not any(place.is_relative_to(one) for one in used))
    for place in places:
        yield f"pictures in {place}, about which nothing says what they show", len(listing.pictures(place))
    if listing.away:
        yield "links that lead away, to a folder above or of the system", len(listing.away)
    if other_json:
        yield "JSON files that are no COCO files", len(other_json)
    suffixes = Counter(
        Path(name).suffix.lower() or "(none)"
        for place, names in listing.files.items()
        for name in names
        if not listing.in_voc(place) and not name.lower().endswith((*_READ, *_ASIDE))
    )
    for suffix, count in sorted(suffixes.items()):
        yield f"files with the suffix {suffix}", count


def _is_strange_synset(folder: str) -> bool:
    name = Path(folder).name
    return is_synset(name) and class_of_synset(name) is None
