"""Settings of `s4 deeplab-train`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from pipelines.config.base import (
    ADDRESSES,
    CLASS_WORDS,
    DEVICES,
    LARGEST_RATE,
    LARGEST_SEED,
    MOST_PICTURES,
    MOST_PIXELS,
    MOST_STEPS,
    REPORT,
    RESUME,
    SEED,
    TENSORBOARD,
    TRUNK_WEIGHT_WORDS,
    TRUNK_WEIGHTS,
    TRY_OUT,
    CommonConfig,
    require_tensorboard,
)
from pipelines.config.setting import Tell, opt
from pipelines.config.shard import require_seen
from pipelines.config.usual_places import DEEPLAB_RUN, LABELS, pictures_of_labels


@dataclass(frozen=True, kw_only=True)
class DeepLabTrainConfig(CommonConfig):
    """Settings of `s4 deeplab-train`: a semantic segmentation network on label maps."""

    command: ClassVar[str] = "deeplab-train"
    example: ClassVar[str] = "s4 deeplab-train --images DIR --labels labels"

    images: tuple[Path, ...] = opt(
        None,
        "Folder of the pictures, or tar of pictures. Several may be given. Unset: those that the label folder was made "
        f"from. {ADDRESSES}",
        must_be="shards",
        found=True,
        elsewhere=True,
    )
    labels: Path = opt(
        LABELS,
        "Label folder that pseudo-label wrote, or a folder of ground-truth label maps. It may lie at an address.",
        must_be="folder",
        elsewhere=True,
    )
    labels_are: Literal["pseudo", "ground-truth"] = opt(
        "pseudo", "Kind of the labels. To train on true label maps, say ground-truth."
    )
    list: Path | None = opt(
        None,
        "File with the ids of the pictures to train on, one per line. Unset: every picture with a label.",
        must_be="file",
    )
    classes: str | None = opt(
        None,
        "Class list: voc or a file. Unset or auto: the class list of the label folder.",
        words=CLASS_WORDS,
        must_be="file",
        elsewhere=True,
    )
    run: Path = opt(DEEPLAB_RUN, "Folder of this run. The command creates the folder.", may_change=True, writes="run")
    network: Literal["vgg16", "resnet101", "efficientnet_lite0"] = opt("efficientnet_lite0", "Network variant.")
    trunk_weights: str = opt(
        "imagenet", TRUNK_WEIGHTS, words=TRUNK_WEIGHT_WORDS, must_be="tensors", to_begin=True, elsewhere=True
    )
    recipe: Literal["largefov", "v2-resnet101", "lite"] | None = opt(
        None,
        "Schedule, crops and loss. lite is short enough for a processor. The others are as published. Unset: the "
        "recipe of the network.",
    )
    loss: Literal["auto", "plain", "balanced", "bootstrapped", "soft"] = opt(
        "auto",
        "Form of the cross-entropy. balanced averages foreground and background apart. bootstrapped mixes the labels "
        "with the predictions. soft trusts each label as far as the confidence map says, after sharpening the map. "
        "auto: plain for ground truth. For pseudo labels in a training of less than 500 steps, auto is balanced. In a "
        "longer one auto is soft, or plain without confidence maps.",
        settled=True,
    )
    confidence: bool = opt(False, "Weigh each pixel by the confidence map of the label folder.")
    least_confidence: float = opt(
        0.0,
        "Ignore foreground labels with a lower confidence in the confidence map. Background labels always count. "
        "With --loss soft it gained nothing.",
        at_least=0,
        at_most=1,
    )
    steps: int | None = opt(None, "Optimiser steps. Unset: the number of the recipe.", at_least=1, at_most=MOST_STEPS)
    batch_size: int | None = opt(
        None, "Pictures per step. Unset: the number of the recipe.", at_least=1, at_most=MOST_PICTURES
    )
    crop: int = opt(321, "Side in pixels of the square training crops.", at_least=32, at_most=MOST_PIXELS)
    lr: float | None = opt(
        None, "Peak learning rate of the trunk. Unset: the rate of the recipe.", above=0, at_most=LARGEST_RATE
    )
    sampling: Literal["auto", "repeat", "uniform"] = opt(
        "auto",
        "How pictures are drawn. repeat draws pictures of rare classes more often. uniform draws all alike. auto takes "
        "repeat for recipe lite where a class is rare. Else auto takes uniform.",
    )
    seed: int = opt(0, SEED, at_least=0, at_most=LARGEST_SEED)
    devices: int = opt(1, DEVICES, at_least=1, at_most=64, may_change=True)
    resume: bool = opt(False, RESUME, may_change=True)
    dry_run: bool = opt(False, TRY_OUT, may_change=True)
    report: bool = opt(True, REPORT, may_change=True)
    tensorboard: bool = opt(False, TENSORBOARD, may_change=True, check=require_tensorboard)
    val_voc: Path | None = opt(None, "VOC folder with the val list to evaluate on during training.", must_be="voc")
    evaluate_every: int | None = opt(
        None, "Steps between evaluations. Unset: one evaluation at the end.", at_least=1, at_most=MOST_STEPS
    )

    def __post_init__(self) -> None:
        """Check each field, and that all processes see the pictures and the labels."""
        super().__post_init__()
        if self.devices > 1:
            require_seen(f"--devices {self.devices}", vars(self).values())

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the pictures that the label folder was made from, if none were named.

        Raises:
            ConfigError: The label folder does not say where they are, or they are there no more [setting-missing].
        """
        if self.images is not None:
            return self
        return replace(self, images=pictures_of_labels(self.labels, self.example, tell))
