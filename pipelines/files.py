"""Writing that a crash cannot leave half done, and reading that explains what is wrong with a file.

A file appears under its name only when all of its bytes are on the disk. The bytes first go to a temporary file
`.name.<pid>.tmp` in the same folder. That file is flushed to the disk and renamed. The folder is flushed last, so that
the rename survives a crash too. A file that grows is a journal of JSON lines: a crash can only tear the last line.

JSON has no NaN and no infinity. Everything that this module writes as JSON goes through `plain`, which writes null for
such numbers. Code that computes a number therefore returns NaN where the number is unknown.
"""

import codecs
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines.errors import InputError, MachineError, S4Error

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, a quota, or a limit on the size of a file
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_LONGEST_NAME = 255  # bytes, on nearly every file system
_NOT_REGULAR = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace a file in one step; at every moment the path holds the old bytes or all of the new ones.

    Args:
        path: Destination. Missing parent folders are made.
        write: A function that receives the open temporary file and writes the whole content. An error of the disk is
            told even if a library below the function hides that error behind another one, or swallows it.

    Raises:
        MachineError: The disk is full [disk-full], the folder may not be written to [no-permission], or writing fails
            [write-failed]. The old file is untouched.
    """
    temporary = _temporary(path)
    raw = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = _HonestFile(temporary, "wb")
        with io.BufferedWriter(raw) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if raw.trouble is not None:
            raise raw.trouble
        temporary.replace(path)
        _sync_folder(path.parent)
    except Exception as error:
        trouble = raw.trouble if raw is not None else None
        cause = trouble or error
        if not isinstance(cause, OSError):
            raise
        _remove_quietly(temporary)  # what it took counts as free again
        raise write_error(path, cause, raw.wanted if raw is not None and trouble is not None else None) from error
    finally:
        _remove_quietly(temporary)  # a torn file, or none after the rename


class _HonestFile(io.FileIO):
    """A file that remembers what the disk refused: torch, for one, turns such an error into one of its own.

    Attributes:
        trouble: The first error of a write; None so far.
        wanted: Bytes that the file would have had after that write.
    """

    trouble: OSError | None = None
    wanted = 0

    def write(self, data: Any) -> int:
        """Write as `io.FileIO` does, and remember an error."""
        try:
            return super().write(data)
        except OSError as error:
            if self.trouble is None:
                self.trouble, self.wanted = error, os.fstat(self.fileno()).st_size + memoryview(data).nbytes
            raise


def free_bytes(place: Path) -> int | None:
    """Return the free space where a file or folder is or will be; None where the file system does not tell it."""
    place = place.absolute()
    existing = next((one for one in (place, *place.parents) if one.exists()), place)
    try:
        usage = shutil.disk_usage(existing)
    except OSError:
        return None
    return usage.free if usage.total else None  # some file systems of the network count nothing


def require_space(path: Path, needed: int) -> None:
    """Check that a disk has room before time is spent on what will be written there.

    Args:
        path: The file or folder to be written.
        needed: Bytes that it will take.

    Raises:
        MachineError: There is less room [disk-full].
    """
    free = free_bytes(path)
    if free is not None and free < needed:
        raise _no_room(path, "too little space on the disk", f"{needed} bytes needed", free)


def write_json_in_place(path: Path, value: Any) -> None:
    """Write a value as JSON over the bytes of a file that is there: a full disk has no room for a second file.

    A file system gives whole blocks, so a few bytes more fit as well. A crash may tear the file.

    Raises:
        MachineError: The file is missing, or cannot be written.
    """
    content = (json.dumps(plain(value), indent=2) + "\n").encode()
    try:
        with path.open("r+b", buffering=0) as file:
            file.write(content.ljust(os.fstat(file.fileno()).st_size))  # blanks behind the JSON: no moment without it
            file.truncate(len(content))
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error, len(content)) from error


def open_regular(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a file to read bytes from it, if it is a regular file.

    To open a FIFO waits until somebody writes into it, and to read from a device may never end.

    Args:
        path: The file.
        buffering: As for `open`.

    Raises:
        InputError: The path leads to a FIFO, a socket or a device [not-regular].
        OSError: The file cannot be opened, or is a folder.
    """
    require_regular(path)
    # What lies there may have changed since. Without blocking, at least nothing waits.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb", buffering)
    try:
        _refuse_irregular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def require_regular(path: Path) -> None:
    """Refuse what is there and is neither a regular file nor a folder.

    Raises:
        InputError: The path leads to a FIFO, a socket or a device [not-regular].
        OSError: There is nothing, or it cannot be looked at.
    """
    _refuse_irregular(path, os.stat(path).st_mode)


def kind_of_file(mode: int) -> str | None:
    """Return what a mode of `stat` is, in words; None for a regular file, a folder, and what has no name here."""
    return _NOT_REGULAR.get(stat.S_IFMT(mode))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    atomic_write(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically; an existing target is replaced.

    Raises:
        MachineError: The source cannot be read [read-failed], or as `atomic_write`.
    """
    try:
        with open_regular(source) as file:
            content = file.read()
    except OSError as error:
        raise _read_error(source, error) from error
    atomic_write(target, lambda file: file.write(content))


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types.

    A path becomes a text, a tuple a list, and a number of an array library a number of Python. NaN and infinity become
    None. Mappings and lists are converted item by item; keys become texts.
    """
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
    """Write a value as JSON atomically; `plain` gives the value its JSON form, with null for NaN."""
    write_text(path, json.dumps(plain(value), indent=indent) + "\n")


def read_text(path: Path) -> str:
    """Read UTF-8 text, with or without a byte order mark, or UTF-16 with one.

    Raises:
        InputError: The file is missing [file-missing], is not text [text-damaged], or is no file [not-regular].
        MachineError: The file cannot be read [read-failed].
    """
    try:
        with open_regular(path) as file:
            content = file.read()
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such file, expected a text file; check the path", "file-missing") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8, expected a text file; save it as UTF-8", "text-damaged"
        ) from error
    except OSError as error:
        raise _read_error(path, error) from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing [file-missing] or is not valid JSON [json-damaged].
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = f"{error.msg.lower()} in line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: {found}, expected JSON; restore or rewrite the file", "json-damaged") from error
    except (RecursionError, ValueError) as error:  # a thousand nested lists, or a number of thousands of digits
        raise InputError(
            f"{path}: nested too deep or a number too long, expected JSON; restore or rewrite the file", "json-damaged"
        ) from error


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
            with self.path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            self._clean = False  # a part of the line may be there
            raise write_error(self.path, error, len(line)) from error

    def sync(self) -> None:
        """Force everything appended so far on to the disk."""
        try:
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
            _sync_folder(self.path.parent)
        except OSError as error:
            raise write_error(self.path, error) from error

    def read(self) -> list[dict[str, Any]]:
        """Return all whole records, oldest first; none for a missing file.

        Raises:
            InputError: A line before the last one is damaged, which a crash cannot do [journal-damaged].
        """
        return self._scan()[0]

    def repair(self) -> None:
        """Cut off a torn last line, so that the next record starts on a line of its own."""
        whole = self._scan()[1]
        if self.path.exists() and self.path.stat().st_size > whole:
            try:
                os.truncate(self.path, whole)
            except OSError as error:
                raise write_error(self.path, error) from error

    def _scan(self) -> tuple[list[dict[str, Any]], int]:
        """Return the whole records and the number of bytes that they fill."""
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
    """Return the hexadecimal SHA-256 of the bytes of a file.

    Raises:
        MachineError: The file cannot be read [read-failed].
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()
    except OSError as error:
        raise _read_error(path, error) from error


def sha256_lines(lines: Iterable[str]) -> str:
    """Return the hexadecimal SHA-256 of lines in the given order, in UTF-8, each with one newline at the end."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def remove_stale_temporaries(
    folder: Path, below: Iterable[str] = (), may_remove: Callable[[], bool] = lambda: True
) -> int:
    """Remove the temporary files that crashed writers left in a folder, and return the number of removed files.

    A file of a running process stays, because the process may still be writing. This process counts too. Links to
    folders are not followed.

    Args:
        folder: A folder that this program made; without its sub-folders.
        below: Names of sub-folders to look into as well, with all that lies below them; `.` for all of them.
        may_remove: Asked after the files were found. If it says no, all of them stay.
    """
    searched = [(str(folder), _entries(folder)), *_walked(folder / name for name in below)]
    found = {
        Path(parent, name)
        for parent, names in searched
        for name in names
        if (match := _TEMPORARY.fullmatch(name)) and not is_running(int(match.group(1)))
    }
    if not found or not may_remove():
        return 0
    for path in found:
        _remove_quietly(path)
    return len(found)


def is_running(pid: int) -> bool:
    """Return whether this system has a process of the number."""
    try:
        os.kill(pid, 0)  # signal 0 asks only whether the process exists
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's process
    return True


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _walked(folders: Iterable[Path]) -> Iterator[tuple[str, list[str]]]:
    for folder in folders:
        yield from ((parent, names) for parent, _, names in os.walk(folder) if not folder.is_symlink())


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """Return the record of one line; None if the line is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    """Return the temporary file of a path. It is in the same folder, and its name is as short as the path's may be."""
    end = f".{os.getpid()}.tmp"
    room = _LONGEST_NAME - 1 - len(end)
    name = path.name
    if len(os.fsencode(name)) > room:
        # Long names of one folder often begin alike. Threads write at the same time, so the hash keeps them apart.
        mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        while len(os.fsencode(name)) > room - len(mark):
            name = name[:-1]
        name += mark
    return path.with_name(f".{name}{end}")


def _refuse_irregular(path: Path, mode: int) -> None:
    kind = kind_of_file(mode)
    if kind is not None:
        raise InputError(f"{path}: is {kind}, expected a file; check the path", "not-regular")


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # an error here would hide the one that led here


def _read_error(path: Path, error: OSError) -> S4Error:
    return MachineError(
        f"{path}: {error.strerror or error}, expected a readable file; check its rights and its disk", "read-failed"
    )


def full_disk(error: BaseException | None) -> OSError | None:
    """Return the error of a full disk behind an error of a library; None if there is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def write_error(path: Path, error: OSError, needed: int | None = None) -> MachineError:
    """Return what a user is told of a file that cannot be written.

    Args:
        path: The file.
        error: What the system said.
        needed: Bytes that the file needs at least; None if unknown.
    """
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        wanted = "room for the file needed" if needed is None else f"at least {needed} bytes needed"
        return _no_room(path, reason, wanted, free_bytes(path))
    if error.errno == errno.ENAMETOOLONG:
        return InputError(
            f"{path}: {error.strerror}, a shorter one expected; rename the picture or choose another folder",
            "name-too-long",
        )
    if error.errno in _FORBIDDEN:
        return MachineError(
            f"{path}: {error.strerror}, expected a folder that may be written to; change its rights or the path",
            "no-permission",
        )
    return MachineError(
        f"{path}: {error.strerror or error}, expected to write the file; check the path and the disk", "write-failed"
    )


def _no_room(path: Path, found: str, wanted: str, free: int | None) -> MachineError:
    there = "" if free is None else f", {free} bytes free"
    message = f"{path}: {found}, {wanted}{there}; make room or choose another folder, and start again"
    return MachineError(message, "disk-full")
