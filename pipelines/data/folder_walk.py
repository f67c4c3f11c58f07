"""The files below a folder: which are taken, and which are left out, counted by suffix or named."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.regular_files import kind_of_file
from pipelines.stores.address import Address

_FOLDER = "a folder"
_NO_NAME = ("/",)
_OF_THE_SYSTEM = ("/proc", "/sys")  # without end, and none of it is on a disk
_LITTER = {"thumbs.db", "desktop.ini"}  # of file managers; macOS hides its own


def walk_files(folder: Path, notes: Notes, pictures: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield the regular files below a folder in a fixed order, without hidden ones.

    Links are followed, but each folder is visited once, and none that `leads_away`. What is no regular file is noted
    and never opened: reading a FIFO would wait for ever.

    Args:
        folder: The folder.
        notes: Told of what is no regular file, and of folders that cannot be read or lead away.
        pictures: Endings of a picture's name, in small letters. A folder with such a name is noted, and looked into.

    Raises:
        InputError: There is no such folder [folder-missing].
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with pictures; check the path", "folder-missing")
    if isinstance(folder, Address):
        yield from _listed(folder, notes)
        return
    visited, top = set(), os.path.realpath(folder)
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        real = os.path.realpath(parent)
        if real in visited:  # a link back to a folder above would never end
            continue
        if leads_away(real, top):
            notes.left_out(f"{folder}: links left out, because they lead away from it", f"{parent} (to {real})")
            continue
        visited.add(real)
        folders = []
        for entry in _shown(parent, folder, notes):
            kind = _kind(entry)
            if kind is None:
                yield Path(parent, entry.name)
                continue
            if kind == _FOLDER:
                folders.append(Path(parent, entry.name))
            if kind != _FOLDER or entry.name.lower().endswith(pictures or _NO_NAME):
                notes.left_out(f"{folder}: left out, because they are no files", f"{entry.name} ({kind})")
        waiting += reversed(folders)


def _shown(parent: Path, folder: Path, notes: Notes) -> list["os.DirEntry[str]"]:
    """Return what lies in a folder, sorted by name, without hidden entries."""
    try:
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
    except OSError as error:
        notes.left_out(f"{folder}: folders left out, because they cannot be read", f"{parent} ({error.strerror})")
        return []
    return [entry for entry in entries if not entry.name.startswith(".")]


def leads_away(folder: str, top: str) -> bool:
    """Return whether a folder that was met below another lies above it, or is one of the system: a link led there.

    Through a link to `/` all files of a machine would be listed.

    Args:
        folder: The folder, without links.
        top: Where the walk began, without links.
    """
    if folder == top:
        return False
    above = PurePath(top).is_relative_to(folder)
    return above or any(
        PurePath(folder).is_relative_to(place) and not PurePath(top).is_relative_to(place) for place in _OF_THE_SYSTEM
    )


def _listed(folder: Address, notes: Notes) -> Iterator[Path]:
    """Yield the objects of a store below an address, without hidden ones."""
    what = f"{folder}: left out, because no path can stand for their names"
    for file in folder.files(lambda name: notes.left_out(what, name)):
        if not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield file


def ignored_suffix(name: str) -> str | None:
    """Return the suffix under which an ignored file is counted; None for what file managers leave behind."""
    return None if name.lower() in _LITTER else PurePath(name).suffix


def tell_ignored(folder: PurePath, suffixes: Counter[str], hints: Mapping[str, str], notes: Notes) -> None:
    """Tell in one line how many files of each suffix are ignored.

    Args:
        folder: Where the files lie.
        suffixes: Number of ignored files by suffix.
        hints: What to do about a suffix, by the suffix in small letters.
        notes: Told the line.
    """
    parts = []
    for suffix, count in suffixes.most_common():
        hint = hints.get(suffix.lower())
        number = f"{count} " if len(suffixes) > 1 else ""
        parts.append(f"{number}{suffix or 'without suffix'}" + (f" ({hint})" if hint else ""))
    if parts:
        files = "1 file" if suffixes.total() == 1 else f"{suffixes.total()} files"
        notes.say(f"{folder}: {files} ignored: {', '.join(parts)}", any(suffix.lower() in hints for suffix in suffixes))


def _kind(entry: "os.DirEntry[str]") -> str | None:
    """Return what an entry is, in words; None for a regular file."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return "a link to itself" if error.errno == errno.ELOOP else "a link that leads nowhere"
    if stat.S_ISREG(mode):
        return None
    return _FOLDER if stat.S_ISDIR(mode) else kind_of_file(mode) or "no file"
