"""Settings of `s4 deeplab-train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import RESUME, TRUNK_WEIGHTS, CommonConfig
from pipelines.config.setting import REQUIRED, opt


@dataclass(frozen=True, kw_only=True)
class DeepLabTrainConfig(CommonConfig):
    """Settings of `s4 deeplab-train`: a semantic segmentation network on label maps."""

    command: ClassVar[str] = "deeplab-train"

    images: Path = opt(REQUIRED, "Folder of the pictures.")
    labels: Path = opt(REQUIRED, "Label folder written by pseudo-label, or a folder of ground-truth label maps.")
    labels_are: str = opt(
        "pseudo", "What the labels are; ground truth must be asked for.", choices=("pseudo", "ground-truth")
    )
    list: Path | None = opt(None, "File with the picture ids to train on, one a line; unset, all labels.")
    classes: str | None = opt(None, "Class list: voc or a file; unset, that of the label folder.")
    run: Path = opt(REQUIRED, "Folder of this run, made by the command.", may_change=True)
    network: str = opt("vgg16", "Network variant.", choices=("vgg16", "resnet101", "efficientnet_lite0"))
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS)
    recipe: str | None = opt(
        None,
        "Schedule, crops and loss: as published, or lite for a processor; unset, the network's own.",
        choices=("largefov", "v2-resnet101", "lite"),
    )
    loss: str = opt(
        "plain",
        "Cross-entropy; balanced averages foreground and background apart, bootstrapped trusts predictions a little, "
        "soft believes each label as far as the confidence map does, sharpened.",
        choices=("plain", "balanced", "bootstrapped", "soft"),
    )
    confidence: bool = opt(False, "Weigh each pixel by the confidence map of the label folder.")
    least_confidence: float = opt(
        0.0,
        "Leave open (255) labels of classes of which the confidence map says less, not the background; 0.9 is a good "
        "value for labels in which cells had a say.",
        at_least=0,
        at_most=1,
    )
    steps: int | None = opt(None, "Optimiser steps; unset, the recipe's.", at_least=1)
    batch_size: int | None = opt(None, "Pictures per step; unset, the recipe's.", at_least=1)
    crop: int = opt(321, "Side in pixels of the square crops that are trained on.", at_least=32)
    lr: float | None = opt(None, "Peak learning rate of the trunk; unset, the recipe's.", above=0)
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    resume: bool = opt(False, RESUME, may_change=True)
    val_voc: Path | None = opt(None, "VOC folder on whose val list to evaluate while training.")
    evaluate_every: int | None = opt(None, "Steps between evaluations; unset, at the end only.", at_least=1)
