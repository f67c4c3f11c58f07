"""Writing that a crash cannot leave half done, and reading that explains what is wrong with a file.

A file appears under its name only when all of its bytes are on the disk. The bytes first go to a temporary file
`.name.<pid>.tmp` in the same folder. That file is flushed to the disk and renamed. The folder is flushed last, so that
the rename survives a crash too. A file that grows is a `pipelines.journal.Journal`.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines.errors import InputError, masked
from pipelines.file_errors import read_error, write_error
from pipelines.regular_files import open_regular
from pipelines.stores.address import Address

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LARGEST_NUMBER = 1e100  # libraries of arrays and charts overflow far beyond
_LONGEST_NAME = 255  # bytes, on nearly every file system


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace a file in one step; at every moment the path holds the old bytes or all of the new ones.

    Args:
        path: Destination. Missing parent folders are made. At an address the whole content is sent at once.
        write: A function that receives the open temporary file and writes the whole content. An error of the disk is
            told even if a library below the function hides that error behind another one, or swallows it.

    Raises:
        MachineError: The disk is full [disk-full], the folder may not be written to [no-permission], or writing fails
            [write-failed]. The old file is untouched.
    """
    if isinstance(path, Address):
        content = io.BytesIO()
        write(content)
        path.put(content.getvalue())
        return
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
        sync_folder(path.parent)
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


def write_json_in_place(path: Path, value: Any) -> None:
    """Write a value as JSON over the bytes of a file that is there: a full disk has no room for a second file.

    A file system gives whole blocks, so a few bytes more fit as well. A crash may tear the file.

    Raises:
        MachineError: The file is missing, or cannot be written. It then has its old bytes again, as far as the disk
            allows.
    """
    content = (json.dumps(plain(value), indent=2) + "\n").encode()
    try:
        with path.open("r+b", buffering=0) as file:
            before = file.read()
            try:
                _write_whole(file, content.ljust(len(before)))  # blanks behind the JSON: no moment without it
            except OSError:
                with suppress(OSError):
                    _write_whole(file, before)
                    file.truncate(len(before))
                raise
            file.truncate(len(content))
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error, len(content)) from error


def _write_whole(file: io.FileIO, content: bytes) -> None:
    """Write bytes from the start of a file on; a disk that is nearly full takes a part of them, without an error.

    Raises:
        OSError: The disk takes no more.
    """
    file.seek(0)
    done = 0
    while done < len(content):
        taken = file.write(content[done:])
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += taken


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
        raise read_error(source, error) from error
    atomic_write(target, lambda file: file.write(content))


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types.

    A path becomes a text, a tuple a list, and a number of an array library a number of Python. NaN and infinity become
    None. Mappings and lists are converted item by item; keys become texts. An address in a text loses its password.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, str):
        return masked(value)
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
        raise read_error(path, error) from error


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


def is_number(value: Any) -> bool:
    """Return whether a value of a JSON file is a number to count or draw with.

    Truth values, NaN, infinities and numbers beyond 1e100 are none. JSON has whole numbers of any length.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of the bytes of a file.

    Raises:
        MachineError: The file cannot be read [read-failed].
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()
    except OSError as error:
        raise read_error(path, error) from error


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
    if isinstance(folder, Address):
        return 0  # a store has no such files
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


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that a rename in it survives a crash."""
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


def remove_file(path: Path) -> None:
    """Remove a file of this program; nothing happens if it is not there.

    Raises:
        MachineError: It may not be removed [no-permission], or is a folder [write-failed].
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # an error here would hide the one that led here
