"""Settings of `s4 ablate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import MASK_SLACK, TRUNK_WEIGHTS, CommonConfig
from pipelines.config.setting import REQUIRED, opt
from pipelines.errors import ConfigError


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
