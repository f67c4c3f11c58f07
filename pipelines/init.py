"""Command `s4 init`: look at a folder, say what it holds, and write settings for it."""

from pathlib import Path
from typing import Any

from pipelines.config import InitConfig
from pipelines.config.outputs import alone
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import write_text
from pipelines.survey.folder import Survey, survey
from pipelines.survey.settings_text import CLASS_FILE, needs_class_file, settings_text, tables

_WANTED = "folders named after classes, a VOC folder, a CSV table of keywords, tar shards, or a COCO file with masks"


@alone
def init(config: InitConfig, events: Events) -> dict[str, Any]:
    """Write the settings file for a folder.

    Args:
        config: Settings of `s4 init`.
        events: Told what looked usable and is not.

    Returns:
        {folder, found [{what, place, pictures, for}], classes, unplaced {what: how many}, tables, out}.

    Raises:
        ConfigError: A file that would be written exists [file-exists].
        InputError: The folder holds nothing that s4 can use [init-nothing].
    """
    _refuse_existing(config, config.out)
    seen = survey(config.folder)
    for fault in seen.faults:
        events.warn(fault)
    if not tables(seen):
        found = "; ".join(f"{count} {what}" for what, count in seen.unplaced.items()) or "no picture"
        raise InputError(f"{config.folder}: {found}, expected {_WANTED}; name another folder", "init-nothing")
    class_file = config.out.with_name(CLASS_FILE)
    if needs_class_file(seen):
        names = "".join(f"{name}\n" for name in seen.classes)
        if not _holds(class_file, names):
            _refuse_existing(config, class_file)
            write_text(class_file, names)
    if seen.labelled is not None and seen.labelled.unplaced:
        found = seen.labelled.unplaced.partition(", expected")[0]
        events.warn(f"{found}; they are left out, because {config.out} says allow_unplaced = true")
    write_text(config.out, settings_text(seen, config.out))
    return {
        "folder": str(config.folder),
        "found": _found(seen),
        "classes": list(seen.classes),
        "unplaced": seen.unplaced,
        "tables": tables(seen),
        "out": str(config.out),
    }


def _refuse_existing(config: InitConfig, path: Path) -> None:
    if path.exists() and not config.force:
        message = f"{path}: exists already, a new file expected; add --force to replace it"
        raise ConfigError(f"{message}, or name another place with --out", "file-exists")


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _found(seen: Survey) -> list[dict[str, Any]]:
    """Return a line for each thing that was found, and the table that uses it."""
    used = tables(seen)
    lines = []
    for file in seen.coco:
        what = f"COCO file, {file.instances} instances {'with' if file.has_masks else 'without'} masks"
        lines.append(_line(what, file.path, file.pictures, "train" if file in (seen.train, seen.val) else None))
    for one in (*seen.sets, *seen.others):
        place = one.images if one.keywords == "auto" else Path(one.keywords)
        lines.append(_line(one.what, place, one.pictures, "pseudo-label" if one in seen.sets else None))
    if seen.truth is not None:
        what = f"true label maps of the list {seen.truth.split}"
        used_by = "evaluate" if "evaluate" in used else None
        lines.append(_line(what, seen.truth.voc, seen.truth.pictures, used_by))
    lines += [_line("label maps", place, count, None) for place, count in seen.listing.masks.items()]
    return lines + [_line("made by s4", place, None, None) for place in seen.listing.made]


def _line(what: str, place: Path, pictures: int | None, table: str | None) -> dict[str, Any]:
    return {"what": what, "place": str(place), "pictures": pictures, "for": table}
