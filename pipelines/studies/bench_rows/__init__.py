"""What `s4 bench` compares: rows, each a name and something to call, and the settings that all of them share."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipelines.config import Precision, Preset
from pipelines.engine.precision import autocast, uses_bf16


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the rows of one comparison have in common.

    Attributes:
        device: where everything runs.
        precision: of `--precision`: fp32 leaves the bf16 rows out, auto does so where bf16 is emulated.
        preset, trunk: of the S4Net where a comparison has a single one.
        size: side S of the pictures in pixels.
        batch: pictures per call.
        compiled: whether to add rows with torch.compile.
    """

    device: torch.device
    precision: str
    preset: Preset
    trunk: str
    size: int
    batch: int
    compiled: bool = False

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The arithmetics to compare."""
        return ("fp32", "bf16") if uses_bf16(self.precision, self.device) else ("fp32",)

    def noise(self, batch: int | None = None) -> Tensor:
        """Pictures [batch, 3, S, S] in 0..1 of random pixels, on the device."""
        generator = torch.Generator().manual_seed(0)
        return torch.rand(batch or self.batch, 3, self.size, self.size, generator=generator).to(self.device)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing to time.

    Attributes:
        name: how the row is called; unique.
        run: one call; returns its seconds if it measures them itself.
        images: pictures that a call works on.
        precision: fp32 or bf16.
        against: name of the row whose time is divided by this row's; empty: the comparison's peer.
        facts: further keys of the row in the result.
    """

    name: str
    run: Callable[[], float | None]
    images: int
    precision: str = "fp32"
    against: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The rows to time in one run.

    Attributes:
        peer: name of the row that the others are compared with.
        rows: all rows.
        missing: rows that cannot be timed here, as name -> why.
    """

    peer: str
    rows: list[Row]
    missing: Mapping[str, str] = field(default_factory=dict)


def without_gradients(work: Callable[[], object], setup: Setup, precision: str) -> Callable[[], None]:
    """`work` in the given arithmetic and without gradients."""

    def run() -> None:
        with ExitStack() as stack:
            contexts: tuple[AbstractContextManager[Any], ...] = (
                torch.inference_mode(),
                autocast(precision, setup.device),
            )
            for context in contexts:
                stack.enter_context(context)
            work()

    return run
