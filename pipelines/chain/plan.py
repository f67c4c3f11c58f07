"""What `s4 run --dry-run` says of a step: what it will do, how much, and how long that will take."""

import shutil
from math import ceil
from pathlib import Path
from typing import Any

from pipelines.chain.decision import Decision
from pipelines.chain.findings import Seen
from pipelines.chain.state import ChainState
from pipelines.chain.step import Step

UNKNOWN = "unknown until measured"


def planned_record(step: Step, decision: Decision, state: ChainState, seen: Seen) -> dict[str, Any]:
    """Return the line of a step in the plan.

    Args:
        step: The step.
        decision: What has to be done about it.
        state: What the chain has done so far.
        seen: What the inputs of the step show.

    Returns:
        {stage, action "planned" or "skipped", will, pictures, steps, disk, time} in words for people, and
        {seconds 0, result {pictures, steps, disk_bytes, free_bytes, expected_seconds}} in numbers, None where unknown
        or without meaning.
    """
    is_due = decision.action != "skip"
    disk = step.disk_bytes(seen) if is_due else None
    seconds = _expected_seconds(step, decision, state, seen.pictures) if is_due else None
    no_time = UNKNOWN if is_due else "-"
    return {
        "stage": step.name,
        "action": "planned" if is_due else "skipped",
        "will": decision.action,
        "pictures": seen.pictures,
        "steps": step.training_steps,
        "disk": None if disk is None else f"about {ceil(disk / 1e6)} MB",
        "time": no_time if seconds is None else f"about {_in_words(seconds)}",
        "seconds": 0.0,
        "result": {
            "pictures": seen.pictures,
            "steps": step.training_steps,
            "disk_bytes": disk,
            "free_bytes": None if disk is None else _free_bytes(state.folder),
            "expected_seconds": None if seconds is None else round(seconds),
        },
    }


def _expected_seconds(step: Step, decision: Decision, state: ChainState, pictures: int | None) -> float | None:
    """Return seconds by the last rate of the step, or else by that of the same stage in another round."""
    command = step.config.command
    rounds = [entry for name, entry in state.entries.items() if name.rstrip("-0123456789") == command]
    own = state.entries.get(step.name)
    rates = [entry.images_per_second for entry in ([own] if own else []) + rounds if entry.images_per_second]
    work = step.work(pictures, resumed=decision.action == "resume")
    return None if not rates or work is None else work / rates[0]


def _free_bytes(folder: Path) -> int:
    """Return the free space where a folder is or will be."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def _in_words(seconds: float) -> str:
    """Return `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
