"""Checkpoints: one file each, written atomically, with tensors and plain containers alone.

Trainings write them with torch. A network that is handed on is packed into a safetensors file, in half precision, with
all that is no tensor as JSON in its header.

Equal contents give equal bytes. A checkpoint holds the hashes of its parts, and reading compares them. Checkpoints
without hashes, as other programs write them, have checksums of their own in the archive.
"""

import hashlib
import json
import pickle
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from pipelines.config.usual_places import weights_file as weights_file
from pipelines.errors import InputError, S4Error
from pipelines.file_errors import require_space
from pipelines.files import atomic_write, read_json, sha256_file
from pipelines.stores.paths import local_copy

_HASHES = "s4_sha256"  # key of the hashes of the other entries
_REST = "rest"  # all entries without tensors have one hash together
_BYTES_EACH = 1024  # room for the name, the header and the alignment of a tensor in a file
_BYTES_MORE = 65536  # room for settings, figures and the archive's own parts


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint; a crash or a full disk leaves the old file.

    Args:
        path: File to write.
        content: Tensors, numbers, texts, and lists and dictionaries of these.

    Raises:
        MachineError: The disk has no room [disk-full], or the file cannot be written.
    """
    own = {name: _unshared(part) for name, part in content.items() if name != _HASHES}
    require_space(path, stored_bytes(own))
    whole = own | {_HASHES: _unshared(_hashes(own))}
    atomic_write(path, lambda file: torch.save(whole, file))


def stored_bytes(content: Any) -> int:
    """Return the bytes that a checkpoint takes on the disk: hardly less than these, and never more."""
    tensors = [leaf for _, leaf in _leaves("", content) if isinstance(leaf, Tensor)]
    return _BYTES_MORE + sum(tensor.nbytes + _BYTES_EACH for tensor in tensors)


_HEADER = "s4"  # key of the JSON in the header of a packed checkpoint
_PACKED = ("kind", "config", "network", "multi_scale", "classes", "longest_side")


def pack_checkpoint(content: Mapping[str, Any], path: Path) -> None:
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
    header[_HASHES] = _hashes({**header, "model": tensors})
    data = save_tensors(tensors, metadata={_HEADER: json.dumps(header)})
    atomic_write(path, lambda file: file.write(data))


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of the names, types, shapes and values of tensors; how a file stores them does not matter.

    Args:
        tensors: The tensors by name, in any order.
    """
    return _sha256(tensors)


def weights_sha256(path: Path) -> str:
    """Return the hash of the tensors of a network's checkpoint, see `tensors_sha256`.

    Two files have the same hash if they hold the same network, whatever else they say of its training.

    Raises:
        InputError: As `load_checkpoint`, or there are no named tensors [weights-damaged].
    """
    return tensors_sha256(named_tensors(path, load_checkpoint(path).get("model")))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, without running code from it.

    Args:
        path: File of a training, or a packed one (.safetensors).

    Returns:
        The entries. Every tensor is a plain one, no larger than what the file stores of it.

    Raises:
        InputError: The file is missing [weights-missing], damaged [weights-damaged] or holds more than plain data
            [weights-unsafe].
    """
    if not path.is_file():
        found = "is a folder, a FIFO or a device" if path.exists() else "no such file"
        raise InputError(f"{path}: {found}, a checkpoint expected; check the path", "weights-missing")
    with _readable(path) as file:
        return _checked(path, file, _load_packed(path, file) if _is_packed(path) else _load_archive(path, file))


def _is_packed(path: Path) -> bool:
    return path.suffix == ".safetensors"


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Give a file on this machine with the content of a checkpoint."""
    try:
        with local_copy(path) as file:
            yield file
    except FileNotFoundError as error:  # removed just now
        raise InputError(f"{path}: no such file, a checkpoint expected; check the path", "weights-missing") from error


def _checked(path: Path, file: Path, content: Any) -> dict[str, Any]:
    """Return the content of a checkpoint, whose hashes are compared.

    Raises:
        InputError: It is damaged, or no checkpoint [weights-damaged].
    """
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise damaged(path, f"holds a {type(content).__name__} without names")
    try:
        _require_plain(content)
        written = content.pop(_HASHES, None)
        changed = [] if written is None else _changed(written, _hashes(content))
    except (TypeError, ValueError, RuntimeError) as error:  # a RecursionError of cyclic data is a RuntimeError
        raise damaged(path, f"holds more than tensors and plain data ({_first_line(error)})") from error
    if changed:
        raise damaged(path, f"{changed[0]} is not what was saved (its SHA-256 differs)")
    if written is None and not _is_packed(path):
        _require_checksums(path, file)
    if _is_packed(path) and "model" in content:
        model = content["model"]
        content["model"] = {name: each.float() if each.is_floating_point() else each for name, each in model.items()}
    return content


def damaged(path: Path, found: str) -> InputError:
    """Return the error of a file whose content cannot be used."""
    return InputError(f"{path}: {found}, a checkpoint of s4 expected; copy it again or take another", "weights-damaged")


def named_tensors(path: Path, part: Any) -> dict[str, Tensor]:
    """Return a part of a checkpoint that has to hold tensors by name.

    Raises:
        InputError: It does not [weights-damaged].
    """
    if not isinstance(part, dict) or not part:
        raise damaged(path, "tensors are missing")
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in part.items()):
        raise damaged(path, "not all of its tensors are named tensors")
    return part


def require_fit(path: Path, part: Any, expected: Mapping[str, Tensor]) -> None:
    """Check tensors of a checkpoint before a network takes them.

    Args:
        path: The file, for messages.
        part: What it holds.
        expected: The tensors of the network by name; their values do not matter.

    Raises:
        InputError: Names, shapes or kinds of numbers differ, or numbers are not finite [weights-damaged].
    """
    tensors = named_tensors(path, part)
    for name, own in expected.items():
        if name not in tensors:
            raise damaged(path, f"does not fit the network it names ({name} is missing)")
        shape, other = tuple(own.shape), tuple(tensors[name].shape)
        if shape != other:
            raise damaged(path, f"does not fit the network it names ({name} has shape {other}, not {shape})")
        if own.is_floating_point() != tensors[name].is_floating_point() or tensors[name].is_complex():
            raise damaged(path, f"{name} holds numbers of type {tensors[name].dtype}, not {own.dtype}")
    strange = next((name for name in tensors if name not in expected), None)
    if strange is not None:
        raise damaged(path, f"does not fit the network it names ({strange} is no part of it)")
    require_finite(path, tensors)


def require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that all numbers are finite, also as the float32 that networks and optimisers take them for.

    Raises:
        InputError: Some are not [weights-damaged].
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise damaged(path, f"{name} holds numbers that are not finite as float32")


def _load_archive(path: Path, file: Path) -> Any:
    try:
        _require_bounded(file)
        with warnings.catch_warnings():  # torch's own name no file; what is wrong with the content is told below
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: is no checkpoint, or holds more than tensors and plain data, a checkpoint written by s4 "
            "expected; take another file",
            "weights-unsafe",
        ) from error
    except Exception as error:  # damaged bytes lead torch to errors of every kind
        raise damaged(path, f"cannot be read as a checkpoint ({_first_line(error)})") from error


def _load_packed(path: Path, file: Path) -> dict[str, Any]:
    _require_recorded(path, file)
    try:
        with safe_open(file, framework="pt") as opened:
            header = json.loads((opened.metadata() or {}).get(_HEADER, "{}"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    except Exception as error:  # the reader's own errors, those of JSON, and those of types that torch does not know
        raise damaged(path, f"cannot be read as a safetensors file ({_first_line(error)})") from error
    if not isinstance(header, dict):
        raise damaged(path, "its header holds no settings")
    return {**header, "model": tensors}


def _require_recorded(path: Path, file: Path) -> None:
    """Compare a packed network with the record that lies beside it, if there is one.

    Raises:
        InputError: The record names another hash [weights-damaged].
    """
    record = path.with_suffix(".json")
    try:
        content = read_json(record) if record.is_file() else None
    except S4Error:
        return  # a file of another program
    expected = content.get("sha256") if isinstance(content, dict) else None
    if isinstance(expected, str) and sha256_file(file) != expected:
        raise damaged(path, f"is not the file that {record.name} describes (its SHA-256 differs)")


def _require_bounded(path: Path) -> None:
    """Check that an archive says nothing larger than itself: torch would take the memory.

    Raises:
        ValueError: It does.
    """
    if not zipfile.is_zipfile(path):
        return  # torch's older format, or no checkpoint
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is compressed")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ValueError("its parts are larger than the file")


def _require_checksums(path: Path, file: Path) -> None:
    """Compare the parts of an archive with the checksums in it. torch writes them, and does not read them.

    Raises:
        InputError: A checksum differs [weights-damaged].
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except Exception as error:  # local headers that contradict the directory
        raise damaged(path, f"cannot be read as a checkpoint ({_first_line(error)})") from error
    if bad is not None:
        raise damaged(path, f"the checksum of {bad} differs")


def _require_plain(content: Any) -> None:
    """Check that tensors are plain ones, no larger than what is stored: a view can repeat a number without end.

    Raises:
        ValueError: A tensor is not.
    """
    for name, leaf in _leaves("", content):
        if isinstance(leaf, Tensor):
            is_plain = leaf.layout == torch.strided and leaf.device.type == "cpu" and not leaf.is_quantized
            if not is_plain or leaf.nbytes > leaf.untyped_storage().nbytes():
                raise ValueError(f"{name} is no plain tensor")


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of everything in nested containers; an empty container counts as a value."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, list | tuple) and value:
        for number, part in enumerate(value):
            yield from _leaves(f"{name}.{number}", part)
    else:
        yield name, value


def _sha256(part: Any) -> str:
    """Return the hash of all values in nested containers, with their names."""
    digest = hashlib.sha256()
    for name, leaf in sorted(_leaves("", part), key=lambda pair: pair[0]):
        if isinstance(leaf, Tensor):
            tensor = leaf.detach().cpu().contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(f"{name} {json.dumps(leaf)}\n".encode())
    return digest.hexdigest()


def _hashes(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of each entry that holds tensors, and one of all other entries together."""
    large = {name for name, part in content.items() if any(isinstance(leaf, Tensor) for _, leaf in _leaves("", part))}
    rest = {name: part for name, part in content.items() if name not in large}
    return {name: _sha256(content[name]) for name in sorted(large)} | {_REST: _sha256(rest)}


def _changed(written: Any, found: dict[str, str]) -> list[str]:
    """Return the names of the parts whose hashes differ."""
    if not isinstance(written, dict):
        return [_HASHES]
    return [name for name in sorted({*written, *found}, key=str) if written.get(name) != found.get(name)]


def _unshared(value: Any) -> Any:
    """Return the same value as objects of its own, on the CPU.

    Pickle writes an object that it has met before as a reference. Which objects are the same depends on whether a
    training was resumed, and would show in the bytes.
    """
    if isinstance(value, Tensor):
        tensor = value.detach().cpu()
        return tensor if tensor.nbytes == tensor.untyped_storage().nbytes() else tensor.clone()
    if isinstance(value, Mapping):
        return {_unshared(key): _unshared(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_unshared(part) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, str):
        return sys.intern(str(value))
    return value.item() if hasattr(value, "item") else value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "empty file"
