"""Settings of the commands around the chain: demo, ablate, explain, bench."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import MASK_SLACK, TRUNK_WEIGHTS, CommonConfig
from pipelines.errors import ConfigError
from pipelines.settings import REQUIRED, opt


@dataclass(frozen=True, kw_only=True)
class DemoConfig(CommonConfig):
    """Settings of `s4 demo`: the whole chain on generated scenes."""

    command: ClassVar[str] = "demo"

    out: Path = opt(Path("demo"), "Folder for the scenes, the runs and the report.")
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    small: bool = opt(False, "Tiny sizes: tries the plumbing, not the quality.")


@dataclass(frozen=True, kw_only=True)
class AblateConfig(CommonConfig):
    """Settings of `s4 ablate`: the paper's comparisons, trained and scored on any data set."""

    command: ClassVar[str] = "ablate"

    table: int = opt(
        REQUIRED, "Table of the paper: 1 RoI layers, 2 ring width, 3 trunks, 4 other methods.", at_least=1, at_most=4
    )
    images: Path = opt(REQUIRED, "Folder of the pictures.")
    annotations: Path = opt(REQUIRED, "COCO JSON file with the instances of the training pictures.")
    test_annotations: Path = opt(REQUIRED, "COCO JSON file with the instances of the pictures to score on.")
    val_annotations: Path | None = opt(None, "COCO JSON file that chooses the best checkpoint; unset, the last one is.")
    out: Path = opt(REQUIRED, "Folder of the study, for all its tables; started again, what is missing is trained.")
    preset: str = opt("modern", "Recipe and network variant.", choices=("paper", "release", "modern"))
    trunk: str = opt("resnet50", "Trunk of tables 1, 2 and 4: any name of the timm library.")
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS)
    trunks: str = opt(
        "resnet101,resnet50,vgg16,mobilenet_v1",
        "Trunks of table 3.",
        form=(r"[\w./-]+(,[\w./-]+)*", "names with commas, such as resnet50,vgg16"),
    )
    mask_slack: float | None = opt(None, MASK_SLACK, at_least=0, at_most=1)
    steps: int | None = opt(None, "Optimiser steps of each training; unset, the preset's.", at_least=1)
    batch_size: int | None = opt(None, "Pictures per step; unset, the preset's.", at_least=1)
    image_size: int = opt(320, "Side in pixels to which pictures are scaled.", at_least=32)
    lr: float | None = opt(None, "Peak learning rate; unset, the preset's.", above=0)
    seeds: str = opt(
        "0,1,2",
        "Seeds, the same for each row: a training for each.",
        form=(r"\d+(,\d+)*", "whole numbers with commas, such as 0,1,2"),
    )
    dry_run: bool = opt(False, "Check everything and count the work, but do nothing.")

    def __post_init__(self) -> None:
        """Checks each field, and that no row or seed is named twice."""
        super().__post_init__()
        for flag, names in (("--trunks", self.trunk_list), ("--seeds", self.seed_list)):
            if len(set(names)) < len(names):
                given = ",".join(map(str, names))
                raise ConfigError(f"{flag}: {given} given, each once expected; change it", "setting-value")

    @property
    def trunk_list(self) -> tuple[str, ...]:
        """`trunks`, one by one."""
        return tuple(self.trunks.split(","))

    @property
    def seed_list(self) -> tuple[int, ...]:
        """`seeds` as numbers."""
        return tuple(int(seed) for seed in self.seeds.split(","))


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(CommonConfig):
    """Settings of `s4 explain`: gradient maps of the features around a box."""

    command: ClassVar[str] = "explain"

    images: Path = opt(REQUIRED, "Folder of the pictures.")
    annotations: Path = opt(REQUIRED, "COCO JSON file with the instances, whose boxes are the ground truth.")
    weights: Path = opt(REQUIRED, "Salient-instance network: run folder (its best checkpoint) or file.")
    compare: Path | None = opt(None, "Second network, trained with another kind of mask, to show for that kind.")
    out: Path = opt(REQUIRED, "Folder for the figures and explain.json.")
    ids: str | None = opt(None, "Pictures by their ids, with commas; unset, --count of them.")
    count: int = opt(3, "Pictures to explain, spread evenly over the file.", at_least=1)
    figures: int = opt(
        3, "Figures to draw, spread evenly over these pictures; the others count in the statistics alone.", at_least=0
    )
    outlines: bool = opt(
        False, "Draw over the shapes of the true instances instead of the picture, which may not be yours to publish."
    )


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
