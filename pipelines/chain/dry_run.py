"""A dry run: all faults of the inputs, the weights, the room on the disk, and the time that a stage will take.

A dry run ends as the work itself would end, as far as the inputs decide it. Faults with which a stage ends are its
error. Pictures that a stage would leave out are listed, and count as failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.chain.checks import check_steps
from pipelines.chain.estimate import PaceOf, estimated, tell_estimate
from pipelines.chain.findings import Fault, Findings, Seen
from pipelines.chain.step import Step
from pipelines.config import StageConfig
from pipelines.errors import MachineError, S4Error, raise_all
from pipelines.events import Events
from pipelines.file_errors import free_bytes


class Listener(Events):
    """Events that pass everything on, and keep the warnings.

    Attributes:
        warnings: The warnings so far.
    """

    def __init__(self, events: Events, quiet: bool = False) -> None:
        """Take the events to pass on to.

        Args:
            events: Receives every line.
            quiet: Whether to keep the warnings alone, and pass nothing on.
        """
        super().__init__(events.stream)
        self._events, self._quiet = events, quiet
        self.warnings: list[str] = []

    def info(self, message: str) -> None:
        """Pass on a line."""
        if not self._quiet:
            self._events.info(message)

    def warn(self, message: str) -> None:
        """Keep a warning, and pass it on."""
        self.warnings.append(message)
        if not self._quiet:
            self._events.warn(message)


@dataclass(frozen=True)
class Look:
    """What a thorough look at the inputs of steps has found; nothing that would end a stage.

    Attributes:
        findings: Faults, weights, and what the inputs show.
        warnings: What the readers of the inputs leave out, a line for each kind.
    """

    findings: Findings
    warnings: list[str]

    def found(self) -> dict[str, Any]:
        """Return {faults, weights} as JSON values, and `failed` where pictures would be left out.

        A fault is {stage, rule, message}. One of the rule `left-out` is a warning about files, and not counted.
        """
        faults = [
            {"stage": fault.step, "rule": fault.error.rule, "message": fault.error.message}
            for fault in self.findings.faults
        ]
        failed = len(faults)
        faults += [{"stage": "", "rule": "left-out", "message": line} for line in self.warnings]
        weights = list({tuple(line.values()): line for line in self.findings.weights}.values())
        return {"faults": faults, "weights": weights, **({"failed": failed} if failed else {})}


def look_at(steps: Sequence[Step], events: Events, quiet: bool = False) -> Look:
    """Look at all inputs of steps, and decode every picture.

    Args:
        steps: The steps.
        events: Receives remarks that are no faults.
        quiet: Whether the caller tells these remarks itself.

    Raises:
        S4Error: A stage would end with it. The error tells all others too.
    """
    listener = Listener(events, quiet)
    findings = check_steps(steps, listener, thorough=True)
    findings.faults += [fault for step in steps if (fault := _room_fault(step, findings.seen[step.name])) is not None]
    if findings.unbearable:
        # The exit code is that of the first. Wrong inputs come first, then the machine, then what could be left out.
        in_order = sorted(findings.faults, key=lambda one: (one.bearable, isinstance(one.error, MachineError)))
        raise_all([_of_step(fault, len(steps) > 1) for fault in in_order])
    return Look(findings, listener.warnings)


def _of_step(fault: Fault, named: bool) -> S4Error:
    """Return the error of a fault; of several steps, the message names the step."""
    error = fault.error
    return type(error)(f"{fault.step}: {error.message}", error.rule) if named else error


def _room_fault(step: Step, seen: Seen) -> Fault | None:
    needed = step.disk_bytes(seen)
    free = None if step.place is None else free_bytes(step.place)
    if needed is None or free is None or needed <= free:
        return None
    found = f"{step.place}: {free / 1e6:.0f} MB are free, about {needed / 1e6:.0f} MB expected"
    return Fault(step.name, MachineError(f"{found}; make room or choose another folder", "disk-full"))


def dry_run(step: Step, look: Look, pictures: int | None, pace_of: PaceOf, events: Events) -> dict[str, Any]:
    """Return what a dry run of a single stage tells.

    Args:
        step: The stage.
        look: What was found in its inputs.
        pictures: The pictures that it still has to see.
        pace_of: Measures the stage.
        events: Told the estimate.

    Returns:
        {faults, weights, disk {needed_bytes, free_bytes}, estimate}; see `Look.found` and `estimated`. The estimate is
        None where nothing can be measured.
    """
    seen = look.findings.seen[step.name]
    place = step.place or Path()
    result = {**look.found(), "disk": {"needed_bytes": step.disk_bytes(seen), "free_bytes": free_bytes(place)}}
    return {**result, "estimate": measured(step, seen, pictures, pace_of, events)}


def measured(
    step: Step, seen: Seen, pictures: int | None, pace_of: PaceOf | None, events: Events
) -> dict[str, Any] | None:
    """Measure a stage and tell its estimate.

    Args:
        step: The stage.
        seen: What its inputs show.
        pictures: The pictures that it still has to see.
        pace_of: Measures the stage; None where nobody can.
        events: Told the estimate.

    Returns:
        See `estimated`; None where nothing can be measured.
    """
    config: StageConfig | None = step.config_to_try(seen)
    if not pictures or pace_of is None or config is None:
        return None
    pace = pace_of(config, seen)
    if pace is None:
        return None
    estimate = estimated(pace, pictures)
    tell_estimate(step, estimate, events)
    return estimate
