"""What paths have to lead to, looked at before a command starts its work.

Nothing here imports an array library: a mistyped path is told at once, with all others of the command line.
"""

import glob
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipelines.config.outputs import place_faults
from pipelines.config.setting import Config, Existing, StageConfig, Tell, flag_of, limits_of
from pipelines.config.usual_places import has_last_alone, weights_file
from pipelines.errors import ConfigError, InputError, S4Error, nearest_name, raise_all
from pipelines.files import read_json
from pipelines.stores.address import Address
from pipelines.stores.paths import is_address, to_path

_LISTS = Path("ImageSets", "Segmentation")
_TAR = ".tar"  # a folder of pictures in one file
_VOC_LAYOUT = "JPEGImages, SegmentationClass and ImageSets/Segmentation/val.txt"
# What has to be there: how a message calls it, and the rule that is broken where it is not.
_KINDS = {
    "folder": ("folder", "folder-missing"),
    "voc": ("folder", "folder-missing"),
    "file": ("file", "file-missing"),
    "tensors": ("file", "weights-missing"),
    "path": ("file or folder", "file-missing"),
    "pictures": ("picture or folder", "image-missing"),
    "shards": ("folder", "folder-missing"),
}


def prepared(config: Config, tell: Tell) -> Config:
    """Return the same settings with every path that was left out found, and every path looked at.

    Args:
        config: Settings of a command.
        tell: Receives a line for each path that was found, see `StageConfig.located`, and for each run without a best
            checkpoint.

    Raises:
        InputError: Paths lead nowhere. The error tells all of them.
        ConfigError: Nothing stands for what was left out [setting-missing], the folder of a new run holds one already
            [run-exists], or there is no run to resume [run-missing]. Or the command may not write where its settings
            say, see `pipelines.config.outputs`.
    """
    missing = []
    try:
        config = config.located(tell)
    except ConfigError as error:
        missing.append(error)
    # Two settings may lead to the same store.
    raise_all(list({str(fault): fault for fault in [*_faults(config), *missing]}.values()))
    for flag, run in _unevaluated(config):
        tell(f"{flag} {run}: no checkpoints/best.pt, so checkpoints/last.pt is taken")
    return config


def _unevaluated(config: StageConfig) -> Iterator[tuple[str, Path]]:
    """Yield flag and folder of the runs that have a last checkpoint alone."""
    for setting in fields(config):
        limits, value = limits_of(setting), getattr(config, setting.name)
        if limits.must_be == "weights" and value is not None and not (limits.to_begin and goes_on(config)):
            runs = map(to_path, value if isinstance(value, tuple) else (value,))
            yield from ((flag_of(setting.name), run) for run in runs if has_last_alone(run))


def _faults(config: StageConfig) -> Iterator[S4Error]:
    for setting in fields(config):
        limits, value = limits_of(setting), getattr(config, setting.name)
        unopened = store_faults(value)
        yield from unopened
        if unopened or limits.must_be is None or value is None or (limits.to_begin and goes_on(config)):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if limits.must_be == "weights" or str(one) not in (limits.words or ()):
                fault = _fault(flag_of(setting.name), limits.must_be, to_path(one), getattr(config, "split", None))
                if fault is not None:
                    yield fault
    places = list(place_faults(config))
    busy = [fault for fault in places if fault.rule == "folder-busy"]  # what the folder holds is then in the making
    if not busy and hasattr(config, "run") and hasattr(config, "resume"):
        try:
            require_startable(config.run, config.resume)
        except ConfigError as error:
            yield error
    yield from busy or places


def store_faults(value: Any) -> list[S4Error]:
    """Return what is wrong with the stores of a value: an address, a tuple of some, or a value that is no address."""
    faults = []
    for one in value if isinstance(value, tuple) else (value,):
        path = to_path(one) if is_address(one) else None
        if isinstance(path, Address):
            try:
                _ = path.store
            except S4Error as error:
                faults.append(error)
    return faults


def goes_on(config: StageConfig) -> bool:
    """Return whether a training is resumed, and has a checkpoint to go on from."""
    resume, run = getattr(config, "resume", False), getattr(config, "run", None)
    return bool(resume) and run is not None and (run / "checkpoints" / "last.pt").is_file()


def path_faults(where: str, kind: Existing, path: Path, split: str | None = None) -> list[S4Error]:
    """Return what is wrong with one path that has to be there.

    Args:
        where: The flag or key that names it, for the message.
        kind: What it has to lead to.
        path: The path.
        split: The list that a VOC folder has to have, or None.
    """
    fault = _fault(where, kind, path, split)
    return [] if fault is None else [fault]


def _fault(flag: str, kind: str, path: Path, split: str | None) -> S4Error | None:
    """Return what is wrong with one path; None if nothing is."""
    if kind == "weights":
        return _weights_fault(flag, path)
    what, rule = _KINDS[kind]
    right: dict[str, Callable[[], bool]] = {"folder": path.is_dir, "voc": path.is_dir}
    right |= {"file": path.is_file, "tensors": path.is_file}
    right["shards"] = path.is_file if path.name.lower().endswith(_TAR) else path.is_dir
    if kind == "pictures" and matches(path):
        return None
    # Reading a device or FIFO would never end.
    if not right.get(kind, lambda: path.is_file() or path.is_dir())():
        found = f"not a {what}" if path.exists() else f"no such {what}"
        return InputError(f"{flag} {path}: {found}, expected one; {_hint(path)}", rule)
    return _voc_fault(flag, path, split) if kind == "voc" else None


def matches(pattern: Path) -> list[Path]:
    """Return the files and folders that a pattern such as `*.jpg` stands for, sorted; none for a plain path."""
    if isinstance(pattern, Address):
        return [] if not glob.has_magic(pattern.text) or pattern.exists() else list(pattern.fitting())
    if pattern.exists() or not glob.has_magic(str(pattern)):
        return []
    return sorted(map(Path, glob.glob(str(pattern), recursive=True)))


def _weights_fault(flag: str, path: Path) -> S4Error | None:
    try:
        weights_file(path)
    except InputError as error:
        remedy = "" if ";" in error.message else f"; {_hint(path)}"
        return InputError(f"{flag} {error.message}{remedy}", error.rule)
    return None


def _voc_fault(flag: str, voc: Path, split: str | None) -> S4Error | None:
    """Return what is missing in a folder that should be in VOC's layout."""
    if not (voc / _LISTS).is_dir():
        inside = (path for pattern in ("*", "*/*") for path in sorted(voc.glob(pattern)) if (path / _LISTS).is_dir())
        inner = next(inside, None)
        hint = f"did you mean {inner}?" if inner else "check the path, or write the list"
        message = f"{flag} {voc}: not a VOC folder, one with {_VOC_LAYOUT} expected; {hint}"
        return InputError(message, "voc-layout")
    if split is not None and not (voc / _LISTS / f"{split}.txt").is_file():
        known = sorted(path.stem for path in (voc / _LISTS).glob("*.txt"))
        there = f"one of {', '.join(known)}" if known else f"lists in {_LISTS.as_posix()}"
        message = f"{voc / _LISTS / split}.txt: no such split, expected {there}; choose another --split"
        return InputError(message, "split-missing")
    return None


def _hint(path: Path) -> str:
    """Return what to do about a path that leads nowhere: the nearest name beside it, if there is one."""
    parent = path.parent
    if isinstance(path, Address):
        return "check the address"
    if not parent.is_dir():
        return f"check the path, the folder {parent} does not exist either"
    if path.is_symlink():  # to itself, too
        return "it is a link that leads nowhere, let it lead to what is meant"
    near = nearest_name(path.name, (other.name for other in parent.iterdir())) if not path.exists() else None
    return f"did you mean {parent / near}?" if near else "check the path"


def require_startable(run: Path, resume: bool) -> None:
    """Check that a training may write into a folder.

    Args:
        run: The folder.
        resume: Whether an existing run is to go on; without a checkpoint it starts from the beginning.

    Raises:
        ConfigError: The folder has a run already and `resume` is not set, or a checkpoint of none [run-exists]; or the
            run that is to be resumed does not exist [run-missing].
    """
    exists = (run / "config.json").exists()
    if exists and not resume:
        state, step = _state(run)
        if state == "done":
            message = f"{run}: all was done before (step {step}), a new folder expected"
            raise ConfigError(f"{message}; use its network, or choose another --run to train anew", "run-exists")
        how_far = f" ({state}, step {step})" if state else ""
        message = f"{run}: holds a run already{how_far}, a new folder expected"
        raise ConfigError(f"{message}; add --resume to go on with it, or choose another --run", "run-exists")
    left = [name for name in ("last.pt", "best.pt") if (run / "checkpoints" / name).exists()]
    if left and not exists:
        # Of a run whose settings are gone: nothing may go on from there, and nothing tells what it is.
        raise ConfigError(
            f"{run}: holds checkpoints/{left[0]} but no config.json, a new folder expected; remove it, or choose "
            "another",
            "run-exists",
        )
    if resume and not exists:
        raise ConfigError(f"{run}: no config.json, a run to resume expected; leave --resume out", "run-missing")


def _state(run: Path) -> tuple[str, int]:
    """Return the state of a run and the steps done; an empty state if the run does not say it."""
    try:
        status = read_json(run / "status.json")
        return str(status["state"]), int(status["step"])
    except (S4Error, KeyError, TypeError, ValueError):
        return "", 0
