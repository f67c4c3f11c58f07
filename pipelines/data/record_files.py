"""Files that label folders and prediction folders have in common: settings, records, failures."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import ConfigError, InputError
from pipelines.files import read_json, remove_file, write_text
from pipelines.journal import Journal

Record = dict[str, Any]
"""What is known of a picture: image_id, and either failed {rule, message} or what was made of the picture."""

RECORDS, FAILURES, SETTINGS, INSTANCES = "records.jsonl", "failures.jsonl", "settings.json", "instances.json"
MANIFEST = "manifest.json"
"""The file that makes a folder of label maps a label folder."""
_OF_SHARDS = "records-*-of-*.jsonl"


def write_records(folder: Path, records: Sequence[Record]) -> None:
    """Write the records in their order, and once more those of failed pictures to a file of their own.

    Without a failed picture, the file of failures is removed.

    Raises:
        MachineError: A file cannot be written.
    """
    write_text(folder / RECORDS, _lines(records))
    failed = [{"image_id": record["image_id"], **record["failed"]} for record in records if "failed" in record]
    write_failures(folder, failed)


def read_records(journal: Journal) -> list[Record]:
    """Return the whole records of pictures that a journal holds, oldest first; none for a missing file.

    Raises:
        InputError: A line is damaged [journal-damaged]; or a record names no picture, or has keywords that are no list
            of words [records-damaged].
    """
    records = journal.read()
    for number, record in enumerate(records, start=1):
        words = record.get("keywords", [])
        if not isinstance(record.get("image_id"), str):
            found = "names no picture, an image_id expected"
        elif not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            found = "has other keywords than a list of words"
        else:
            continue
        raise InputError(f"{journal.path}: record {number} {found}; make the folder anew", "records-damaged")
    return records


def newest_records(journal: Journal) -> dict[str, Record]:
    """Return by image id what a journal says last of a picture; errors as for `read_records`."""
    return {record["image_id"]: record for record in read_records(journal)}


def records_of_shards(folder: Path) -> dict[str, Record]:
    """Return by image id what the journals of shards that are not merged yet say last of a picture."""
    newest: dict[str, Record] = {}
    for path in sorted(folder.glob(_OF_SHARDS)):
        for record in read_records(Journal(path)):  # empty if another shard has just merged and removed the journal
            # Records of two shards are in no order of time. Of one picture, the record that did not fail counts.
            known = newest.get(record["image_id"])
            if known is None or "failed" in known or "failed" not in record:
                newest[record["image_id"]] = record
    return newest


def remove_journals(folder: Path) -> None:
    """Remove the journals of shards, which were merged."""
    for journal in folder.glob(_OF_SHARDS):
        remove_file(journal)


def write_failures(folder: Path, failures: Sequence[Mapping[str, Any]]) -> None:
    """Write what failed to a file of its own; without a failure, remove the file of an earlier command."""
    if failures:
        write_text(folder / FAILURES, _lines(failures))
    else:
        remove_file(folder / FAILURES)


@contextmanager
def intact_records(folder: Path) -> Iterator[None]:
    """Tell records that do not hold what s4 writes, which a block inside takes for granted.

    Args:
        folder: The folder of the records.

    Raises:
        InputError: The block met another record [records-damaged].
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        found = f"{folder / RECORDS}: {type(error).__name__} in a record ({error})"
        raise InputError(
            f"{found}, records as s4 writes them expected; make the folder anew", "records-damaged"
        ) from error


def check_settings(
    path: Path, settings: Mapping[str, Any], what: str = "labels", leave_out: Collection[str] = ()
) -> None:
    """Check that settings are those in a file.

    Args:
        path: The settings file, in the folder that is tied to these settings.
        settings: JSON values.
        what: What the folder holds, in one word, such as `labels`.
        leave_out: Names of settings that may differ.

    Raises:
        ConfigError: The settings differ; the message names each difference. `what` is part of the rule
            [labels-differ].
    """
    differences = settings_differences(read_json(path), settings, leave_out)
    if differences:
        message = f"{path.parent}: holds {what} made otherwise, the same settings expected: {differences}"
        raise ConfigError(f"{message}; choose another --out or remove the folder", f"{what}-differ")


def settings_differences(saved: Any, settings: Mapping[str, Any], leave_out: Collection[str] = ()) -> str:
    """Describe where settings of a file differ from other settings, at any depth; return "" if they agree.

    Args:
        saved: What was read from the file.
        settings: The other settings, JSON values.
        leave_out: Names of settings that may differ.
    """
    there, now = _flat(saved), _flat(json.loads(json.dumps(dict(settings))))
    names = [name for name in {**there, **now} if name not in leave_out and there.get(name) != now.get(name)]
    return "; ".join(f"{name} {_shown(now.get(name))} (there {_shown(there.get(name))})" for name in names)


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


def _flat(settings: Any) -> dict[str, Any]:
    """Return settings with the entries of inner mappings at the top, to be compared one by one."""
    flat: dict[str, Any] = {}
    for name, value in settings.items() if isinstance(settings, dict) else ():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}...{text[-4:]}"
