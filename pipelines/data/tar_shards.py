"""Tar files full of pictures, read in place: an index of their members, and each member as a file of its own.

The index takes the headers alone, and a picture its own bytes alone. Nothing is unpacked, so a name in a tar can reach
no place on the disk. A tar stands for a folder of its name. That covers both layouts in use: the shards of WebDataset
(`shard-000000.tar` with `key.jpg` and `key.cls`), and ImageNet's tar for each synset (`n02123045.tar`). The tars of
synsets may lie in one more tar.
"""

import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from pipelines.data.notes import first_names
from pipelines.errors import InputError
from pipelines.regular_files import open_regular
from pipelines.stores.address import Address
from pipelines.stores.part_of_file import PartOfFile

TAR_SUFFIX = ".tar"
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
KEYWORD_SUFFIXES = (".cls", ".txt")  # of members beside a picture that may have its keywords, best first

_MOST_NAMED = 100  # members that a message names
# The first bytes of gzip, bzip2, xz and zstd.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
# What tarfile raises on damaged headers.
_DAMAGE = (tarfile.TarError, OSError, ValueError, OverflowError, LookupError, TypeError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file inside a tar; it takes the place of a path where pictures are opened.

    Attributes:
        tar: The tar file on the disk.
        member: Name of the file in the tar, with `/`; a tar inside the tar counts as a folder of its name.
        offset: Where its bytes begin in the tar file.
        size: Number of its bytes.
        beside: Members of the same name whose suffix is one of `KEYWORD_SUFFIXES`, in that order.
    """

    tar: Path
    member: str
    offset: int
    size: int
    beside: tuple["TarMember", ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """Name in messages, without the folders above the tar: `shard.tar:key.jpg`."""
        return f"{self.tar.name}:{self.member}"

    def __str__(self) -> str:
        """Return the name in messages: `folder/shard.tar:key.jpg`."""
        return f"{self.tar}:{self.member}"

    def relative_to(self, folder: Path) -> PurePosixPath:
        """Return the place below a folder that holds the tar: `shard/key.jpg`."""
        return PurePosixPath(self.tar.relative_to(folder).with_suffix(""), self.member)


def index_tar(tar: Path, suffixes: tuple[str, ...]) -> tuple[list[TarMember], Counter[str]]:
    """Return the pictures of a tar, in its order, and the suffixes of its other files; hidden pictures are left out.

    Args:
        tar: The file.
        suffixes: Endings of a picture's name, in small letters.

    Returns:
        An entry for each picture; a tar may be without any. How many files of each suffix are neither pictures nor
        texts with keywords.

    Raises:
        InputError: The tar cannot be read [shard-unreadable], is compressed [shard-compressed], damaged or cut off
            [shard-damaged]; a name is there twice [image-id-twice]; a picture is a link or sparse [shard-link]; or its
            name leads out of the tar [shard-path].
    """
    found: dict[str, TarMember] = {}
    twice: list[TarMember] = []
    others: Counter[str] = Counter()
    with _explained(tar), open_regular(tar) as file:
        if file.read(6).startswith(_COMPRESSED):
            raise compressed(tar)
        for member in _scan(tar, (*suffixes, *KEYWORD_SUFFIXES), others):
            twice += [member] if member.member in found else []
            found[member.member] = member
    if twice:
        names = first_names(list(dict.fromkeys(map(str, twice))), _MOST_NAMED)
        raise InputError(f"{names}: there twice, expected once; write the shard anew", "image-id-twice")
    pictures = [_with_keywords(member, found) for name, member in found.items() if name.lower().endswith(suffixes)]
    return pictures, others


def open_member(member: TarMember) -> BinaryIO:
    """Open a member as a binary file; its bytes are read when they are asked for.

    Raises:
        OSError: The tar cannot be opened.
    """
    if isinstance(member.tar, Address):
        return member.tar.open_range(member.offset, member.size)
    return cast(
        BinaryIO,
        io.BufferedReader(
            _Member(cast(io.RawIOBase, open_regular(member.tar, buffering=0)), member.offset, member.size)
        ),
    )


def read_member(member: TarMember, at_most: int) -> bytes:
    """Read the first bytes of a member.

    Raises:
        InputError: The tar is gone or cannot be read [shard-unreadable].
    """
    with _explained(member.tar), open_member(member) as file:
        return file.read(at_most)


def compressed(tar: Path) -> InputError:
    """Return the error of a compressed tar."""
    return InputError(
        f"{tar}: is compressed and cannot be read in place, expected a plain tar; unpack it, write it anew without "
        "compression, or move it away",
        "shard-compressed",
    )


def _scan(
    tar: Path, suffixes: tuple[str, ...], others: Counter[str], within: TarMember | None = None
) -> Iterator[TarMember]:
    """Yield every member whose name ends with one of the suffixes, also members of a tar inside the tar.

    Args:
        tar: The file on the disk.
        suffixes: Endings of names, in small letters.
        others: Counts the suffixes of the other files.
        within: The tar inside the tar to read; None for the whole.
    """
    base = 0 if within is None else within.offset
    above = PurePosixPath() if within is None else PurePosixPath(within.member).with_suffix("")
    wanted = suffixes if within is not None else (*suffixes, TAR_SUFFIX)
    with open_member(within or TarMember(tar, "", 0, tar.stat().st_size)) as file:
        # Mode "r:" takes plain tars alone.
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            reached = -1
            while (info := archive.next()) is not None:
                # tarfile keeps all members, and a million of them would fill the memory.
                archive.members.clear()  # type: ignore[attr-defined]
                if archive.offset <= reached:
                    raise tarfile.ReadError("a header points backwards")
                reached = archive.offset
                if not info.name.lower().endswith(wanted):
                    others.update([] if info.isdir() else [PurePosixPath(info.name).suffix])
                elif not info.isdir() and _is_shown(tar, info.name):
                    _refuse_odd_kind(tar, info)
                    name = (above / info.name).as_posix()
                    member = TarMember(tar, name, base + info.offset_data, info.size)
                    if info.name.lower().endswith(TAR_SUFFIX):
                        yield from _scan(tar, suffixes, others, member)
                    else:
                        yield member
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a damaged header for the end of the tar
                raise tarfile.ReadError("a header is damaged")


def _is_shown(tar: Path, name: str) -> bool:
    """Return whether a member is shown, that is, not hidden.

    Raises:
        InputError: Its name leads out of the tar [shard-path].
    """
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\0" in name:
        raise InputError(
            f"{tar}:{name}: name leads out of the tar, expected one inside; write the shard anew with relative names",
            "shard-path",
        )
    return not any(part.startswith(".") for part in inside.parts)


def _refuse_odd_kind(tar: Path, info: tarfile.TarInfo) -> None:
    if not info.isreg() or info.issparse():
        raise InputError(
            f"{tar}:{info.name}: is a link or no plain file, expected the picture itself; write the shard anew with "
            "`tar --dereference --hard-dereference`",
            "shard-link",
        )


def _with_keywords(member: TarMember, found: dict[str, TarMember]) -> TarMember:
    """Add the files beside a picture `a.v2.jpg`: `a.v2.cls`, or `a.cls`, as WebDataset cuts names at the first dot."""
    path = PurePosixPath(member.member)
    stems = dict.fromkeys([path.stem, path.name.split(".")[0]])
    names = [path.with_name(f"{stem}{suffix}").as_posix() for suffix in KEYWORD_SUFFIXES for stem in stems]
    beside = tuple(found[name] for name in names if name in found)
    return TarMember(member.tar, member.member, member.offset, member.size, beside) if beside else member


@contextmanager
def _explained(tar: Path) -> Iterator[None]:
    """Turn the errors of a tar into an `InputError`."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(
            f"{tar}: {error.strerror}, expected a readable tar; check the path and its rights", "shard-unreadable"
        ) from error
    except _DAMAGE as error:
        raise InputError(
            f"{tar}: tar is damaged or cut off ({error}), expected a whole one; copy it again or write it anew",
            "shard-damaged",
        ) from error


class _Member(PartOfFile):
    """The bytes of a member, in a tar that is open."""

    def __init__(self, file: io.RawIOBase, offset: int, size: int) -> None:
        super().__init__(offset, size)
        self._file = file

    def read_at(self, place: int, buffer: "memoryview[int]") -> int:
        self._file.seek(place)
        return self._file.readinto(buffer) or 0

    def close(self) -> None:
        self._file.close()
        super().close()
