"""The files that `s4 evaluate` compares on a VOC list: which there must be, and what may stand in them."""

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipelines.config import EvaluateConfig
from pipelines.data.voc import image_path, read_split, truth_path
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events

_SHOWN = 5


def require_same_size(path: Path, labels: NDArray[np.uint8], truth_file: Path, truth: NDArray[np.uint8]) -> None:
    """Refuses labels [H, W] of another size than their truth [label-size]."""
    if labels.shape != truth.shape:
        sizes = "{1}x{0}".format(*labels.shape), "{1}x{0}".format(*truth.shape)
        expected = f"expected {sizes[1]} as in {truth_file}; write label maps at picture size"
        raise InputError(f"{path}: label map is {sizes[0]}, {expected}", "label-size")


def pictures_and_truths(config: EvaluateConfig) -> tuple[list[str], dict[str, Path], dict[str, Path]]:
    """The ids of the list, and by id the files of the pictures and of their true label maps.

    Raises:
        InputError: The list or one of the files is missing [split-missing] [image-missing] [truth-missing].
    """
    voc = cast(Path, config.voc)
    ids = read_split(voc, config.split)
    truths = list_truths(voc, config.split, ids)
    return ids, list_pictures(voc, ids), truths


def list_pictures(voc: Path, ids: list[str]) -> dict[str, Path]:
    """The picture files by id; all must be there [image-missing]."""
    pictures = {image_id: image_path(voc, image_id) for image_id in ids}
    require_files(pictures, "pictures of the list", "complete the data set", "image-missing")
    return pictures


def list_truths(voc: Path, split: str, ids: list[str]) -> dict[str, Path]:
    """The true label maps by id; all must be there [truth-missing]."""
    files = {image_id: truth_path(voc, image_id) for image_id in ids}
    require_files(files, f"true label maps of {split}", "evaluate on a split that has them", "truth-missing")
    return files


def require_apart(folder: Path | None, truths: dict[str, Path]) -> None:
    """Predictions must not be written over the truth they are scored against [evaluate-option]."""
    if folder is not None and folder.resolve() in {path.parent.resolve() for path in truths.values()}:
        found = "is the folder of the truth, expected one for predictions"
        raise ConfigError(f"--save-predictions: {folder} {found}; name another", "evaluate-option")


def existing(files: dict[str, Path], what: str, allow_missing: bool, events: Events) -> dict[str, Path]:
    """The files that are there; all of them, unless missing ones are allowed (then at least one)."""
    found = {image_id: path for image_id, path in files.items() if path.is_file()}
    if not found or not allow_missing:
        require_files(files, what, "make them, or leave them out with --allow-missing", "predictions-missing")
    elif len(found) < len(files):
        events.warn(f"{len(files) - len(found)} of {len(files)} {what} are missing and left out of every score")
    return found


def require_files(files: dict[str, Path], what: str, advice: str, rule: str) -> None:
    """Refuses a list of which a file is missing, with the first names.

    Args:
        files: By image id.
        what: What they are, in the plural.
        advice: What to do.
        rule: Of the error.

    Raises:
        InputError: A file is missing.
    """
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        names = ", ".join(path.name for path in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        found = f"{len(missing)} of {len(files)} {what} are missing ({names})"
        raise InputError(f"{missing[0].parent}: {found}, expected all; {advice}", rule)
