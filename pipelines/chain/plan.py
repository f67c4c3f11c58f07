"""What `s4 run --dry-run` says of a step: what it will do, how much, and how long that took before."""

import shutil
from math import ceil, sqrt
from pathlib import Path
from typing import Any

from pipelines.chain.checks import Findings
from pipelines.chain.decision import Decision
from pipelines.chain.state import ChainState
from pipelines.chain.steps import Step
from pipelines.config import DeepLabTrainConfig, TrainConfig
from pipelines.config.recipes import TRAIN_SCHEDULES, deeplab_recipe
from pipelines.errors import S4Error
from pipelines.files import read_json

UNKNOWN = "unknown until measured"

_BLOCK = 4096  # bytes that a file system hands out at once
# Measured on generated scenes of 128 to 430 pixels: what is stored is outlines, which grow with the side.
_LABEL_BYTES = (1000, 7.5)  # of a label map: palette and header, and for each pixel of the mean side
_CONFIDENCE_BYTES = (100, 8.0)
_RECORD_BYTES = (800, 2.0)  # of both files of instances together


def planned_record(step: Step, decision: Decision, state: ChainState, found: Findings) -> dict[str, Any]:
    """The line of a step in the plan.

    Returns:
        {stage, action "planned" or "skipped", will, pictures, steps, disk, time} in words for people, and
        {seconds 0, result {pictures, steps, disk_bytes, free_bytes, expected_seconds}} in numbers, None where unknown
        or without meaning.
    """
    pictures, steps = found.pictures.get(step.name), training_steps(step)
    sizes = found.sizes.get(step.name)
    disk = None if sizes is None or decision.action == "skip" else label_bytes(sizes)
    seconds = None if decision.action == "skip" else _expected_seconds(step, decision, state, pictures)
    known = "-" if decision.action == "skip" else UNKNOWN
    return {
        "stage": step.name,
        "action": "skipped" if decision.action == "skip" else "planned",
        "will": decision.action,
        "pictures": pictures,
        "steps": steps,
        "disk": None if disk is None else f"about {ceil(disk / 1e6)} MB",
        "time": known if seconds is None else f"about {_in_words(seconds)}",
        "seconds": 0.0,
        "result": {
            "pictures": pictures,
            "steps": steps,
            "disk_bytes": disk,
            "free_bytes": None if disk is None else _free_bytes(state.folder),
            "expected_seconds": None if seconds is None else round(seconds),
        },
    }


def training_steps(step: Step) -> int | None:
    """The optimiser steps of a training; None for other stages."""
    if isinstance(step.config, TrainConfig):
        return step.config.steps or TRAIN_SCHEDULES[step.config.preset].steps
    if isinstance(step.config, DeepLabTrainConfig):
        return step.config.steps or deeplab_recipe(step.config.network, step.config.recipe).steps
    return None


def label_bytes(sizes: list[tuple[int, int]]) -> int:
    """An estimate of the disk space of a label folder, in bytes, from the (height, width) of its pictures."""
    total = 0.0
    for height, width in sizes:
        side = sqrt(height * width)
        for fixed, each in (_LABEL_BYTES, _CONFIDENCE_BYTES):
            total += ceil((fixed + each * side) / _BLOCK) * _BLOCK
        total += _RECORD_BYTES[0] + _RECORD_BYTES[1] * side
    return round(total)


def _expected_seconds(step: Step, decision: Decision, state: ChainState, pictures: int | None) -> float | None:
    """Seconds by the rate of the same step before, or of the same stage in another round."""
    entries = [entry for name, entry in state.entries.items() if name.startswith(step.config.command)]
    own = state.entries.get(step.name)
    rates = [entry.images_per_second for entry in ([own] if own else []) + entries if entry.images_per_second]
    steps = training_steps(step)
    work = pictures if steps is None else (steps - _steps_done(step, decision)) * _batch_size(step)
    return None if not rates or work is None else work / rates[0]


def _steps_done(step: Step, decision: Decision) -> int:
    if decision.action != "resume" or step.place is None:
        return 0
    try:
        return int(read_json(step.place / "status.json")["step"])
    except (S4Error, KeyError, TypeError, ValueError):  # not begun in earnest
        return 0


def _batch_size(step: Step) -> int:
    if isinstance(step.config, TrainConfig):
        return step.config.batch_size or TRAIN_SCHEDULES[step.config.preset].batch_size
    assert isinstance(step.config, DeepLabTrainConfig)
    return step.config.batch_size or deeplab_recipe(step.config.network, step.config.recipe).batch_size


def _free_bytes(folder: Path) -> int:
    """Free space where a folder is or will be."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def _in_words(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
