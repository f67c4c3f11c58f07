"""What a training goes on from: its last checkpoint, looked at whole before anything is taken from it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.engine.checkpoint import damaged, load_checkpoint, require_finite, require_fit, stored_bytes
from pipelines.errors import ConfigError
from pipelines.files import sha256_lines

DATA = "data"
"""Key of a checkpoint's entry that tells what it learned from, see `described_data`."""
_CORRECTIONS = "corrections"
_COUNTS = ("step", "window_steps")
_FIGURES = ("window", "losses")


def read_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, averaged: bool) -> dict[str, Any]:
    """Read the checkpoint that a training goes on from.

    Args:
        path: The file.
        model: Network of the training.
        optimizer: Its optimiser.
        averaged: Whether the training keeps an average of the weights.

    Returns:
        model, average, optimizer: Tensors that fit; `average` is None without an average.
        step, window_steps, window, losses, best: What the training counted and measured.

    Raises:
        InputError: The file is missing or damaged, or is that of another training [weights-missing] [weights-damaged]
            [weights-unsafe].
    """
    state = load_checkpoint(path)
    require_fit(path, state.get("model"), model.state_dict())
    if averaged:
        require_fit(path, state.get("average"), dict(model.named_parameters()))
    _require_optimizer(path, state.get("optimizer"), optimizer)
    for name in _COUNTS:
        if not _is_count(state.get(name)):
            raise damaged(path, f"{name} is no count")
    for name in _FIGURES:
        figures = state.get(name)
        if not isinstance(figures, dict) or not all(map(_is_number, figures.values())):
            raise damaged(path, f"{name} holds no figures")
    best = state.get("best")
    if not isinstance(best, dict) or set(best) != {"metric", "value", "step"} or not _is_count(best["step"]):
        raise damaged(path, "best is no score")
    if not (best["value"] is None or _is_number(best["value"])):
        raise damaged(path, "best is no score")
    return state


def described_data(image_ids: Sequence[str], *facts: str, corrections: str | None = None) -> dict[str, Any]:
    """Return what a checkpoint says of the data of its training.

    Args:
        image_ids: The pictures in their order, which decides what is drawn at each step.
        facts: What else distinguishes the data, such as the hash of an annotation file.
        corrections: Hash of what people corrected in the data; None for nothing.

    Returns:
        pictures: Their number.
        sha256: Hash of the image ids and the facts.
        corrections: As given, if there are any.
    """
    described = {"pictures": len(image_ids), "sha256": sha256_lines([*facts, *image_ids])}
    return described if corrections is None else {**described, _CORRECTIONS: corrections}


def require_same_data(path: Path, before: Any, now: Any) -> None:
    """Refuse to go on with other data: the run would be that of neither.

    Args:
        path: The checkpoint, for the message.
        before: What the checkpoint says of its data. None: nothing, as in older ones.
        now: The same of the data at hand.

    Raises:
        ConfigError: The two differ [resume-differs].
    """
    if isinstance(before, dict) and before != now and _without_corrections(before) == _without_corrections(now):
        message = f"{path}: labels with other corrections given, those expected with which the run was begun"
        raise ConfigError(f"{message}; start a new run on the labels as they are now", "resume-differs")
    if before is not None and before != now:
        message = f"{path}: {_in_words(now)} given, {_in_words(before)} expected, with which the run was begun"
        raise ConfigError(f"{message}; bring these back, or start a new run", "resume-differs")


def _without_corrections(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != _CORRECTIONS}


def _in_words(data: Any) -> str:
    if not isinstance(data, dict):
        return "data without a description"
    return f"{data.get('pictures')} pictures with the hash {str(data.get('sha256'))[:12]}"


def checkpoint_room(model: nn.Module, learning: Iterable[nn.Parameter], slots: int, averaged: bool) -> int:
    """Return the most bytes that the checkpoints of a training take at a time.

    These are `last.pt`, its successor that is being written, and `best.pt`.

    Args:
        model: The network; tensors without memory of their own (device `meta`) count as well.
        learning: The parameters that learn.
        slots: Numbers that the optimiser keeps of each: 1 for SGD with momentum, 2 for Adam.
        averaged: Whether an average of the weights is kept.
    """
    own, kept = model.state_dict(), [parameter for parameter in learning if parameter.requires_grad]
    average = dict(model.named_parameters()) if averaged else {}
    last = stored_bytes([own, average, [kept] * slots])
    return 2 * last + stored_bytes(own)


def _require_optimizer(path: Path, saved: Any, optimizer: torch.optim.Optimizer) -> None:
    """Check the state of an optimiser.

    Raises:
        InputError: It is that of other parameters [weights-damaged].
    """
    own = optimizer.state_dict()["param_groups"]
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    if not isinstance(groups, list) or len(groups) != len(own):
        raise damaged(path, "the optimiser has no groups of these parameters")
    for one, other in zip(own, groups, strict=True):
        alike = isinstance(other, dict) and set(other) == set(one) and other["params"] == one["params"]
        if not alike or any(type(other[name]) is not type(value) for name, value in one.items()):
            raise damaged(path, "the optimiser has no groups of these parameters")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = saved.get("state")
    if not isinstance(states, dict) or not set(states) <= set(range(len(parameters))):
        raise damaged(path, "the optimiser knows other parameters")
    for number, state in states.items():
        _require_slots(path, state, parameters[number])


def _require_slots(path: Path, state: Any, parameter: Tensor) -> None:
    """Check what an optimiser keeps of one parameter."""
    if not isinstance(state, Mapping):
        raise damaged(path, "the optimiser knows nothing of a parameter")
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    strange = [name for name, value in state.items() if not (value is None or isinstance(value, Tensor))]
    if strange or any(value.ndim and value.shape != parameter.shape for value in tensors.values()):
        raise damaged(path, "the optimiser knows a parameter of another shape")
    require_finite(path, tensors)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
