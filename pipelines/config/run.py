"""Settings of `s4 run`: the whole chain from one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pipelines.config.base import DEVICE, MOST_THREADS, TRY_OUT, Precision
from pipelines.config.setting import FOLDER_FILE, StageConfig, opt


@dataclass(frozen=True, kw_only=True)
class RunConfig(StageConfig):
    """Settings of `s4 run`. The same file has a table of settings for each stage.

    `device`, `precision` and `workers` override the tables of all stages. None leaves each stage its own value.
    """

    command: ClassVar[str] = "run"
    example: ClassVar[str] = "s4 run s4.toml"
    table_alone: ClassVar[bool] = True
    file_setting: ClassVar[str] = "file"

    file: Path = opt(Path(FOLDER_FILE), "TOML file with a table for each stage.", positional="FILE.toml")
    out: Path | None = opt(
        None,
        "Folder for everything that is made. Unset: a folder beside the file, named after the file.",
        writes="chain",
    )
    rounds: int = opt(
        1,
        "Rounds of labelling and training. From the second round on, the previous DeepLab helps to label.",
        at_least=1,
        at_most=1_000,
    )
    first_round: Literal["all", "single"] = opt(
        "all", "Pictures that the first DeepLab trains on: all pictures, or only pictures with a single keyword."
    )
    dry_run: bool = opt(False, f"Say what would be done. {TRY_OUT}")
    report: bool = opt(
        True, "Write report.html in the folder of the chain and of every stage. --no-report overrides all tables."
    )
    device: str | None = opt(
        None, "Device of every stage. Unset: as the table of the stage says.", form=DEVICE, may_change=True
    )
    precision: Precision | None = opt(
        None, "Number format of the networks in every stage. Unset: as the table of the stage says."
    )
    workers: int | None = opt(
        None,
        "Threads that prepare pictures in every stage, and processes of pseudo-label. Unset: as the table of the stage "
        "says.",
        at_least=0,
        at_most=MOST_THREADS,
        may_change=True,
    )

    @property
    def folder(self) -> Path:
        """`out`, or the folder that stands for it: `work/voc.toml` -> `work/voc`."""
        if self.out is not None:
            return self.out
        return self.file.with_name(self.file.stem if self.file.suffix else f"{self.file.name}-out")

    @property
    def for_every_stage(self) -> dict[str, Any]:
        """The given ones of the settings that override every stage."""
        values = {"device": self.device, "precision": self.precision, "workers": self.workers}
        return {name: value for name, value in values.items() if value is not None}
