"""Where a command writes: only into a folder of its own, and only one process at a time.

A folder may be new or empty, or hold what the same command made before. Notes and what file managers and schedulers
leave in a folder are no obstacle: s4 neither reads nor replaces such files. Everything else is foreign content. A
command that wrote among it could replace files of the same name, or take its own results for inputs the next time.
"""

import functools
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipelines.config.setting import Output, StageConfig, flag_of, limits_of
from pipelines.errors import ConfigError, S4Error
from pipelines.folder_lock import require_free, sole_writer, was_held
from pipelines.stores.address import Address
from pipelines.stores.paths import lies_in

if TYPE_CHECKING:
    from pipelines.events import Events

CONVERSION = ".s4-convert.json"
"""File in a folder that `s4 convert` wrote: the list of its files."""
# For each kind of output, files of which one shows that s4 made the folder.
_MARKS: dict[Output, tuple[str, ...]] = {
    "run": ("config.json", "checkpoints/last.pt", "checkpoints/best.pt"),
    "labels": ("settings.json", "manifest.json"),
    "predictions": ("settings.json",),
    "chain": ("state.json",),
    "demo": ("demo.json",),
    "study": ("config.json", "table5/config.json", *(f"table{number}.json" for number in range(1, 6))),
    "figures": ("explain.json",),
    "timings": tuple(
        f"{what}.json" for what in ("inference", "branch", "proposals", "trunks", "training", "end-to-end")
    ),
    "maps": (),
    "conversion": (CONVERSION,),
}
_OF_RUNS = "environment.json"  # a run has a config.json too, and is no study
_NOTES = (".md", ".txt", ".rst", ".log", ".out", ".err", ".toml", ".yaml", ".yml", ".sh", ".sbatch", ".slurm")
_NOTE_NAMES = ("readme", "license", "licence", "notes", "todo")
_LITTER = {"thumbs.db", "desktop.ini", "lost+found", "@eadir", "__macosx", "$recycle.bin", "system volume information"}
_LABEL_MAP = ".png"
_CLOCK = 0.02  # seconds by which the clock of a file system may be late
_SHOWN = 3  # foreign names in a message

Stage = TypeVar("Stage", bound=Callable[..., Any])


@dataclass(frozen=True)
class Place:
    """A place that a command writes to.

    Attributes:
        flag: The flag that names it.
        kind: What it is to hold.
        path: The folder or file.
        part: (I, N): the command writes part I of N.
    """

    flag: str
    kind: Output
    path: Path
    part: tuple[int, int] = (1, 1)

    @property
    def has_no_lock(self) -> bool:
        """Whether the place is in a store: most stores cannot make an object only if it is missing."""
        return isinstance(self.path, Address)

    @property
    def lock(self) -> tuple[Path, tuple[int, int], str]:
        """The folder that is locked, the part, and the file in it if only a file is written."""
        return (self.path.parent, self.part, self.path.name) if self.kind == "file" else (self.path, self.part, "")


def alone(stage: Stage) -> Stage:
    """Let a command work only where it may write, and only while no other process writes there.

    Of the processes of torchrun, that of rank 0 writes, and holds the places for all. A dry run writes nothing and
    holds nothing.

    Args:
        stage: The function of a command: settings, events -> result. The returned function raises [out-foreign],
            [out-inside], [out-unusable] and [folder-busy] besides.
    """

    @functools.wraps(stage)
    def held(config: StageConfig, events: "Events", *args: Any, **more: Any) -> Any:
        if not _writes_here():
            return stage(config, events, *args, **more)
        with ExitStack() as stack:
            for fault in place_faults(config):
                raise fault
            for place in () if getattr(config, "dry_run", False) else _places(config):
                if place.has_no_lock:
                    continue
                folder, part, file = place.lock
                stack.enter_context(sole_writer(folder, f"s4 {config.command}", events.info, part, file))
            return stage(config, events, *args, **more)

    return cast(Stage, held)


def place_faults(config: StageConfig) -> Iterator[S4Error]:
    """Yield what keeps a command from writing where its settings say; nothing is touched."""
    if not _writes_here():
        return
    for place in _places(config):
        try:
            _require_own_place(place, config)
            if not getattr(config, "dry_run", False) and not place.has_no_lock:
                require_free(*place.lock)
        except S4Error as fault:
            yield fault


def written_since(config: StageConfig, since: float) -> list[tuple[Path, int, int]]:
    """Return what a command has written to its places: each folder, its number of files, and their bytes.

    Args:
        config: Settings of the command.
        since: Time in seconds since 1970. Files that are older were there before.
    """
    found: dict[Path, list[int]] = {}
    for place in _places(config):
        inside = (Path(parent, name) for parent, _, names in os.walk(place.path) for name in names)
        for path in [place.path] if place.kind == "file" else inside:
            about = path.stat() if path.is_file() else None
            if about is not None and about.st_mtime >= since - _CLOCK:
                found.setdefault(path.parent, []).append(about.st_size)
    return [(folder, len(sizes), sum(sizes)) for folder, sizes in sorted(found.items())]


def require_own_folder(flag: str, kind: Output, folder: Path) -> None:
    """Check that a folder is new, empty, or made by s4 for the same purpose.

    Args:
        flag: The flag that names the folder.
        kind: What the folder is to hold.
        folder: The folder; it need not exist.

    Raises:
        ConfigError: It is no folder, the root or a home folder [out-unusable], or holds something else [out-foreign].
    """
    own = f"{flag} {folder / kind}"
    if isinstance(folder, Address):
        if folder.is_file():
            raise _unusable(flag, folder, "a file, a folder expected", "choose another")
    elif not _is_usable(flag, folder, own):
        return
    foreign = [] if _is_made(kind, folder) else _foreign(kind, folder)
    if foreign:
        more = " and more" if len(foreign) > _SHOWN else ""
        message = f"{flag} {folder}: holds files that s4 did not make here ({', '.join(foreign[:_SHOWN])}{more})"
        raise ConfigError(
            f"{message}, a new or empty folder expected; choose another, such as {own}",
            "out-foreign",
        )


def _is_usable(flag: str, folder: Path, own: str) -> bool:
    """Return whether a folder of this machine is there.

    Raises:
        ConfigError: It is no folder, the root or a home folder [out-unusable].
    """
    mode = _mode(flag, folder)
    if mode is None:
        return False
    if not stat.S_ISDIR(mode):
        what = "a file" if stat.S_ISREG(mode) else "no regular file and no folder"
        raise _unusable(flag, folder, f"{what}, a folder expected", "choose another")
    if folder.resolve() in (Path("/"), Path.home().resolve()):
        found = "the root of all files" if folder.resolve() == Path("/") else "a home folder"
        raise _unusable(flag, folder, f"{found}, a folder for s4 alone expected", f"choose another, such as {own}")
    return True


def _writes_here() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _places(config: StageConfig) -> Iterator[Place]:
    for setting in fields(config):
        kind: Output | None = limits_of(setting).writes
        if kind == "file":  # of a command whose output may be a folder too
            kind = getattr(config, "writes", kind)
        path = getattr(config, "folder" if kind == "chain" else setting.name)
        if kind is not None and path is not None:
            yield Place(flag_of(setting.name), kind, path, tuple(getattr(config, "part", (1, 1))))


def _require_own_place(place: Place, config: StageConfig) -> None:
    if place.kind in ("labels", "predictions", "conversion"):
        _require_outside(place, config)
    if place.kind == "file":
        _require_file(place)
    else:
        require_own_folder(place.flag, place.kind, place.path)


def _require_outside(place: Place, config: StageConfig) -> None:
    """Refuse a folder among the pictures that the command reads [out-inside]."""
    voc: Path | None = getattr(config, "voc", None)
    pictures: Any = getattr(config, "images", None) or (() if voc is None else (voc / "JPEGImages",))
    for folder in pictures:
        if folder.is_dir() and lies_in(_resolved(place.flag, place.path), folder):
            raise ConfigError(
                f"{place.flag} {place.path}: lies among the pictures of {folder}, a folder elsewhere expected: the "
                "next run would take label maps for pictures; choose another",
                "out-inside",
            )


def _require_file(place: Place) -> None:
    mode = _mode(place.flag, place.path)
    if mode is not None and not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise _unusable(place.flag, place.path, f"{what}, a file expected", "choose another")


def _mode(flag: str, path: Path) -> int | None:
    """Return the type of what lies at a path; None if nothing does, and it can be made."""
    _resolved(flag, path)
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise _unusable(flag, path, "a link that leads nowhere, a folder expected", "remove the link") from None
        return None
    except NotADirectoryError:
        raise _unusable(flag, path, "lies below a file, a folder above it expected", "choose another") from None
    except OSError as error:
        raise _unusable(flag, path, f"{error.strerror}, a place to write to expected", "choose another") from error


def _resolved(flag: str, path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise _unusable(flag, path, "links in a circle, a place to write to expected", "choose another") from error


def _unusable(flag: str, path: Path, found: str, remedy: str) -> ConfigError:
    return ConfigError(f"{flag} {path}: {found}; {remedy}", "out-unusable")


def _is_made(kind: Output, folder: Path) -> bool:
    """Return whether s4 made the folder. A lock in it shows that a command was at work there, and was killed."""
    if kind == "study" and (folder / _OF_RUNS).exists():
        return False
    is_marked = any((folder / mark).is_file() for mark in _MARKS[kind])
    return is_marked or (not isinstance(folder, Address) and was_held(folder))


def _foreign(kind: Output, folder: Path) -> list[str]:
    """Return names of some foreign files in a folder."""
    found: list[str] = []
    try:
        with nullcontext(folder.iterdir()) if isinstance(folder, Address) else os.scandir(folder) as entries:
            for entry in entries:
                path = folder / entry.name
                if not _is_harmless(entry, path) and not (kind == "maps" and _holds_maps(entry, path)):
                    found.append(entry.name)
                if len(found) > _SHOWN:
                    break
    except OSError:  # the lock, made next, tells what is wrong
        return []
    return sorted(found)


def _is_harmless(entry: "os.DirEntry[str] | Path", path: Path) -> bool:
    name = entry.name.lower()
    if name.startswith(".") or name in _LITTER:
        return True
    if entry.is_dir():  # of another command, as a run is in the folder of a chain
        return any((path / mark).is_file() for marks in _MARKS.values() for mark in marks)
    return entry.is_file() and (name.endswith(_NOTES) or name.startswith(_NOTE_NAMES))


def _holds_maps(entry: "os.DirEntry[str] | Path", path: Path) -> bool:
    """Return whether an entry is a PNG file, or a folder of such files: label maps of an earlier evaluation."""
    if not entry.is_dir():
        return entry.name.lower().endswith(_LABEL_MAP)
    return all(name.lower().endswith(_LABEL_MAP) for _, _, names in os.walk(path) for name in names)
