"""A stage that does nothing, and the checks of a few steps, for tests of the parts of a chain."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipelines.chain.checks import check_steps
from pipelines.chain.findings import Findings
from pipelines.chain.inspection import Inspection
from pipelines.chain.step import Step, Wiring
from pipelines.config import StageConfig
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events


@dataclass(frozen=True)
class SomeConfig(StageConfig):
    command = "some"


@dataclass(frozen=True)
class SomeStep(Step):
    """A stage that depends on a word alone, finds a fault, and is complete when its result says so."""

    folder: Path | None = None
    word: str = ""

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        raise NotImplementedError

    @property
    def place(self) -> Path | None:
        return self.folder

    def check(self, inspection: Inspection) -> None:
        inspection.seen.pictures = 5
        inspection.refuse(f"{self.name}: looked at, nothing expected; look away", "looked-at")

    def inputs(self) -> dict[str, Any]:
        if self.word == "unreadable":
            raise InputError("word: unreadable, a word expected; write it", "file-missing")
        return {"word": self.word}

    def is_complete(self, result: Mapping[str, Any]) -> bool:
        return bool(result.get("complete"))

    def refuse_foreign(self) -> None:
        if self.word == "foreign":
            raise ConfigError("folder: foreign, none expected; rename it", "run-foreign")


def checked(*steps: Step) -> Findings:
    """What the checks find in a chain of these steps."""
    return check_steps(steps, Events(io.StringIO()))
