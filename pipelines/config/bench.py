"""Settings of `s4 bench`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CommonConfig
from pipelines.config.setting import opt
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BenchConfig(CommonConfig):
    """Settings of `s4 bench`: speed beside other networks, measured in one run."""

    command: ClassVar[str] = "bench"

    what: str = opt(
        "inference",
        "What to time.",
        choices=("inference", "branch", "proposals", "trunks", "training", "end-to-end"),
    )
    preset: str = opt(
        "paper",
        "Network variant without --weights; inference times all three.",
        choices=("paper", "release", "modern"),
    )
    trunk: str = opt("resnet50", "Trunk of S4Net without --weights: any name of the timm library.")
    weights: Path | None = opt(None, "Trained network to time; unset, random weights, which are as fast.")
    images: Path | None = opt(None, "Folder with pictures for --weights or end-to-end; unset, generated scenes.")
    image_size: int = opt(320, "Side in pixels of the networks' input without --weights.", at_least=64)
    batch_size: int | None = opt(
        None, "Pictures per call; unset, 1, for training 4, for trunks on a GPU several.", at_least=1
    )
    repeats: int = opt(12, "Passes over all rows.", at_least=1)
    threads: int | None = opt(None, "Processor threads; unset, one for each core.", at_least=1)
    compile: bool = opt(False, "Add rows with torch.compile, which needs a C++ compiler and a minute for each.")
    out: Path | None = opt(None, "Folder for the result as JSON and a plot; unset, neither is written.")

    def __post_init__(self) -> None:
        """Checks each field, and that every network takes pictures of this size."""
        super().__post_init__()
        if self.image_size % 32:
            message = f"--image-size: {self.image_size} given, a multiple of 32 expected; change it"
            raise ConfigError(message, "setting-value")
