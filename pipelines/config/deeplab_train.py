"""Settings of `s4 deeplab-train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.config.base import RESUME, SEED, TRUNK_WEIGHTS, CommonConfig
from pipelines.config.setting import REQUIRED, opt


@dataclass(frozen=True, kw_only=True)
class DeepLabTrainConfig(CommonConfig):
    """Settings of `s4 deeplab-train`: a semantic segmentation network on label maps."""

    command: ClassVar[str] = "deeplab-train"

    images: Path = opt(REQUIRED, "Folder of the pictures.")
    labels: Path = opt(REQUIRED, "Label folder that pseudo-label wrote, or a folder of ground-truth label maps.")
    labels_are: Literal["pseudo", "ground-truth"] = opt(
        "pseudo", "Kind of the labels. To train on true label maps, say ground-truth."
    )
    list: Path | None = opt(
        None, "File with the ids of the pictures to train on, one per line. Unset: every picture with a label."
    )
    classes: str | None = opt(None, "Class list: voc or a file. Unset: the class list of the label folder.")
    run: Path = opt(REQUIRED, "Folder of this run. The command creates the folder.", may_change=True)
    network: Literal["vgg16", "resnet101", "efficientnet_lite0"] = opt("vgg16", "Network variant.")
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS)
    recipe: Literal["largefov", "v2-resnet101", "lite"] | None = opt(
        None,
        "Schedule, crops and loss. lite is short enough for a processor. The others are as published. Unset: the "
        "recipe of the network.",
    )
    loss: Literal["plain", "balanced", "bootstrapped", "soft"] = opt(
        "plain",
        "Form of the cross-entropy. balanced averages foreground and background apart. bootstrapped mixes the labels "
        "with the predictions. soft trusts each label as far as the confidence map says, after sharpening the map.",
    )
    confidence: bool = opt(False, "Weigh each pixel by the confidence map of the label folder.")
    least_confidence: float = opt(
        0.0,
        "Ignore foreground labels with a lower confidence in the confidence map. Background labels always count. For "
        "labels made with --cells, 0.9 is a good value.",
        at_least=0,
        at_most=1,
    )
    steps: int | None = opt(None, "Optimiser steps. Unset: the number of the recipe.", at_least=1)
    batch_size: int | None = opt(None, "Pictures per step. Unset: the number of the recipe.", at_least=1)
    crop: int = opt(321, "Side in pixels of the square training crops.", at_least=32)
    lr: float | None = opt(None, "Peak learning rate of the trunk. Unset: the rate of the recipe.", above=0)
    sampling: Literal["auto", "repeat", "uniform"] = opt(
        "auto",
        "How pictures are drawn. repeat draws pictures of rare classes more often. uniform draws all alike. auto takes "
        "repeat for recipe lite, and uniform for the published recipes.",
    )
    seed: int = opt(0, SEED, at_least=0)
    resume: bool = opt(False, RESUME, may_change=True)
    val_voc: Path | None = opt(None, "VOC folder with the val list to evaluate on during training.")
    evaluate_every: int | None = opt(None, "Steps between evaluations. Unset: one evaluation at the end.", at_least=1)
