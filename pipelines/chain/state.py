"""What a chain has done so far, in `state.json` of its folder, and who may change it."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, MachineError
from pipelines.files import read_json, write_json

_FILE, _LOCK, _VERSION = "state.json", ".lock", 1


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


@contextmanager
def sole_owner(folder: Path) -> Iterator[None]:
    """Hold a chain's folder for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        MachineError: Another process holds it [chain-busy], or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("w")
    except OSError as error:
        message = (
            f"{folder}: {error.strerror}, a folder that can be written to expected; check its rights or choose --out"
        )
        raise MachineError(message, "no-permission") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"{folder}: another s4 run is at work here, none expected; wait for it or choose another --out"
            raise MachineError(message, "chain-busy") from error
        except OSError:
            pass  # a file system without locks: two processes cannot be told apart there
        yield
