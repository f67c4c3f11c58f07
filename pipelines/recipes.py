"""The published schedules, and ours: what the flags of a training leave open."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainSchedule:
    """What a preset of `s4 train` leaves open to the flags of the same name, and how the rate falls.

    Attributes:
        steps, batch_size, lr, evaluate_every: defaults of the flags.
        adamw: AdamW with a cosine schedule, warm-up, clipping and averaged weights, instead of SGD with drops.
        drops: shares of the steps at which the rate falls to a tenth.
        weight_decay: L2 (SGD) or decoupled (AdamW).
    """

    steps: int
    batch_size: int
    lr: float
    evaluate_every: int
    weight_decay: float
    adamw: bool = False
    drops: tuple[float, ...] = ()


TRAIN_SCHEDULES = {
    # Paper Sec. 4.1: two GPUs with one picture each, 20k steps, 0.004, a tenth after 10k.
    "paper": TrainSchedule(steps=20_000, batch_size=2, lr=0.004, evaluate_every=2_000, weight_decay=1e-4, drops=(0.5,)),
    # The released code falls a second time, at 15k.
    "release": TrainSchedule(
        steps=20_000, batch_size=2, lr=0.004, evaluate_every=2_000, weight_decay=1e-4, drops=(0.5, 0.75)
    ),
    # Adaptive steps and a rate that falls to zero give most of the accuracy in a tenth of the pictures.
    "modern": TrainSchedule(steps=2_000, batch_size=8, lr=4e-4, evaluate_every=250, weight_decay=0.02, adamw=True),
}


@dataclass(frozen=True, kw_only=True)
class DeepLabRecipe:
    """How a network is trained, where the flags leave it open; the rate falls as (1 - step / steps)^0.9.

    Attributes:
        steps: Optimiser steps.
        batch_size: Pictures per step.
        lr: Peak learning rate of the trunk; new layers learn ten times as fast.
        weight_decay: Of weights; biases and norms have none.
        optimizer: "sgd" or "adamw".
        bias_lr: Factor of the learning rate of biases.
    """

    steps: int
    batch_size: int
    lr: float
    weight_decay: float
    optimizer: Literal["sgd", "adamw"] = "sgd"
    bias_lr: float = 2.0


DEEPLAB_RECIPES = {
    "vgg16": DeepLabRecipe(steps=20_000, batch_size=10, lr=1e-3, weight_decay=5e-4),
    "resnet101": DeepLabRecipe(steps=20_000, batch_size=10, lr=2.5e-4, weight_decay=5e-4),
    # Short enough for a processor: 12,000 crops, about a quarter of an hour on two cores.
    "efficientnet_lite0": DeepLabRecipe(
        steps=1_500, batch_size=8, lr=2e-4, weight_decay=0.01, optimizer="adamw", bias_lr=1.0
    ),
}
"""The published recipes of LargeFOV and DeepLab v2, and one for the small network."""
