"""Checkpoints: one file each, written atomically, with tensors and plain containers alone."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from pipelines.errors import InputError
from pipelines.files import atomic_write


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; a crash leaves the old file.

    Args:
        path: File to write.
        content: Tensors, numbers, texts, and lists and dictionaries of these.
    """
    atomic_write(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, without running code from it.

    Raises:
        InputError: The file is missing [weights-missing], damaged [weights-damaged] or holds more than plain data
            [weights-unsafe].
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, a checkpoint expected; check the path", "weights-missing") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a file of tensors alone ({str(error).splitlines()[0]}); take a checkpoint written by s4",
            "weights-unsafe",
        ) from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, LookupError) as error:
        raise InputError(
            f"{path}: cannot be read as a checkpoint ({str(error).splitlines()[0] if str(error) else 'empty file'}); "
            "copy it again or take another",
            "weights-damaged",
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, a checkpoint expected", "weights-damaged")
    return content


def weights_file(weights: Path) -> Path:
    """Return the checkpoint that `--weights` means: the best one of a run folder, or the file itself.

    Raises:
        InputError: There is no such file, or the run has no checkpoint yet [weights-missing].
    """
    if not weights.is_dir():
        if not weights.exists():
            raise InputError(f"{weights}: not found, a run folder or a checkpoint expected", "weights-missing")
        return weights
    for name in ("best.pt", "last.pt"):
        if (weights / "checkpoints" / name).is_file():
            return weights / "checkpoints" / name
    raise InputError(
        f"{weights}: no checkpoints/best.pt in this folder, a run folder expected; train it first", "weights-missing"
    )
