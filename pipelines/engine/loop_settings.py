"""How a training goes: its settings, its parameters, and what is checked before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pipelines.engine.resume import checkpoint_room, read_state
from pipelines.engine.run_dir import RunDir
from pipelines.engine.schedule import Schedule
from pipelines.file_errors import require_space


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How to train; every count is in optimiser steps.

    Attributes:
        steps: Steps of the whole training.
        batch_size: Pictures per step and process, for the rates shown.
        lr: Peak learning rate. Each parameter group scales it by its `lr_scale`.
        optimizer: "sgd" or "adamw".
        momentum: Momentum of SGD.
        schedule, warmup, drops: See `lr_factor`.
        clip_norm: Largest norm of the gradient. None: no limit.
        ema: Decay of the average of the weights that is evaluated and kept as best. None: the weights themselves.
        evaluate_every: Steps between evaluations. The last step is always evaluated.
        evaluate_from: Share of the steps before which nothing is evaluated.
        checkpoint_every: Steps between checkpoints. None: a tenth of the training, at most 200.
        checkpoint_at_start: Whether there is a checkpoint before the first step. A run can then be resumed without
            what it started from.
        log_every: Steps averaged in a line of metrics.jsonl.
        metric: Key of the evaluation's result that chooses the best checkpoint, the higher the better.
        seed: Seed of the run.
        precision: fp32, bf16 or auto.
        workers: Threads that prepare batches.
    """

    steps: int
    batch_size: int
    lr: float
    optimizer: str = "sgd"
    momentum: float = 0.9
    schedule: Schedule = "poly"
    warmup: int = 0
    drops: tuple[float, ...] = ()
    clip_norm: float | None = None
    ema: float | None = None
    evaluate_every: int = 1000
    evaluate_from: float = 0.0
    checkpoint_every: int | None = None
    checkpoint_at_start: bool = False
    log_every: int = 10
    metric: str = "ap50"
    seed: int = 0
    precision: str = "auto"
    workers: int = 2


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate and a weight decay."""

    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    weight_decay: float = 0.0


def new_optimizer(groups: Sequence[ParameterGroup], settings: LoopSettings) -> torch.optim.Optimizer:
    """Return the optimiser of a training."""
    parameters = [{"params": list(g.parameters), "weight_decay": g.weight_decay} for g in groups]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.lr)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum)


def require_ready(run: Path, model: nn.Module, groups: Sequence[ParameterGroup], settings: LoopSettings) -> None:
    """Check, before a run folder is touched, that its checkpoint is usable and that the disk has room for checkpoints.

    Args:
        run: The run folder; it need not exist.
        model: See `train_loop`.
        groups: See `train_loop`.
        settings: See `LoopSettings`.

    Raises:
        InputError: The folder has a checkpoint that this training cannot go on from, see `read_state`.
        MachineError: The disk has too little room [disk-full].
    """
    last, best = RunDir(run).last, RunDir(run).best
    if last.exists():
        read_state(last, model, new_optimizer(groups, settings), settings.ema is not None)
    learning = [parameter for group in groups for parameter in group.parameters]
    slots = 2 if settings.optimizer == "adamw" else 1
    there = sum(path.stat().st_size for path in (last, best) if path.is_file())
    require_space(run, checkpoint_room(model, learning, slots, settings.ema is not None) - there)
