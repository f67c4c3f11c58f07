"""A file of JSON records that only grows: a crash can only tear its last line."""

import json
import os
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.file_errors import read_error, write_error
from pipelines.files import plain, sync_folder
from pipelines.regular_files import open_regular, open_to_append


class Journal:
    """A file of JSON records that only grows. Each line is one record.

    A crash can only tear the last line. Reading leaves a torn line out, and the first append cuts the torn line off.
    The file is opened for every record, so an instance holds nothing that must be closed.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is touched before the first append."""
        self.path = path
        self._clean = False

    def append(self, record: dict[str, Any]) -> None:
        """Add one record; `plain` gives the record its JSON form. Only `sync` makes sure that it is on the disk.

        Raises:
            MachineError: The disk is full, or the file cannot be written to.
        """
        line = json.dumps(plain(record)) + "\n"
        if not self._clean:
            self.repair()
            self._clean = True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open_to_append(self.path) as file:
                file.write(line.encode())
        except OSError as error:
            self._clean = False  # a part of the line may be there
            raise write_error(self.path, error, len(line)) from error

    def flush(self) -> None:
        """Write records that wait to be written; none do here."""

    def sync(self) -> None:
        """Force everything appended so far on to the disk."""
        try:
            with open_to_append(self.path) as file:
                os.fsync(file.fileno())
            sync_folder(self.path.parent)
        except OSError as error:
            raise write_error(self.path, error) from error

    def read(self) -> list[dict[str, Any]]:
        """Return all whole records, oldest first; none for a missing file.

        Raises:
            InputError: A line before the last one is damaged, which a crash cannot do [journal-damaged].
        """
        return self._scan()[0]

    def read_from(self, start: int) -> tuple[list[dict[str, Any]], int]:
        """Return the whole records behind byte `start`, where a line begins, and the byte behind the last of them.

        Raises:
            InputError: A line before the last one is damaged [journal-damaged].
        """
        records, length = self._scan(start)
        return records, start + length

    def repair(self) -> None:
        """Cut off a torn last line, so that the next record starts on a line of its own."""
        whole = self._scan()[1]
        if self.path.exists() and self.path.stat().st_size > whole:
            try:
                os.truncate(self.path, whole)
            except OSError as error:
                raise write_error(self.path, error) from error

    def _scan(self, start: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the whole records behind byte `start`, and the number of bytes that they fill."""
        try:
            lines = self._bytes_from(start).splitlines(keepends=True)
        except (FileNotFoundError, NotADirectoryError):
            lines = []
        except OSError as error:
            raise read_error(self.path, error) from error
        records: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            record = _parse_record(line)
            if record is not None:
                records.append(record)
            elif number < len(lines):
                place = f"line {number}" if not start else f"line {number} behind byte {start}"
                raise InputError(
                    f"{self.path}: {place} is damaged, expected one JSON record a line; restore the file",
                    "journal-damaged",
                )
        return records, sum(len(line) for line in lines[: len(records)])

    def _bytes_from(self, start: int) -> bytes:
        with open_regular(self.path) as file:
            file.seek(start)
            return file.read()


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """Return the record of one line; None if the line is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
