"""How long a step will take: from what was measured, and in words that say where."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.chain.findings import Seen
from pipelines.chain.step import Step
from pipelines.events import Events

if TYPE_CHECKING:
    from pipelines.engine.rehearsal import Pace  # brings torch

PaceOf = Callable[[Any, Seen], "Pace | None"]
"""(settings, what the inputs show) -> how fast the stage is here. None: that cannot be measured now."""

_DAY = 86_400.0  # seconds


def estimated(pace: "Pace", pictures: int) -> dict[str, Any]:
    """Return the estimate for a number of pictures, as JSON values.

    Args:
        pace: How fast the stage is.
        pictures: The pictures that it still has to see; a training sees each many times.

    Returns:
        {seconds, per, seconds_each, count, device}: `count` units of the kind `per` take `seconds_each`.
    """
    count = pictures / pace.pictures
    return {
        "seconds": round(count * pace.seconds),
        "per": pace.unit,
        "seconds_each": round(pace.seconds, 4),
        "count": round(count),
        "device": pace.device,
    }


def tell_estimate(step: Step, estimate: dict[str, Any], events: Events) -> None:
    """Tell an estimate in one line; more than a day is a warning.

    Args:
        step: The step.
        estimate: See `estimated`.
        events: Told the line.
    """
    unit = estimate["per"] + ("" if estimate["count"] == 1 else "s")
    found = f"{estimate['count']:,} {unit} of {estimate['seconds_each']:.3g} s, measured now on {estimate['device']}"
    line = f"{step.name}: estimated to take {in_words(estimate['seconds'])} ({found})"
    if estimate["seconds"] > _DAY:
        events.warn(f"{line}; that is more than a day: {step.faster}")
    else:
        events.info(line)


def in_words(seconds: float) -> str:
    """Return `40 s`, `12 min`, `3.5 h` or `4.2 days`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"
