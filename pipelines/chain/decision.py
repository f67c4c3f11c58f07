"""What is to be done about a step: nothing, go on, or do it anew in a fresh folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.chain.fingerprints import fingerprint
from pipelines.chain.state import ChainState, Entry
from pipelines.chain.steps import Step
from pipelines.config import DeepLabTrainConfig, EvaluateConfig, PseudoLabelConfig
from pipelines.errors import ConfigError, S4Error
from pipelines.files import read_json

Action = Literal["run", "resume", "skip", "redo"]


@dataclass(frozen=True)
class Decision:
    """What is to be done about a step.

    Attributes:
        action: `run` for the first time, `resume` what was interrupted, `skip`, or `redo` in a fresh folder.
        fingerprint: Of the step as it is now; empty while its inputs are not all there.
        fault: Why there is no fingerprint, if not for want of earlier steps.
    """

    action: Action
    fingerprint: str = ""
    fault: S4Error | None = None


def decide(step: Step, state: ChainState) -> Decision:
    """What is to be done about a step whose inputs are all there.

    Raises:
        ConfigError: Its run folder holds a run that the chain has not made [run-foreign].
        S4Error: An input cannot be read.
    """
    now, entry = fingerprint(step), _entry(step, state)
    there = step.place is not None and step.place.exists()
    if entry is None:
        if there and not isinstance(step.config, PseudoLabelConfig):
            _refuse_foreign(step)
        return Decision("resume" if there else "run", now)  # a label folder checks for itself what it was made with
    if entry.fingerprint != now:
        return Decision("redo" if there or step.place is None else "run", now)
    if entry.done and _is_complete(step, entry):
        return Decision("skip", now)
    return Decision("resume" if there else "run", now)


def decide_all(steps: list[Step], state: ChainState) -> dict[str, Decision]:
    """What would be done about every step, by name, without doing any of it.

    A step behind one that is to be done is to be done as well: what it will get is not there yet.

    Raises:
        ConfigError: A run folder holds a run that the chain has not made [run-foreign].
    """
    decisions: dict[str, Decision] = {}
    for step in steps:
        if any(decisions[name].action != "skip" for name in step.after):
            entry, there = _entry(step, state), step.place is not None and step.place.exists()
            if entry is None and there and not isinstance(step.config, PseudoLabelConfig):
                _refuse_foreign(step)
            decisions[step.name] = Decision("redo" if entry and (entry.done or there) else "run")
            continue
        try:
            decisions[step.name] = decide(step, state)
        except S4Error as error:
            if error.rule == "run-foreign":
                raise
            decisions[step.name] = Decision("run", fault=error)
    return decisions


def move_aside(place: Path) -> Path:
    """Renames a folder to the first free of `<name>.old-1`, `<name>.old-2`, ...; returns its new name."""
    number = 1
    while (old := place.with_name(f"{place.name}.old-{number}")).exists():
        number += 1
    place.rename(old)
    return old


def _entry(step: Step, state: ChainState) -> Entry | None:
    """The step's entry, unless it is about another folder."""
    entry = state.entries.get(step.name)
    return entry if entry is not None and entry.place == state.place(step.place) else None


def _refuse_foreign(step: Step) -> None:
    assert step.place is not None
    if (step.place / "config.json").exists():
        stage = "evaluate.weights" if isinstance(step.config, DeepLabTrainConfig) else "pseudo-label.weights"
        message = f"{step.place}: holds a run that this chain has not made, a new folder expected"
        advice = f"rename it, or leave out [{step.config.command}] and name it as {stage}"
        raise ConfigError(f"{message}; {advice}", "run-foreign")


def _is_complete(step: Step, entry: Entry) -> bool:
    """Whether what a finished step made is still in its place."""
    place, config = step.place, step.config
    if isinstance(config, PseudoLabelConfig):
        return _labels_are_complete(config) and not (config.retry_failed and entry.result.get("failed"))
    if place is None:
        assert isinstance(config, EvaluateConfig)
        return config.save_predictions is None or config.save_predictions.is_dir()
    return (place / "checkpoints" / "best.pt").is_file()


def _labels_are_complete(config: PseudoLabelConfig) -> bool:
    if not (config.out / "manifest.json").is_file():
        return False
    counts: dict[str, int] = read_json(config.out / "manifest.json").get("counts", {})
    labels = sum(1 for _ in (config.out / "labels").rglob("*.png"))
    return labels >= counts.get("labelled", 0) + counts.get("empty", 0)
