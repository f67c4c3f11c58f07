"""A path in a store, such as `s3://bucket/folder`.

An `Address` is a `Path` whose files an fsspec file system holds. Code that reads and writes through the methods of
`Path` need not know the difference. Code that hands a path to the operating system gets an error that names the
address.

Nothing is kept on this machine. An object is read when it is asked for, whole or a range of it. A question that fails
is asked once more. No text shows the credentials of an address.
"""

import errno
import fnmatch
import io
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

from pipelines.errors import ConfigError, MachineError, S4Error
from pipelines.stores.connection import failure, in_words, is_refusal
from pipelines.stores.lexical import LexicalAddress
from pipelines.stores.part_of_file import PartOfFile

# Stores in which an object appears when it is whole. In the others, a file is written beside its place and renamed.
_WHOLE = {"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "obs", "hf"}
_AT_ONCE = 1 << 26  # bytes: a larger object is read in ranges
_RANGE = 1 << 22  # bytes that are read at a time, so that the headers of a tar need few questions
_PAUSE = 1.0  # seconds before a question is asked again

Answer = TypeVar("Answer")


class _Found(NamedTuple):
    """What a store says of a path: whether it is a folder, and the size in bytes of a file."""

    is_folder: bool
    size: int


class Address(LexicalAddress):
    """A path in a store: see the module."""

    __slots__ = ()

    # Questions to the store.

    def _asked(self, question: Callable[..., Answer], *given: Any, **named: Any) -> Answer:
        """Ask the store, and once more if that fails.

        Raises:
            FileNotFoundError: There is no such object.
            MachineError: The store refuses [no-permission] or fails twice [address-failed].
        """
        for last in (False, True):
            try:
                with self._root.opened[1]:
                    return question(*given, **named)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                raise type(error)(errno.ENOENT, "no such object in the store", str(self)) from error
            except S4Error:
                raise
            except NotImplementedError as error:
                raise ConfigError(
                    f"{self}: the store cannot do this ({in_words(error)}), one that can be written to expected; "
                    "choose another address",
                    "address-unsupported",
                ) from error
            except Exception as error:  # each driver has errors of its own
                if last or is_refusal(error):
                    raise failure(str(self), error, "the store failed twice") from error
                time.sleep(_PAUSE)
        raise AssertionError("the loop above returns or raises")

    def _found(self) -> _Found | None:
        """Return what the store says of this address; None if nothing is there."""
        if self._size is not None:
            return _Found(False, self._size)
        try:
            self._root.forget(self._inside)
            info = self._asked(self.store.info, self.key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _Found(info["type"] == "directory", int(info.get("size") or 0))

    def exists(self, **_: Any) -> bool:
        """Return whether there is an object or a folder."""
        return self._found() is not None

    def is_file(self, **_: Any) -> bool:
        """Return whether there is an object."""
        found = self._found()
        return found is not None and not found.is_folder

    def is_dir(self, **_: Any) -> bool:
        """Return whether there is a folder: objects whose names begin with this address."""
        found = self._found()
        return found is not None and found.is_folder

    def stat(self, **_: Any) -> os.stat_result:
        """Return a record with the size alone.

        Raises:
            FileNotFoundError: Nothing is there.
        """
        found = self._found()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such object in the store", str(self))
        return os.stat_result((0, 0, 0, 0, 0, 0, found.size, 0, 0, 0))

    def _child(self, key: str, size: int | None) -> "Address | None":
        """Return the address of a key below this one; None for a key that no path can name, such as `a//b`."""
        inside = key.removeprefix(self.key).lstrip("/")
        child = Address._of(self._root, self._inside / inside, size)
        return child if child.key == key else None

    def iterdir(self) -> Generator["Address", None, None]:
        """Yield what lies in the folder, sorted by name; nothing for a folder that does not exist."""
        try:
            self._root.forget(self._inside)
            entries = self._asked(self.store.ls, self.key, detail=True)
        except FileNotFoundError:
            return
        for entry in sorted(entries, key=lambda entry: str(entry["name"])):
            child = self._child(entry["name"].rstrip("/"), entry["size"] if entry["type"] == "file" else None)
            if child is not None and child != self:
                yield child

    def glob(self, pattern: str, **_: Any) -> Iterator["Address"]:  # type: ignore[override]
        """Yield what fits a pattern, whose parts stand for one level each."""
        first, _slash, rest = pattern.partition("/")
        for child in self.iterdir():
            if fnmatch.fnmatchcase(child.name, first):
                yield from child.glob(rest) if rest else [child]

    def fitting(self) -> list["Address"]:
        """Return what this address fits, taken for a pattern such as `s3://bucket/*.jpg`, sorted."""
        keys = self._asked(self.store.glob, self.key)
        root = self.parents[-1] if self.parents else self
        return sorted(child for key in keys if (child := root._child(key, None)) is not None)

    def files(self, left_out: Callable[[str], object] = lambda name: None) -> list["Address"]:
        """Return all objects below this address with their sizes, from one listing.

        The order is that of a walk: the files of a folder by name, then its folders by name.

        Args:
            left_out: Told the names that no path can stand for.
        """
        try:
            self._root.forget(self._inside)
            entries = self._asked(self.store.find, self.key, detail=True)
        except FileNotFoundError:
            return []
        found = []
        for key, info in entries.items():
            child = self._child(key, int(info["size"] or 0)) if info["type"] == "file" else None
            if child is None:
                left_out(key)
            else:
                found.append(child)
        return sorted(found, key=lambda child: [*((1, name) for name in child.parts[:-1]), (0, child.name)])

    # Reading and writing.

    def read_bytes(self) -> bytes:
        """Return the content."""
        return bytes(self._asked(self.store.cat_file, self.key))

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        """Return the content as text, in UTF-8 unless another encoding is named."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def read_range(self, start: int, size: int) -> bytes:
        """Return a range of the content, shorter where the content ends.

        Args:
            start: The first byte.
            size: Number of bytes, at least 1.
        """
        return bytes(self._asked(self.store.cat_file, self.key, start=start, end=start + size))

    def get(self, target: Path) -> None:
        """Copy the content to a file on this machine, which a break can leave half done."""
        self._asked(self.store.get_file, self.key, str(target))

    def open(self, mode: str = "r", *_: Any, **__: Any) -> BinaryIO:  # type: ignore[override]
        """Open the content to read; one of more than 64 MiB is read in ranges.

        Raises:
            ConfigError: The mode is another one than "rb" [address-unsupported].
        """
        if mode != "rb":
            self.__fspath__()
        size = self.stat().st_size
        return io.BytesIO(self.read_bytes()) if size <= _AT_ONCE else self.open_range(0, size)

    def open_range(self, start: int, size: int) -> BinaryIO:
        """Open a range of the content to read, as a file of its own; one of more than 64 MiB is read bit by bit.

        Args:
            start: The first byte.
            size: Number of bytes.
        """
        if size <= _AT_ONCE:
            return io.BytesIO(self.read_range(start, size) if size else b"")
        return cast(BinaryIO, io.BufferedReader(_Ranges(self, start, size), _RANGE))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there when a file is in it."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object.

        Raises:
            FileNotFoundError: There is none, and `missing_ok` is not set.
        """
        if self.exists() or not missing_ok:
            self._asked(self.store.rm_file, self.key)

    def put(self, content: bytes) -> None:
        """Replace the object; at every moment the address holds the old content or all of the new one.

        Raises:
            MachineError: The bucket does not exist [address-failed], or as every question.
        """
        try:
            if self.protocols[0] in _WHOLE:
                self._asked(self.store.pipe_file, self.key, content)
            else:
                # A name of this file alone: what a broken run leaves there, the next run replaces.
                temporary = self.with_name(f".{self.name}.tmp")
                self._asked(self.store.makedirs, self.parent.key, exist_ok=True)
                self._asked(self.store.pipe_file, temporary.key, content)
                self._asked(self.store.mv, temporary.key, self.key)
        except FileNotFoundError as error:
            raise MachineError(
                f"{self}: the place does not exist, a bucket or folder that may be written to expected; make it, or "
                "check the address",
                "address-failed",
            ) from error


class _Ranges(PartOfFile):
    """A range of an address as a file, of which only what is asked for is read."""

    def __init__(self, address: Address, start: int, size: int) -> None:
        super().__init__(start, size)
        self._address = address

    def read_at(self, place: int, buffer: "memoryview[int]") -> int:
        content = self._address.read_range(place, len(buffer))
        buffer[: len(content)] = content
        return len(content)
