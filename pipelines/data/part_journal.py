"""Journals in stores, where nothing can be added to an object.

Such a journal is a row of objects, its parts: `records.00000001.jsonl`, `records.00000002.jsonl`, ... Each is written
once, whole. Records wait for others in memory, so that a million pictures do not make a million objects. A break loses
the records that wait, and their pictures are done again.
"""

import json
import time
from pathlib import Path
from typing import Any

from pipelines.files import plain, write_text
from pipelines.journal import Journal
from pipelines.stores.address import Address

_MOST = 100  # records that wait
_SECONDS = 20.0  # for which they wait


def open_journal(path: Path) -> Journal:
    """Return the journal of this name, in the form that fits its place."""
    return PartJournal(path) if isinstance(path, Address) else Journal(path)


def remove_parts(path: Path) -> None:
    """Remove the parts of a journal whose records stand in the file of its name by now."""
    for part in _parts(path) if isinstance(path, Address) else ():
        part.unlink(missing_ok=True)


class PartJournal(Journal):
    """A journal of whole parts; see the module."""

    def __init__(self, path: Path) -> None:
        """Name the journal; nothing is touched before a part is written."""
        super().__init__(path)
        self._waiting: list[str] = []
        self._number: int | None = None
        self._since = time.monotonic()

    def append(self, record: dict[str, Any]) -> None:
        """Add one record, which waits in memory for `sync` or `flush`."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(json.dumps(plain(record)) + "\n")

    def sync(self) -> None:
        """Write a part if many records wait, or if they wait for long."""
        if len(self._waiting) >= _MOST or time.monotonic() - self._since >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the records that wait.

        Raises:
            MachineError: The store refuses or fails; the records still wait.
        """
        if not self._waiting:
            return
        if self._number is None:
            self._number = max((int(part.name.split(".")[-2]) for part in _parts(self.path)), default=0)
        name = f"{self.path.stem}.{self._number + 1:08d}{self.path.suffix}"
        write_text(self.path.with_name(name), "".join(self._waiting))
        self._number += 1
        self._waiting.clear()

    def read(self) -> list[dict[str, Any]]:
        """Return the records of the object of the journal's name, and then those of its parts and those that wait."""
        parts = [record for part in _parts(self.path) for record in Journal(part).read()]
        return [*super().read(), *parts, *(json.loads(line) for line in self._waiting)]


def _parts(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.stem}.{'[0-9]' * 8}{path.suffix}"))
