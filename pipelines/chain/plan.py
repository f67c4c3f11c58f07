"""What `s4 run --dry-run` says of a step: what it will do, how much, and how long that will take."""

from math import ceil
from typing import Any

from pipelines.chain.decision import Decision
from pipelines.chain.estimate import in_words
from pipelines.chain.findings import Seen
from pipelines.chain.state import ChainState
from pipelines.chain.step import Step
from pipelines.file_errors import free_bytes

UNKNOWN = "unknown until measured"


def planned_record(
    step: Step, decision: Decision, state: ChainState, seen: Seen, estimate: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the line of a step in the plan.

    Args:
        step: The step.
        decision: What has to be done about it.
        state: What the chain has done so far.
        seen: What the inputs of the step show.
        estimate: What was measured now, see `pipelines.chain.estimate`; None where an earlier run tells the time.

    Returns:
        {stage, action "planned" or "skipped", will, pictures, steps, disk, time} in words for people, and
        {seconds 0, result {pictures, steps, disk_bytes, free_bytes, expected_seconds, estimate}} in numbers, None
        where unknown or without meaning.
    """
    is_due = decision.action != "skip"
    disk = step.disk_bytes(seen) if is_due else None
    seconds = expected_seconds(step, decision, state, seen.pictures) if is_due else None
    if seconds is None and estimate is not None:
        seconds = estimate["seconds"]
    no_time = UNKNOWN if is_due else "-"
    return {
        "stage": step.name,
        "action": "planned" if is_due else "skipped",
        "will": decision.action,
        "pictures": seen.pictures,
        "steps": step.training_steps,
        "disk": None if disk is None else f"about {ceil(disk / 1e6)} MB",
        "time": no_time if seconds is None else f"about {in_words(seconds)}",
        "seconds": 0.0,
        "result": {
            "pictures": seen.pictures,
            "steps": step.training_steps,
            "disk_bytes": disk,
            "free_bytes": None if disk is None else free_bytes(state.folder),
            "expected_seconds": None if seconds is None else round(seconds),
            "estimate": estimate,
        },
    }


def expected_seconds(step: Step, decision: Decision, state: ChainState, pictures: int | None) -> float | None:
    """Return seconds by the last rate of the step, or else by that of the same stage in another round."""
    command = step.config.command
    rounds = [entry for name, entry in state.entries.items() if name.rstrip("-0123456789") == command]
    own = state.entries.get(step.name)
    rates = [entry.images_per_second for entry in ([own] if own else []) + rounds if entry.images_per_second]
    work = step.work(pictures, resumed=decision.action == "resume")
    return None if not rates or work is None else work / rates[0]
