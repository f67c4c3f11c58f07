"""What the checkpoint of a network has to hold, checked whole before a network is built from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deeplab.build import NETWORKS
from pipelines.config import TrainConfig, from_json
from pipelines.data.classes import MOST_CLASSES, ClassList
from pipelines.engine.checkpoint import damaged, load_checkpoint, named_tensors, require_fit
from pipelines.errors import ConfigError, InputError

_KINDS = {"s4net": "S4Net", "deeplab": "DeepLab"}
_ANYWHERE = {"images": "images", "annotations": "annotations.json"}  # places of a training, which no network needs
_LARGEST_SEED = 2**63 - 1  # of torch
_LARGEST_SIDE = 65535  # pixels, of a JPEG


def network_content(path: Path, kind: str) -> dict[str, Any]:
    """Read the checkpoint of a network; `model` has its tensors by name.

    Args:
        path: The file.
        kind: `s4net` or `deeplab`.

    Raises:
        InputError: The file is missing or damaged [weights-missing] [weights-damaged] [weights-unsafe], or holds
            something else [weights-kind].
    """
    content = load_checkpoint(path)
    if content.get("kind") != kind:
        raise InputError(
            f"{path}: holds {_in_words(content)}, a checkpoint of kind {kind} expected; give the run of the right "
            "training",
            "weights-kind",
        )
    named_tensors(path, content.get("model"))
    return content


def kind_of_network(path: Path) -> str:
    """Return what a checkpoint holds: `s4net` or `deeplab`.

    Raises:
        InputError: As `load_checkpoint`, or it holds neither network [weights-kind].
    """
    content = load_checkpoint(path)
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(
            f"{path}: holds {_in_words(content)}, a checkpoint of S4Net or DeepLab expected; give another run",
            "weights-kind",
        )
    return kind


def s4net_checkpoint(path: Path) -> tuple[TrainConfig, dict[str, Any]]:
    """Read the checkpoint of an S4Net.

    Args:
        path: The file.

    Returns:
        The settings of its training, and all of the checkpoint. `model` has the tensors by name. Places of the training
        are made up, as they do not matter.

    Raises:
        InputError: As `network_content`, or the settings make no network [weights-damaged].
    """
    content = network_content(path, "s4net")
    saved = content.get("config")
    if not isinstance(saved, dict) or not all(isinstance(name, str) for name in saved):
        raise damaged(path, "settings are missing")
    try:
        config = from_json(TrainConfig, {**_ANYWHERE, **saved})
    except (ConfigError, TypeError, ValueError, OverflowError) as error:
        found = error.message if isinstance(error, ConfigError) else f"settings are no settings ({error})"
        raise damaged(path, found) from error
    if config.seed > _LARGEST_SEED:
        raise damaged(path, f"seed {config.seed} is too large")
    return config, content


def deeplab_checkpoint(path: Path) -> tuple[ClassList, dict[str, Any]]:
    """Read the checkpoint of a DeepLab.

    Args:
        path: The file.

    Returns:
        Its classes, and all of the checkpoint: `network`, `multi_scale`, `longest_side` and `model` can be used.

    Raises:
        InputError: As `network_content`, or what it says of its network cannot be [weights-damaged].
    """
    content = network_content(path, "deeplab")
    network, longest_side = content.get("network"), content.get("longest_side")
    content.setdefault("multi_scale", False)  # checkpoints of before have no such key
    if not isinstance(network, str) or network not in NETWORKS:
        raise damaged(path, f"names the network {network!r}, not one of {', '.join(NETWORKS)}")
    if not isinstance(content["multi_scale"], bool):
        raise damaged(path, "multi_scale is neither true nor false")
    if type(longest_side) is not int or not 1 <= longest_side <= _LARGEST_SIDE:
        raise damaged(path, f"longest_side is {longest_side!r}, not 1 to {_LARGEST_SIDE} pixels")
    return _class_list(path, content.get("classes")), content


def require_buildable(path: Path, model: dict[str, Tensor], make: Callable[[], nn.Module]) -> None:
    """Check that tensors are those of the network that their settings name, without memory for that network.

    A file may name a network a thousand times larger than itself.

    Args:
        path: The file, for messages.
        model: Its tensors.
        make: Builds the network.

    Raises:
        InputError: The network cannot be built, or the tensors do not fit it [weights-damaged].
    """
    try:
        with torch.device("meta"):
            expected = make().state_dict()
    except ConfigError as error:
        raise damaged(path, f"names a network that cannot be built ({error.message})") from error
    require_fit(path, model, expected)


def load_weights(net: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Give a network its tensors.

    Args:
        net: Changed in place; unchanged if the tensors cannot be used.
        state: The tensors by name.
        path: The file that they come from, for the message.

    Raises:
        InputError: They do not fit the network, or are not finite [weights-damaged].
    """
    require_fit(path, state, net.state_dict())
    net.load_state_dict(state)


def _class_list(path: Path, described: Any) -> ClassList:
    """Return the classes that a checkpoint describes, see `ClassList.described`.

    Raises:
        InputError: It describes none [weights-damaged].
    """
    names = described.get("names") if isinstance(described, dict) else None
    indices = described.get("indices") if isinstance(described, dict) else None
    if not isinstance(names, list) or not isinstance(indices, list) or len(names) != len(indices):
        raise damaged(path, "classes are missing")
    right = all(isinstance(name, str) for name in names) and all(
        type(index) is int and 1 <= index <= MOST_CLASSES for index in indices
    )
    if not right or not 1 <= len(names) <= MOST_CLASSES or len(set(names)) + len(set(indices)) != 2 * len(names):
        raise damaged(path, f"its classes are no list of 1 to {MOST_CLASSES} names and numbers")
    return ClassList(tuple(names), tuple(indices))


def _in_words(content: dict[str, Any]) -> str:
    kind = content.get("kind")
    return kind if isinstance(kind, str) and kind else "no s4 network"
