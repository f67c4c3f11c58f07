"""Settings of `s4 bench`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.config.base import (
    MOST_ITEMS,
    MOST_PICTURES,
    MOST_PIXELS,
    MOST_THREADS,
    WEIGHT_WORDS,
    CommonConfig,
    Preset,
)
from pipelines.config.setting import opt
from pipelines.config.trunks import TRUNK_WORDS, require_trunks
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BenchConfig(CommonConfig):
    """Settings of `s4 bench`: speed beside other networks, measured in one run."""

    command: ClassVar[str] = "bench"
    example: ClassVar[str] = "s4 bench --what inference"

    what: Literal["inference", "branch", "proposals", "trunks", "training", "end-to-end"] = opt(
        "inference", "What to time."
    )
    preset: Preset = opt("paper", "Network variant if --weights is not given. --what inference times all variants.")
    trunk: str = opt("resnet50", f"Trunk of S4Net if --weights is not given. {TRUNK_WORDS}", check=require_trunks)
    weights: Path | None = opt(
        None,
        "Trained network to time: run folder (its best checkpoint, else the last) or file. Unset: random weights, "
        "equally fast.",
        words=WEIGHT_WORDS,
        must_be="weights",
    )
    images: Path | None = opt(
        None,
        "Folder of the pictures, with --weights or --what end-to-end. Unset: generated scenes.",
        must_be="folder",
    )
    image_size: int = opt(
        320, "Side in pixels of the input of the networks if --weights is not given.", at_least=64, at_most=MOST_PIXELS
    )
    batch_size: int | None = opt(
        None,
        "Pictures per call. Unset: 1, for training 4, for trunks on a GPU several.",
        at_least=1,
        at_most=MOST_PICTURES,
    )
    repeats: int = opt(12, "How often to time every row.", at_least=1, at_most=MOST_ITEMS)
    threads: int | None = opt(None, "Processor threads. Unset: one for each core.", at_least=1, at_most=MOST_THREADS)
    compile: bool = opt(
        False, "Add rows with torch.compile. Compiling needs a C++ compiler and takes a minute for each row."
    )
    out: Path | None = opt(
        None, "Folder for the result as JSON and a plot. Unset: no file is written.", writes="timings"
    )

    def __post_init__(self) -> None:
        """Check each field, and that every network takes pictures of this size."""
        super().__post_init__()
        if self.image_size % 32:
            message = f"--image-size: {self.image_size} given, a multiple of 32 expected; change it"
            raise ConfigError(message, "setting-value")
