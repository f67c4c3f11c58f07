"""What a chain has done so far, in `state.json` of its folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.files import read_json, write_json

_FILE, _VERSION = "state.json", 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of a step.

    Attributes:
        fingerprint: The fingerprint when the step was last begun.
        place: The folder of the step, relative to the chain's folder if it lies inside; None if there is no folder.
        done: Whether the step was finished since.
        seconds: Time spent on the step since it was begun afresh, with interrupted attempts.
        images_per_second: The last measured rate, perhaps under other settings; None before the first.
        result: What the stage returned; empty until the step is done.
    """

    fingerprint: str
    place: str | None
    done: bool = False
    seconds: float = 0.0
    images_per_second: float | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


class ChainState:
    """The entries of a chain's steps, by name.

    Attributes:
        folder: The chain's folder.
        entries: The entries; change them through `keep`.
    """

    def __init__(self, folder: Path) -> None:
        """Read the file; a missing file is an empty state.

        Raises:
            InputError: The file is damaged [json-damaged], or another version wrote it [state-damaged].
        """
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        path = folder / _FILE
        if path.exists():
            self.entries = _entries(path, read_json(path))

    def keep(self, name: str, entry: Entry) -> None:
        """Set the entry of a step, and write the file atomically."""
        self.entries[name] = entry
        steps = {step: asdict(kept) for step, kept in self.entries.items()}
        write_json(self.folder / _FILE, {"version": _VERSION, "steps": steps})

    def place(self, path: Path | None) -> str | None:
        """Return how an entry names a folder; a name inside the chain's folder stays true when that folder is moved."""
        if path is None:
            return None
        inside = path.absolute().is_relative_to(self.folder.absolute())
        return (path.absolute().relative_to(self.folder.absolute()) if inside else path.absolute()).as_posix()


def _entries(path: Path, content: Any) -> dict[str, Entry]:
    known = {field.name for field in fields(Entry)}
    try:
        if content["version"] != _VERSION:
            raise ValueError
        return {
            name: Entry(**{key: value for key, value in step.items() if key in known})
            for name, step in content["steps"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = (
            f"{path}: not written by this version of s4 run, its own file expected; restore it or rename the folder"
        )
        raise InputError(message, "state-damaged") from error
