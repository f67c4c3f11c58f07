"""What has to be done about a step: nothing, going on, or doing it anew in a fresh folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.chain.fingerprints import fingerprint
from pipelines.chain.state import ChainState, Entry
from pipelines.chain.step import Step
from pipelines.errors import S4Error

Action = Literal["run", "resume", "skip", "redo"]


@dataclass(frozen=True)
class Decision:
    """What has to be done about a step.

    Attributes:
        action: `run` for the first time, `resume` what was interrupted, `skip`, or `redo` in a fresh folder.
        fingerprint: The fingerprint of the step now; empty while some of its inputs are missing.
        fault: Why there is no fingerprint; None where only earlier steps have to be done first.
    """

    action: Action
    fingerprint: str = ""
    fault: S4Error | None = None


def decide(step: Step, state: ChainState) -> Decision:
    """Return what has to be done about a step whose inputs are all there.

    Raises:
        ConfigError: Its folder holds something that the chain has not made [run-foreign].
        S4Error: An input cannot be read.
    """
    now, entry, place_exists = fingerprint(step), _entry(step, state), _place_exists(step)
    if entry is None:
        if place_exists:
            step.refuse_foreign()
        return Decision("resume" if place_exists else "run", now)
    if entry.fingerprint != now:
        return Decision("redo" if place_exists or step.place is None else "run", now)
    if entry.done and step.is_complete(entry.result):
        return Decision("skip", now)
    return Decision("resume" if place_exists else "run", now)


def decide_all(steps: list[Step], state: ChainState) -> dict[str, Decision]:
    """Return by name what would be done about every step, without doing it.

    If a step has to be done, all steps that take its result have to be done as well: their inputs are not there yet.

    Raises:
        ConfigError: A folder holds something that the chain has not made [run-foreign].
    """
    decisions: dict[str, Decision] = {}
    for step in steps:
        if any(decisions[earlier.name].action != "skip" for earlier in step.after):
            entry, place_exists = _entry(step, state), _place_exists(step)
            if entry is None and place_exists:
                step.refuse_foreign()
            decisions[step.name] = Decision("redo" if entry and (entry.done or place_exists) else "run")
            continue
        try:
            decisions[step.name] = decide(step, state)
        except S4Error as error:
            if error.rule == "run-foreign":
                raise
            decisions[step.name] = Decision("run", fault=error)
    return decisions


def move_aside(place: Path) -> Path:
    """Rename a folder to the first free of `<name>.old-1`, `<name>.old-2`, ..., and return its new name."""
    number = 1
    while (old := place.with_name(f"{place.name}.old-{number}")).exists():
        number += 1
    place.rename(old)
    return old


def _entry(step: Step, state: ChainState) -> Entry | None:
    """Return the step's entry, unless the entry is about another folder."""
    entry = state.entries.get(step.name)
    return entry if entry is not None and entry.place == state.place(step.place) else None


def _place_exists(step: Step) -> bool:
    return step.place is not None and step.place.exists()
