"""A folder of data: what `s4 init` would find in it, looked at file by file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.audit.annotations import check_annotations
from pipelines.audit.copies import Pictures, check_pictures, split_of
from pipelines.audit.findings import Findings
from pipelines.audit.keywords import check_keywords
from pipelines.audit.masks import Pair, check_masks
from pipelines.audit.voc_lists import check_lists, check_names, pairs_of
from pipelines.data.classes import MOST_CLASSES, VOC_CLASSES, ClassList, load_classes
from pipelines.data.images import IMAGE_SUFFIXES, ImageFile, strip_image_suffix
from pipelines.data.keyword_tables import read_table
from pipelines.data.notes import Notes
from pipelines.data.tar_shards import TAR_SUFFIX
from pipelines.data.voc import pictures_folder
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.survey.annotated import CocoFile
from pipelines.survey.folder import Survey, survey
from pipelines.survey.keyworded import Keyworded

_AUTO = "auto"


@dataclass
class DataSet:
    """What was found in a folder of data.

    Attributes:
        pictures: Its pictures.
        masks: How many label maps it has.
        labelled: (height, width) of the pictures that would be labelled.
        made: The folders in it that s4 has made.
    """

    pictures: Pictures = field(default_factory=Pictures)
    masks: int = 0
    labelled: list[tuple[int, int]] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to check."""
        return not self.pictures.needed and not self.masks and not self.made


def check_data(
    folder: Path, classes: str | None, findings: Findings, threads: int, events: Events, wanted: Path | None = None
) -> DataSet:
    """Check a folder of data, with all sources of keywords, annotations and masks in it.

    Args:
        folder: The folder.
        classes: The class list, as `--classes` takes it, or None.
        findings: Receives what is found.
        threads: Files that are read at once.
        events: Told the progress.
        wanted: A COCO file, table or tar of the folder that alone is to be checked; None for all.
    """
    seen = survey(folder)
    found = DataSet(made=[] if wanted is not None else seen.listing.made)
    _check_coco([file for file in seen.coco if wanted in (None, file.path)], found.pictures, findings)
    if wanted is not None and wanted.suffix == ".json" and not any(file.path == wanted for file in seen.coco):
        check_annotations(wanted, None, findings)  # tells what keeps it from being a COCO file
    labelled: dict[ImageFile, None] = {}
    for one in (*seen.sets, *seen.others):
        if wanted is None or Path(one.keywords) == wanted:
            files = check_keywords(one.keywords, one.images, one.split, _class_list(classes, seen, one), findings)
            found.pictures.add(files.values())
            labelled |= {file: None for file in files.values()} if one in seen.sets else {}
    if wanted is not None and wanted.name.lower().endswith(TAR_SUFFIX):
        files = check_keywords(_AUTO, wanted, None, classes, findings)
        found.pictures.add(files.values())
        labelled |= dict.fromkeys(files.values())
    _tables(seen, wanted, findings)
    truths: dict[Path, dict[str, Path]] = {}
    if wanted is None:
        _rest(seen, found.pictures, findings)
        truths = {voc: check_lists(voc, found.pictures, findings) for voc in seen.listing.voc}
    check_pictures(found.pictures, findings, threads, events)
    for voc, maps in truths.items():
        pairs = pairs_of(maps, voc, found.pictures)
        found.masks += _masks(pairs, _numbering(classes, seen, voc=True), findings, threads, events)
    for place in seen.listing.masks if wanted is None else ():
        pairs = _beside(place, seen, found.pictures)
        found.masks += _masks(pairs, _numbering(classes, seen, voc=False), findings, threads, events)
    found.labelled = [found.pictures.sizes[file] for file in labelled if file in found.pictures.sizes]
    return found


def _check_coco(files: Sequence[CocoFile], pictures: Pictures, findings: Findings) -> None:
    members: dict[Path | None, dict[str, set[str]]] = {}
    for file in files:
        places = check_annotations(file.path, file.images, findings)
        split = split_of((file.path.stem.lower(),)) or split_of(file.path.stem.lower().replace("-", "_").split("_"))
        pictures.add(places.values(), split, needed=file.has_masks)
        if split is not None:
            members.setdefault(file.images, {}).setdefault(split, set()).update(places)
    for images, splits in members.items():
        check_names(str(images), splits, findings)


def _class_list(classes: str | None, seen: Survey, one: Keyworded) -> str | None:
    """Return the class list for a set: what was asked for, the list that lies in the folder, or None for the usual."""
    if classes is not None:
        return classes
    is_own = one in seen.sets and seen.class_file is not None
    return str(seen.class_file) if is_own else None


def _numbering(classes: str | None, seen: Survey, voc: bool) -> ClassList:
    """Return the classes that label maps may show: any number where no list tells."""
    if classes not in (None, "auto"):
        return load_classes(str(classes))
    if seen.class_file is not None:
        return load_classes(str(seen.class_file))
    if voc:
        return ClassList.from_names(VOC_CLASSES)
    return ClassList.from_names([f"class {number}" for number in range(1, MOST_CLASSES + 1)])


def _tables(seen: Survey, wanted: Path | None, findings: Findings) -> None:
    """Note what is wrong with tables of keywords, and with other places that looked usable."""
    tables = [path for path in seen.listing.with_suffix(".csv") if wanted in (None, path)]
    told = set()
    for path in tables:
        try:
            _, faults = read_table(path, (), ClassList.from_names(VOC_CLASSES), Notes())
        except InputError as error:
            told.add(path)
            if wanted is not None:
                findings.raised(error)
            else:
                findings.warning("files-ignored", f"{error.message} (no table of keywords; s4 init leaves it out)")
            continue
        for fault in faults:
            told.add(path)
            findings.error("keywords-file", f"{path}: {fault}; correct the file")
    for fault in () if wanted is not None else seen.faults:
        message, rule = _parts(fault)
        told_by_lists = rule == "keywords-picture-missing"
        if not told_by_lists and not any(
            message.startswith(str(path)) for path in (*told, *(file.path for file in seen.coco))
        ):
            (findings.error if rule.startswith("shard-") else findings.warning)(rule, message)


def _parts(fault: str) -> tuple[str, str]:
    """Return message and rule of a line that may end in a rule in brackets."""
    message, bracket, rule = fault.rpartition(" [")
    return (message, rule.removesuffix("]")) if bracket else (fault, "keywords-none")


def _rest(seen: Survey, pictures: Pictures, findings: Findings) -> None:
    """Take the other pictures of the folder, and note what could not be placed."""
    for place in seen.listing.picture_places():
        pictures.add(place / name for name in seen.listing.pictures(place))
    for voc in seen.listing.voc:
        folder = pictures_folder(voc)
        pictures.add(folder / name for name in seen.listing.pictures(folder))
    for what, count in seen.unplaced.items():
        if what.startswith("pictures "):
            message = f"{what}: {count}, a keyword for each expected; name their classes, or move them away"
            findings.warning("pictures-unplaced", message, count)
        else:
            message = f"{findings.place}: {count} {what}, which nothing reads; convert or move them if they matter"
            findings.warning("files-ignored", message, count)


def _beside(place: Path, seen: Survey, pictures: Pictures) -> dict[str, Pair]:
    """Return the label maps of a folder, each with the only picture of its name."""
    by_stem: dict[str, list[Path]] = {}
    for file in pictures.sizes:
        if isinstance(file, Path):
            by_stem.setdefault(strip_image_suffix(file.name), []).append(file)
    found = {}
    for name in seen.listing.pictures(place):
        same = by_stem.get(name[: -len(Path(name).suffix)], [])
        picture = same[0] if len(same) == 1 and name.lower().endswith(IMAGE_SUFFIXES) else None
        found[name] = Pair(place / name, picture, None if picture is None else pictures.sizes[picture])
    return found


def _masks(pairs: dict[str, Pair], classes: ClassList, findings: Findings, threads: int, events: Events) -> int:
    if pairs:
        check_masks(pairs, classes, findings, threads, events)
    return len(pairs)
