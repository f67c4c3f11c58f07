"""Paths on this machine and addresses elsewhere, told apart and brought together.

An address is any that fsspec knows, such as `s3://bucket/folder`. `file://` leads to this machine. Credentials belong
into the environment or into the settings of fsspec.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.errors import ConfigError
from pipelines.stores.address import Address

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]*://")
_HERE = "file://"
_CACHES = {"simplecache", "filecache", "blockcache", "cached"}  # what they have read once may be old


def is_address(text: object) -> bool:
    """Return whether a path leads to another place than the disks of this machine; `file://` leads to them."""
    return isinstance(text, Address) or (
        isinstance(text, str) and bool(_ADDRESS.match(text)) and not text.startswith(_HERE)
    )


def to_path(text: str | Path) -> Path:
    """Return the path or the address that a text means."""
    if isinstance(text, str) and is_address(text):
        return Address(text)
    return Path(text.removeprefix(_HERE)) if isinstance(text, str) else text


def is_file(path: Path) -> bool:
    """Return whether a path is a file, at an address or on this machine; False for a name that is too long."""
    return path.is_file() if isinstance(path, Address) else os.path.isfile(path)


def lies_in(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder or lies below it, links followed."""
    if is_address(path) or is_address(folder):
        return is_address(path) and is_address(folder) and path.is_relative_to(folder)
    # A link that leads to itself has no end; `Path.resolve` would raise.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def common_folder(folders: Sequence[Path]) -> Path:
    """Return the innermost folder that holds all of several folders.

    Raises:
        ConfigError: They are not all on this machine, or not all at addresses of one kind [address-mixed].
    """
    if not any(map(is_address, folders)):
        return Path(os.path.commonpath([folder.absolute() for folder in folders]))
    first = folders[0]
    for above in (first, *first.parents) if isinstance(first, Address) else ():
        if all(lies_in(folder, above) for folder in folders):
            return above
    raise ConfigError(
        f"{first} and {folders[-1]}: lie in different kinds of places, pictures of one kind of place expected; name "
        "them in commands of their own",
        "address-mixed",
    )


def presence(folder: Path) -> Callable[[Path], bool]:
    """Return a function that tells whether a path below a folder is a file now.

    At an address the folder is listed once: to ask for each of a million files would take hours.
    """
    if not isinstance(folder, Address):
        return os.path.isfile
    there = {file.key for file in folder.files()}
    return lambda path: isinstance(path, Address) and path.key in there


@contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """Give a file on this machine with the content of a file: the file itself, or a copy that is removed afterwards.

    Raises:
        FileNotFoundError: There is no such object at an address.
    """
    if not isinstance(path, Address):
        yield path
        return
    with TemporaryDirectory(prefix="s4-copy-") as folder:
        copy = Path(folder, path.name)
        path.get(copy)
        yield copy


def in_memory(values: Iterable[object]) -> list[Address]:
    """Return the addresses in the memory of this process, which other processes cannot see.

    Args:
        values: Values of settings: paths, texts, tuples of these, or anything else.
    """
    singles = (one for value in values for one in (value if isinstance(value, tuple) else (value,)))
    addresses = (Address(one) if isinstance(one, str) else one for one in singles if is_address(one))
    return [one for one in addresses if isinstance(one, Address) and "memory" in one.protocols]


def require_no_cache(flag: str, path: Path) -> None:
    """Refuse to write to an address through a cache on this machine, which hides what other machines write.

    Raises:
        ConfigError: The address leads through a cache [address-cached].
    """
    if isinstance(path, Address) and _CACHES.intersection(path.protocols):
        raise ConfigError(
            f"{flag} {path}: leads through a cache, the address of the store itself expected; leave out the first part",
            "address-cached",
        )
