"""The files that a folder of labels and one of predictions have in common: settings, records, failures."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import ConfigError
from pipelines.files import read_json, write_text

Record = dict[str, Any]
"""What is known of a picture: image_id, and failed {rule, message} or whatever was made of it."""

RECORDS, FAILURES, SETTINGS, INSTANCES = "records.jsonl", "failures.jsonl", "settings.json", "instances.json"


def write_records(folder: Path, records: Sequence[Record]) -> None:
    """Writes the records in their order, and apart those of the pictures that failed, if there are any.

    Raises:
        MachineError: A file cannot be written.
    """
    write_text(folder / RECORDS, _lines(records))
    failed = [{"image_id": record["image_id"], **record["failed"]} for record in records if "failed" in record]
    if failed:
        write_text(folder / FAILURES, _lines(failed))
    else:
        (folder / FAILURES).unlink(missing_ok=True)


def check_settings(path: Path, settings: Mapping[str, Any], what: str = "labels") -> None:
    """Compares with the settings in a file.

    Args:
        path: The file, in the folder that is tied to its settings.
        settings: JSON values.
        what: What the folder holds, in one word.

    Raises:
        ConfigError: They differ [labels-differ], with `what` in the rule; the message names each difference.
    """
    differences = settings_differences(read_json(path), settings)
    if differences:
        message = f"{path.parent}: holds {what} made otherwise, the same settings expected: {differences}"
        raise ConfigError(f"{message}; choose another --out or remove the folder", f"{what}-differ")


def settings_differences(saved: Any, settings: Mapping[str, Any], leave_out: Collection[str] = ()) -> str:
    """Says in which settings, at any depth, those read from a file differ from others; empty where they agree."""
    there, now = _flat(saved), _flat(json.loads(json.dumps(dict(settings))))
    names = [name for name in {**there, **now} if name not in leave_out and there.get(name) != now.get(name)]
    return "; ".join(f"{name} {_shown(now.get(name))} (there {_shown(there.get(name))})" for name in names)


def _lines(records: Iterable[Record]) -> str:
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


def _flat(settings: Any) -> dict[str, Any]:
    """Settings with the content of inner mappings beside the rest, to be compared one by one."""
    flat: dict[str, Any] = {}
    for name, value in settings.items() if isinstance(settings, dict) else ():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}...{text[-4:]}"
