"""Where a command writes, and looks for what was left out, unless the user names another place."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.config.setting import Tell
from pipelines.errors import ConfigError, InputError
from pipelines.files import read_json, write_json
from pipelines.regular_files import require_regular
from pipelines.stores.paths import to_path

RUNS = Path("runs")
S4NET_RUN = RUNS / "s4net"
DEEPLAB_RUN = RUNS / "deeplab"
LABELS = Path("labels")
PREDICTIONS = Path("predictions")
BUILTIN = "builtin"
"""The word for the salient-instance network that ships, where a run or a checkpoint may be named."""

_BUILTIN_FILE = Path(__file__).parent.parent / "networks" / "s4net-lite0.safetensors"
_PICTURES = "pictures.json"
_LAST = "last.pt"


def builtin_file() -> Path | None:
    """Return the file of the network that ships; None if this installation has none."""
    return _BUILTIN_FILE if _BUILTIN_FILE.is_file() else None


def weights_file(weights: Path) -> Path:
    """Return the checkpoint that `--weights` means: the best one of a run folder, the file itself, or what ships.

    A run that was stopped before its first evaluation has no best checkpoint. Its last one is taken then.

    Raises:
        InputError: There is no such file, or the run has no checkpoint yet [weights-missing].
    """
    if str(weights) == BUILTIN:
        shipped = builtin_file()
        if shipped is None:
            message = f"{weights}: this installation has no such network, a run folder or a checkpoint expected"
            raise InputError(f"{message}; train one with s4 train", "weights-missing")
        return shipped
    if not weights.is_dir():
        if not weights.exists():
            raise InputError(f"{weights}: not found, a run folder or a checkpoint expected", "weights-missing")
        require_regular(weights)
        return weights
    found = _checkpoint(weights)
    if found is None:
        raise InputError(
            f"{weights}: no checkpoints/best.pt or last.pt in this folder, a run folder expected; train it first",
            "weights-missing",
        )
    return found


def _checkpoint(run: Path) -> Path | None:
    """Return the best checkpoint of a run folder, or else the last one."""
    paths = (run / "checkpoints" / name for name in ("best.pt", _LAST))
    return next((path for path in paths if path.is_file()), None)


def has_last_alone(weights: Path) -> bool:
    """Return whether a network is a run folder with a last checkpoint and no best one."""
    found = _checkpoint(weights) if weights.is_dir() else None
    return found is not None and found.name == _LAST


def salient_network(flag: str, example: str, tell: Tell) -> Path:
    """Return the salient-instance network for a command that was given none: that of `runs/s4net`, or what ships.

    Args:
        flag: The flag that names a network.
        example: A command line that would work.
        tell: Receives the name of the network.

    Raises:
        ConfigError: There is neither [setting-missing].
    """
    if _checkpoint(S4NET_RUN) is None and builtin_file() is not None:
        tell(f"{flag}: not given, so the network that ships is taken ({BUILTIN})")
        return Path(BUILTIN)
    return usual_run(S4NET_RUN, "s4 train", flag, example, tell)


def usual_run(run: Path, maker: str, flag: str, example: str, tell: Tell) -> Path:
    """Return the usual run folder of a training, for a command that was given no network.

    Args:
        run: The folder.
        maker: The command that makes it.
        flag: The flag that names a network.
        example: A command line that would work.
        tell: Receives the name of the folder.

    Raises:
        ConfigError: There is no network in the folder [setting-missing].
    """
    if _checkpoint(run) is None:
        message = f"{flag}: not given, and no network in {run.as_posix()}, a run of {maker} expected"
        raise ConfigError(f"{message}; train one, or name one as in: {example}", "setting-missing")
    tell(f"{flag}: not given, so {run.as_posix()} is taken")
    return run


def newest_network(flag: str, example: str, tell: Tell) -> Path:
    """Return the run in `runs` with the newest checkpoint; the salient-instance network that ships if there is none.

    The arguments and errors are those of `salient_network`.
    """
    newest = max(_trained_runs(), default=None)
    if newest is None:
        return salient_network(flag, example, tell)
    tell(f"{flag}: not given, so the newest run is taken ({newest[1].as_posix()})")
    return newest[1]


def _trained_runs() -> Iterator[tuple[float, Path]]:
    """Yield the time of the newest checkpoint and the folder of every run that has one."""
    for run in sorted(RUNS.iterdir()) if RUNS.is_dir() else ():
        checkpoint = _checkpoint(run)
        if checkpoint is not None:
            yield checkpoint.stat().st_mtime, run


def record_pictures(labels: Path, images: Sequence[Path]) -> None:
    """Note in a label folder in which folders its pictures lie.

    The note is a file of its own: the labels and their manifest stay the same wherever the pictures are.
    """
    places = [folder.absolute() for folder in images]
    write_json(labels / _PICTURES, {"images": places if len(places) > 1 else places[0]})


def recorded_pictures(labels: Path) -> tuple[Path, ...] | None:
    """Return the folders of the pictures that a label folder was made from; None if that is not noted.

    Raises:
        InputError: The note is damaged [json-damaged].
    """
    note = labels / _PICTURES
    content = read_json(note) if note.is_file() else None
    images = content.get("images") if isinstance(content, dict) else None
    places = images if isinstance(images, list) else [images]
    return tuple(map(to_path, places)) if places and all(isinstance(place, str) for place in places) else None


def pictures_of_labels(labels: Path, example: str, tell: Tell) -> tuple[Path, ...]:
    """Return the folders and tars that a label folder was made from, for a command that was given none.

    Args:
        labels: The label folder.
        example: A line that would work, for messages.
        tell: Told what is taken.

    Raises:
        ConfigError: The label folder does not say where they are, or they are there no more [setting-missing].
    """
    images = recorded_pictures(labels)
    if images is None:
        message = f"--images: not given, and {labels} does not say where its pictures lie, a folder expected"
        raise ConfigError(f"{message}; name it, as in: {example}", "setting-missing")
    gone = [place for place in images if not place.exists()]
    if gone:
        message = f"--images: not given, and the pictures of {labels} are no longer in {gone[0]}"
        raise ConfigError(f"{message}, a folder expected; name it, as in: {example}", "setting-missing")
    tell(f"--images: not given, so the pictures of {labels} are taken ({', '.join(map(str, images))})")
    return images
