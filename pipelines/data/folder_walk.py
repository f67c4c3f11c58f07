"""The files below a folder: which are taken, and which are left out, counted by suffix or named."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from pipelines.data.notes import Notes
from pipelines.errors import InputError

_LITTER = {"thumbs.db", "desktop.ini"}  # of file managers; macOS hides its own
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def walk_files(folder: Path, notes: Notes) -> Iterator[Path]:
    """Yield the regular files below a folder in a fixed order, without hidden ones.

    Links are followed, but each folder is visited once. What is no regular file is noted and never opened: reading a
    FIFO would wait for ever.

    Raises:
        InputError: There is no such folder [folder-missing].
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with pictures; check the path", "folder-missing")
    visited = set()
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        real = os.path.realpath(parent)
        if real in visited:  # a link back to a folder above would never end
            continue
        visited.add(real)
        try:
            entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
        except OSError as error:
            notes.left_out(f"{folder}: folders left out, because they cannot be read", f"{parent} ({error.strerror})")
            continue
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in shown:
            if entry.is_file():
                yield Path(parent, entry.name)
            elif not entry.is_dir():
                notes.left_out(f"{folder}: left out, because they are no files", f"{entry.name} ({_kind(entry)})")
        waiting += [Path(parent, entry.name) for entry in reversed(shown) if entry.is_dir()]


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


def _kind(entry: "os.DirEntry[str]") -> str:
    try:
        return _KINDS.get(stat.S_IFMT(entry.stat().st_mode), "no file")
    except OSError:
        return "a link that leads nowhere"
