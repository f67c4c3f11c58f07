"""Settings of `s4 train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import MASK_SLACK, RESUME, TRUNK_WEIGHTS, CommonConfig
from pipelines.config.setting import REQUIRED, opt


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CommonConfig):
    """Settings of `s4 train`: the salient-instance network."""

    command: ClassVar[str] = "train"

    images: Path = opt(REQUIRED, "Folder of the pictures.")
    annotations: Path = opt(REQUIRED, "COCO JSON file with the instances of the training pictures.")
    val_annotations: Path | None = opt(None, "COCO JSON file to evaluate on while training.")
    run: Path = opt(REQUIRED, "Folder of this run, made by the command.", may_change=True)
    preset: str = opt("modern", "Recipe and network variant.", choices=("paper", "release", "modern"))
    trunk: str = opt("resnet50", "Trunk under the feature pyramid: any name of the timm library.")
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS)
    roi: str = opt(
        "ternary",
        "How the mask branch sees a box and its surroundings.",
        choices=("ternary", "expanded", "binary", "roialign", "roipool"),
    )
    alpha: float = opt(
        1 / 3, "Width of the ring around a box, as a share of the box (paper: 1/3 is best).", at_least=0, at_most=1
    )
    mask_slack: float | None = opt(None, MASK_SLACK, at_least=0, at_most=1)
    proposals: int = opt(20, "Boxes sent to the mask branch per picture.", at_least=1, at_most=100)
    steps: int | None = opt(None, "Optimiser steps; unset, the preset's.", at_least=1)
    batch_size: int | None = opt(None, "Pictures per step; unset, the preset's.", at_least=1)
    image_size: int = opt(320, "Side in pixels to which pictures are scaled.", at_least=32)
    lr: float | None = opt(None, "Peak learning rate; unset, the preset's.", above=0)
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    resume: bool = opt(False, RESUME, may_change=True)
    evaluate_every: int | None = opt(None, "Steps between evaluations; unset, the preset's.", at_least=1)
