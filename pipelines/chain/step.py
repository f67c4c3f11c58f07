"""What a stage of the chain has to say of itself, and what it may know of the chain around it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from pipelines.chain.findings import Seen
from pipelines.chain.inspection import Inspection
from pipelines.chain.tables import Config, Tables
from pipelines.config import StageConfig


@dataclass(frozen=True)
class Step(ABC):
    """A stage at one place of the chain. Each stage is a subclass; with rounds, a chain has several steps of a stage.

    Attributes:
        config_class: Settings of the stage; they name its command and its table.
        before_rounds: The stage is done once, before the first round. Other stages are done in every round.
        needed_for_rounds: A chain with rounds must have the stage.
        set_by_rounds: Settings that rounds fill in, so that the table must not give them.
        set_by_chain: Settings that the chain decides on, so that the table must not give them.
        without_effect: Settings that the fingerprint leaves out.
        counts_as: Values that stand in the fingerprint for settings that were left out.
        informs_later_checks: Checks of later steps need what the check of this stage sees.
        faster: What would shorten the stage, in words.
        figures_shown: Keys of the stage's result that the report shows.
        name: The command; with several rounds, the command and the number of the round: `pseudo-label-2`.
        number: The round, counted from 1; 0 before the rounds.
        config: The settings.
        after: The earlier steps whose results this step takes.
    """

    config_class: ClassVar[type[StageConfig]]
    before_rounds: ClassVar[bool] = False
    needed_for_rounds: ClassVar[bool] = False
    set_by_rounds: ClassVar[tuple[str, ...]] = ()
    set_by_chain: ClassVar[tuple[str, ...]] = ()
    without_effect: ClassVar[tuple[str, ...]] = ()
    counts_as: ClassVar[Mapping[str, str]] = {}
    informs_later_checks: ClassVar[bool] = False
    faster: ClassVar[str] = "a GPU would shorten it"
    figures_shown: ClassVar[tuple[str, ...]] = ()

    name: str
    number: int
    config: StageConfig
    after: tuple["Step", ...] = ()

    @classmethod
    @abstractmethod
    def wire(cls, wiring: "Wiring") -> Self:
        """Return the step with these settings: what earlier steps give, under what the table says.

        Raises:
            ConfigError: The settings cannot be used.
        """

    @classmethod
    def at(cls, wiring: "Wiring", values: Mapping[str, Any], **more: Any) -> Self:
        """Return the step of this place with these values of its settings.

        Args:
            wiring: The place.
            values: The values by setting.
            more: Further attributes of the step.

        Raises:
            ConfigError: A value cannot be used.
        """
        config = wiring.tables.build(cls.config_class, values)
        return cls(f"{config.command}{wiring.suffix}", wiring.number, config, wiring.makers_of(config), **more)

    @property
    def place(self) -> Path | None:
        """The folder that the step makes; None for a stage that makes none."""
        return None

    @property
    def searched_folders(self) -> tuple[Path, ...]:
        """The folders in which the step looks for pictures, sub-folders included."""
        return ()

    @property
    def training_steps(self) -> int | None:
        """The optimiser steps of a training; None for other stages."""
        return None

    def makes(self, path: Path) -> bool:
        """Return whether a path lies in the folder that the step makes."""
        return self.place is not None and path.absolute().is_relative_to(self.place.absolute())

    def maker_of(self, path: Path | None) -> "Step | None":
        """Return the earlier step that makes a path; None if no step does."""
        return next((step for step in self.after if path is not None and step.makes(path)), None)

    @abstractmethod
    def check(self, inspection: Inspection) -> None:
        """Look at all inputs that no earlier step makes, and collect what is wrong.

        Raises:
            S4Error: A fault that ends the look; the caller collects it as well.
        """

    @abstractmethod
    def inputs(self) -> dict[str, Any]:
        """Return hashes of all that the step reads, as JSON values.

        Raises:
            S4Error: An input cannot be read.
        """

    @abstractmethod
    def is_complete(self, result: Mapping[str, Any]) -> bool:
        """Return whether what the finished step made is still there.

        Args:
            result: What the stage returned.
        """

    def refuse_foreign(self) -> None:
        """Refuse a folder in the step's place that this chain has not made; by default, leave that to the stage.

        Raises:
            ConfigError: The folder holds something else [run-foreign].
        """
        return

    def prepare(self) -> None:
        """Write what the stage reads and no earlier step makes; by default, nothing.

        Raises:
            S4Error: It cannot be written.
        """
        return

    def ready_config(self) -> StageConfig:
        """Return the settings with which the stage starts, or goes on where its folder holds a part of the work."""
        return self.config

    def config_to_try(self, seen: Seen) -> StageConfig | None:
        """Return settings with which the stage can be tried before earlier steps are done; None if it cannot.

        Args:
            seen: What the inputs of the step show.
        """
        return None

    def work(self, pictures: int | None, resumed: bool) -> int | None:
        """Return how many pictures the stage has to compute; None where that is unknown.

        Args:
            pictures: How many pictures the step works on; None where that is unknown.
            resumed: The stage goes on where it was.
        """
        return pictures

    def disk_bytes(self, seen: Seen) -> int | None:
        """Return an estimate of the disk space of what the step makes; None where there is no estimate."""
        return None

    def figures(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of a result that the report shows, by name; zeros are left out."""
        numbers = {name: result.get(name) for name in self.figures_shown}
        return {name: value for name, value in numbers.items() if isinstance(value, int | float) and value}

    def curves(self) -> list[dict[str, Any]]:
        """Return the records of a training's losses over its steps; none for other stages."""
        return []

    def miou(self, result: Mapping[str, Any]) -> float | None:
        """Return the mIoU of the round that a result gives; None for stages that measure none."""
        return None

    def failures(self, result: Mapping[str, Any]) -> int:
        """Return how many pictures the stage could not work on."""
        return 0


@dataclass(frozen=True)
class Wiring:
    """A place in the chain for which a step is made.

    Attributes:
        tables: The tables of the chain's file.
        earlier: The steps before this place.
        number: The round, counted from 1; 0 before the rounds.
    """

    tables: Tables
    earlier: Sequence[Step]
    number: int

    @property
    def folder(self) -> Path:
        """The folder of the chain."""
        return self.tables.config.folder

    @property
    def suffix(self) -> str:
        """What the names of this round end in: `-2`; empty before the rounds, and where there is only one."""
        return f"-{self.number}" if self.number and self.tables.config.rounds > 1 else ""

    def numbered(self, path: Path) -> Path:
        """Return a path with the number of this round: `labels` -> `labels-2`."""
        return path.with_name(f"{path.name}{self.suffix}")

    def last(self, cls: type[Config]) -> Config | None:
        """Return the settings of the last step of a stage before this place; None if there is none."""
        return next((step.config for step in reversed(self.earlier) if isinstance(step.config, cls)), None)

    def makers_of(self, config: StageConfig) -> tuple[Step, ...]:
        """Return the earlier steps whose folders a step's settings name."""
        values = [getattr(config, setting.name) for setting in fields(config)]
        several = [one for value in values if isinstance(value, tuple) for one in value]
        paths = [value for value in [*values, *several] if isinstance(value, Path)]
        return tuple(step for step in self.earlier if any(step.makes(path) for path in paths))
