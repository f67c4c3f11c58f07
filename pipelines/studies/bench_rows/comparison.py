"""What every comparison of `s4 bench` consists of: the common settings and the rows, each something to call."""

from collections.abc import Callable, Mapping
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
        device: Where everything runs.
        precision: As in `--precision`: fp32 leaves the bf16 rows out; auto does so where bf16 is emulated.
        preset, trunk: Those of S4Net where a comparison has a single one.
        size: Side S of the pictures in pixels.
        batch: Pictures per call.
        compiled: Whether to add rows with torch.compile.
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
        """Return pictures [batch, 3, S, S] of random pixels in 0..1, on the device."""
        generator = torch.Generator().manual_seed(0)
        return torch.rand(batch or self.batch, 3, self.size, self.size, generator=generator).to(self.device)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing to time.

    Attributes:
        name: Name of the row, unique in its comparison.
        run: One call; returns its seconds if it measures them itself.
        images: Pictures that a call works on.
        precision: Arithmetic, fp32 or bf16.
        against: Name of the row whose time is divided by the time of this row; empty: the comparison's peer.
        facts: Further keys of the row in the result.
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
        peer: Name of the row that the others are compared with.
        rows: All rows.
        missing: Rows that cannot be timed here, as name -> why.
    """

    peer: str
    rows: list[Row]
    missing: Mapping[str, str] = field(default_factory=dict)


def without_gradients(work: Callable[[], object], setup: Setup, precision: str) -> Callable[[], None]:
    """Return the function that does `work` in the given arithmetic and without gradients."""

    def run() -> None:
        with torch.inference_mode(), autocast(precision, setup.device):
            work()

    return run
