"""Checkpoints: one file each, written atomically, with tensors and plain containers alone.

Trainings write them with torch. A network that is handed on is packed into a safetensors file, in half precision, with
all that is no tensor as JSON in its header.
"""

import hashlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from pipelines.config.usual_places import weights_file as weights_file
from pipelines.errors import InputError
from pipelines.files import atomic_write


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; a crash leaves the old file.

    Args:
        path: File to write.
        content: Tensors, numbers, texts, and lists and dictionaries of these.
    """
    atomic_write(path, lambda file: torch.save(content, file))


_HEADER = "s4"  # key of the JSON in the header of a packed checkpoint


def pack_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write the network of a checkpoint for others: weights in half precision, no state of the training.

    Numbers that half precision would change by more than rounding, such as variances of BatchNorm, stay in full.

    Args:
        content: Checkpoint of a training; `model` holds the tensors, the other entries must be JSON values.
        path: The safetensors file.
    """
    tensors = {}
    for name, tensor in content["model"].items():
        half = tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        tensors[name] = half.contiguous()
    header = {name: content[name] for name in _PACKED if name in content}
    data = save_tensors(tensors, metadata={_HEADER: json.dumps(header)})
    atomic_write(path, lambda file: file.write(data))


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Return the hash of the names, types, shapes and values of tensors; how a file stores them does not matter.

    Args:
        tensors: The tensors by name, in any order.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


_PACKED = ("kind", "config", "network", "multi_scale", "classes", "longest_side")


def _load_packed(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, a checkpoint expected; check the path", "weights-missing") from error
    except (OSError, SafetensorError, ValueError) as error:  # JSON and encodings that are broken are ValueErrors
        message = f"{path}: cannot be read as a safetensors file ({error}); copy it again or take another"
        raise InputError(message, "weights-damaged") from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: its header holds no settings, a network of s4 expected", "weights-damaged")
    model = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return {**header, "model": model}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, without running code from it.

    Args:
        path: File of a training, or a packed one (.safetensors).

    Raises:
        InputError: The file is missing [weights-missing], damaged [weights-damaged] or holds more than plain data
            [weights-unsafe].
    """
    if path.suffix == ".safetensors":
        return _load_packed(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, a checkpoint expected; check the path", "weights-missing") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: is no checkpoint, or holds more than tensors and plain data, a checkpoint written by s4 "
            "expected; take another file",
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
