"""What both trainings of the chain have in common: a run folder, which a stopped training goes on in."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pipelines.chain.dry_run import dry_run, look_at
from pipelines.chain.estimate import PaceOf
from pipelines.chain.findings import Seen
from pipelines.chain.step import Step
from pipelines.config import DeepLabTrainConfig, StageConfig, TrainConfig
from pipelines.config.paths import goes_on
from pipelines.errors import ConfigError, S4Error
from pipelines.events import Events
from pipelines.files import read_json
from pipelines.journal import Journal


@dataclass(frozen=True)
class TrainingStep(Step):
    """A stage that trains a network in a run folder.

    Attributes:
        network_setting: The setting of a later stage that takes a network of this kind.
    """

    network_setting: ClassVar[str]
    set_by_chain = ("resume", "dry_run")
    figures_shown = ("steps",)

    config: TrainConfig | DeepLabTrainConfig

    @property
    def place(self) -> Path:
        """The run folder."""
        return self.config.run

    @property
    @abstractmethod
    def training_steps(self) -> int:
        """The optimiser steps of the training."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Pictures per optimiser step."""

    def is_complete(self, result: Mapping[str, Any]) -> bool:
        """Return whether the best checkpoint is there."""
        return (self.place / "checkpoints" / "best.pt").is_file()

    def refuse_foreign(self) -> None:
        """Refuse a folder that holds a run of someone else.

        Raises:
            ConfigError: It does [run-foreign].
        """
        if (self.place / "config.json").exists():
            message = f"{self.place}: holds a run that this chain has not made, a new folder expected"
            advice = f"rename it, or leave out [{self.config.command}] and name it as {self.network_setting}"
            raise ConfigError(f"{message}; {advice}", "run-foreign")

    def ready_config(self) -> StageConfig:
        """Return the settings, with `resume` where the folder holds a run."""
        return replace(self.config, resume=(self.place / "config.json").exists())

    def config_to_try(self, seen: Seen) -> StageConfig:
        """Return the settings without what would be downloaded, or may be gone: random weights take the same time."""
        is_here = seen.trunk is None or seen.trunk.where != "hub"
        is_needed = self.config.trunk_weights is None or not goes_on(self.config)
        return self.config if is_here and is_needed else replace(self.config, trunk_weights="none")

    def work(self, pictures: int | None, resumed: bool) -> int:
        """Return how many pictures the steps still to be done see together."""
        return (self.training_steps - (self._steps_done() if resumed else 0)) * self.batch_size

    def figures(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Return the best score on validation pictures, if there is one, and the steps."""
        best = result.get("best")
        if not isinstance(best, Mapping) or best.get("value") is None:
            return super().figures(result)
        return {best["metric"]: best["value"], **super().figures(result)}

    def curves(self) -> list[dict[str, Any]]:
        """Return the records of the losses."""
        return Journal(self.place / "metrics.jsonl").read()

    def _steps_done(self) -> int:
        try:
            return int(read_json(self.place / "status.json")["step"])
        except (S4Error, KeyError, TypeError, ValueError):  # the training was stopped before its first status
            return 0


def dry_run_training(step: TrainingStep, resume: bool, pace_of: PaceOf, events: Events) -> dict[str, Any]:
    """Return what a dry run of a single training tells: {run, images, steps} and what `dry_run` returns.

    Args:
        step: The training.
        resume: Whether it goes on with an earlier run.
        pace_of: Measures the training.
        events: Told remarks and the estimate.

    Raises:
        S4Error: The training would end with it. The error tells all others too.
    """
    look = look_at([step], events)
    counts = {"images": look.findings.seen[step.name].pictures, "steps": step.training_steps}
    found = dry_run(step, look, step.work(None, resume), pace_of, events)
    return {"run": str(step.place), **counts, **found}
