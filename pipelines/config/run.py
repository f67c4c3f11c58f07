"""Settings of `s4 run`: the whole chain from one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines.config.setting import REQUIRED, StageConfig, opt


@dataclass(frozen=True, kw_only=True)
class RunConfig(StageConfig):
    """Settings of `s4 run`; those of the stages stand in tables of their own in the same file.

    `device`, `precision` and `workers` hold for every stage where they are given, whatever the tables of the stages
    say; None leaves each stage its own.
    """

    command: ClassVar[str] = "run"
    table_alone: ClassVar[bool] = True

    file: Path = opt(REQUIRED, "TOML file with a table for each stage.", positional=True)
    out: Path | None = opt(None, "Folder for all that is made; unset, one named after the file, beside it.")
    rounds: int = opt(
        1, "Rounds of labelling and training; from the second on, the DeepLab before helps to label.", at_least=1
    )
    first_round: str = opt(
        "all",
        "Pictures that the first DeepLab trains on: all, or only those with a single keyword.",
        choices=("all", "single"),
    )
    dry_run: bool = opt(False, "Check everything and print what would be done, but do nothing and write nothing.")
    device: str | None = opt(
        None,
        "Where every stage computes; unset, as its table says.",
        form=(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N"),
        may_change=True,
    )
    precision: str | None = opt(
        None, "Arithmetic of every stage; unset, as its table says.", choices=("auto", "fp32", "bf16")
    )
    workers: int | None = opt(
        None, "Threads that prepare pictures, in every stage; unset, as its table says.", at_least=0, may_change=True
    )

    @property
    def folder(self) -> Path:
        """`out`, or the folder that stands for it: `work/voc.toml` -> `work/voc`."""
        if self.out is not None:
            return self.out
        return self.file.with_name(self.file.stem if self.file.suffix else f"{self.file.name}-out")

    @property
    def for_every_stage(self) -> dict[str, Any]:
        """The settings that every stage shall have, without those that are not given."""
        values = {"device": self.device, "precision": self.precision, "workers": self.workers}
        return {name: value for name, value in values.items() if value is not None}
