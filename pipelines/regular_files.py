"""Opening of regular files alone: a FIFO or a device with the name of a file may never end."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import InputError
from pipelines.stores.address import Address

_NOT_REGULAR = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a file to read bytes from it, if it is a regular file.

    To open a FIFO waits until somebody writes into it, and to read from a device may never end.

    Args:
        path: The file, which may lie at an address.
        buffering: As for `open`.

    Raises:
        InputError: The path leads to a FIFO, a socket or a device [not-regular].
        OSError: The file cannot be opened, or is a folder.
    """
    if isinstance(path, Address):
        return path.open("rb")  # stores hold objects alone
    require_regular(path)
    # What lies there may have changed since. Without blocking, at least nothing waits.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb", buffering)
    try:
        _refuse_irregular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def open_to_append(path: Path) -> BinaryIO:
    """Open a file to add bytes at its end, if it is a regular file; a missing one is made.

    Args:
        path: The file.

    Raises:
        InputError: The path leads to a FIFO, a socket or a device [not-regular].
        OSError: The file cannot be opened, or is a folder.
    """
    if os.path.lexists(path):
        with suppress(FileNotFoundError):  # a link to a file that is to be made
            require_regular(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    return os.fdopen(os.open(path, flags, 0o666), "ab")


def require_regular(path: Path) -> None:
    """Refuse what is there and is neither a regular file nor a folder.

    Raises:
        InputError: The path leads to a FIFO, a socket or a device [not-regular].
        OSError: There is nothing, or it cannot be looked at.
    """
    if not isinstance(path, Address):  # stores hold objects and folders alone
        _refuse_irregular(path, os.stat(path).st_mode)


def kind_of_file(mode: int) -> str | None:
    """Return what a mode of `stat` is, in words; None for a regular file, a folder, and what has no name here."""
    return _NOT_REGULAR.get(stat.S_IFMT(mode))


def _refuse_irregular(path: Path, mode: int) -> None:
    kind = kind_of_file(mode)
    if kind is not None:
        raise InputError(f"{path}: is {kind}, expected a file; check the path", "not-regular")
