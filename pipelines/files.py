"""Writing that a crash cannot leave half done, and reading that explains what is wrong with a file.

A file appears under its name only when all of its bytes are on the disk: it is written beside its destination as
`.name.<pid>.tmp`, flushed to the disk and renamed; the folder is flushed last, so that the rename survives too.
Growing files are JSON-lines journals, where a crash can only tear the last line.
"""

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.errors import InputError, MachineError, S4Error

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replaces a file in one step; at every moment the path holds the old bytes or all of the new ones.

    Args:
        path: Destination; missing parent folders are made.
        write: Receives the open temporary file and writes the whole content.

    Raises:
        MachineError: The disk is full, or the place cannot be written to; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        _remove_quietly(temporary)  # gone already after the rename; a torn one otherwise


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    atomic_write(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def copy_file(source: Path, target: Path) -> None:
    """Copies a file atomically; a target that exists is replaced.

    Raises:
        MachineError: The source cannot be read [read-failed], or as `atomic_write`.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise _read_error(source, error) from error
    atomic_write(target, lambda file: file.write(content))


def plain(value: Any) -> Any:
    """`value` in JSON's own types: paths as texts, numbers of array libraries as Python's, nan and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Writes JSON atomically; NaN and infinity raise ValueError, for other readers refuse them."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_text(path: Path) -> str:
    """Reads UTF-8 text, with or without a byte order mark.

    Raises:
        InputError: The file is missing [file-missing] or is not text [text-damaged].
        MachineError: It cannot be read [read-failed].
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such file, expected a text file; check the path", "file-missing") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8, expected a text file; save it as UTF-8", "text-damaged"
        ) from error
    except OSError as error:
        raise _read_error(path, error) from error


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: The file is missing [file-missing] or is not valid JSON [json-damaged].
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = f"{error.msg.lower()} in line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: {found}, expected JSON; restore or rewrite the file", "json-damaged") from error
    except (RecursionError, ValueError) as error:  # a thousand nested lists; a number of thousands of digits
        raise InputError(
            f"{path}: nested too deep or a number too long, expected JSON; restore or rewrite the file", "json-damaged"
        ) from error


class Journal:
    """A file of JSON records, one a line, that only grows.

    A crash can tear the last line alone: reading leaves a torn line out, and the first append cuts it off.
    The file is opened anew for every record, so an instance holds nothing that must be closed.
    """

    def __init__(self, path: Path) -> None:
        """Names the file; nothing is touched before the first append."""
        self.path = path
        self._clean = False

    def append(self, record: dict[str, Any]) -> None:
        """Adds one record; on the disk only after `sync`.

        Raises:
            MachineError: The disk is full, or the file cannot be written to.
        """
        line = json.dumps(record, allow_nan=False) + "\n"
        if not self._clean:
            self.repair()
            self._clean = True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            self._clean = False  # a part of the line may be there
            raise _write_error(self.path, error) from error

    def sync(self) -> None:
        """Forces everything appended so far on to the disk."""
        try:
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
            _sync_folder(self.path.parent)
        except OSError as error:
            raise _write_error(self.path, error) from error

    def read(self) -> list[dict[str, Any]]:
        """All whole records, oldest first; empty for a missing file.

        Raises:
            InputError: A line before the last one is damaged, which no crash explains [journal-damaged].
        """
        return self._scan()[0]

    def repair(self) -> None:
        """Cuts off a torn last line, so that the next record starts on a line of its own."""
        whole = self._scan()[1]
        if self.path.exists() and self.path.stat().st_size > whole:
            try:
                os.truncate(self.path, whole)
            except OSError as error:
                raise _write_error(self.path, error) from error

    def _scan(self) -> tuple[list[dict[str, Any]], int]:
        """The whole records and the number of bytes they fill."""
        try:
            lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        except OSError as error:
            raise _read_error(self.path, error) from error
        records: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            record = _parse_record(line)
            if record is not None:
                records.append(record)
            elif number < len(lines):
                raise InputError(
                    f"{self.path}: line {number} is damaged, expected one JSON record a line; restore the file",
                    "journal-damaged",
                )
        return records, sum(len(line) for line in lines[: len(records)])


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        MachineError: The file cannot be read [read-failed].
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _read_error(path, error) from error


def sha256_lines(lines: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of lines in the given order, each ended by one newline, in UTF-8."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def remove_stale_temporaries(folder: Path) -> int:
    """Removes what crashed writers left below a folder; returns how many files that was.

    The files of a running process stay, this one's included: they may be in the middle of a write.
    """
    removed = 0
    for path in folder.rglob(".*.tmp"):
        name = _TEMPORARY.fullmatch(path.name)
        if name and not _is_running(int(name.group(1))):
            _remove_quietly(path)
            removed += 1
    return removed


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """The record of one line, None when the line is not a whole one."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 asks only whether the process exists
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's process
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # never hides the error that led here


def _read_error(path: Path, error: OSError) -> S4Error:
    return MachineError(
        f"{path}: {error.strerror or error}, expected a readable file; check its rights and its disk", "read-failed"
    )


def _write_error(path: Path, error: OSError) -> S4Error:
    if error.errno in _FULL:
        return MachineError(
            f"{path}: no space left on the disk, expected room for the file; free some and start again", "disk-full"
        )
    if error.errno in _FORBIDDEN:
        return MachineError(
            f"{path}: {error.strerror}, expected a folder that may be written to; change its rights or the path",
            "no-permission",
        )
    return MachineError(
        f"{path}: {error.strerror or error}, expected to write the file; check the path and the disk", "write-failed"
    )
