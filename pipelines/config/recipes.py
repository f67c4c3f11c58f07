"""The published training schedules, and ours: values for the flags that a user leaves out."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainSchedule:
    """How a preset of `s4 train` trains. Flags of the same name override the first four attributes.

    Attributes:
        steps: Optimiser steps.
        batch_size: Pictures per step.
        lr: Peak learning rate.
        evaluate_every: Steps between evaluations.
        weight_decay: L2 (SGD) or decoupled (AdamW).
        adamw: Whether AdamW trains, with a cosine schedule, warm-up, clipping and averaged weights. Else SGD trains,
            with sudden drops of the rate.
        drops: Shares of the steps at which the rate falls to a tenth.
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
    # Adaptive steps and a rate that falls to zero reach most of the accuracy with a tenth of the pictures.
    "modern": TrainSchedule(steps=2_000, batch_size=8, lr=4e-4, evaluate_every=250, weight_decay=0.02, adamw=True),
}


@dataclass(frozen=True, kw_only=True)
class DeepLabRecipe:
    """How a DeepLab is trained. Flags of the same name override the first three attributes.

    The learning rate falls as (1 - step / steps)^0.9.

    Attributes:
        steps: Optimiser steps.
        batch_size: Pictures per step.
        lr: Peak learning rate of the trunk. New layers learn ten times as fast.
        weight_decay: Decay of the weights. Biases and norms have none.
        optimizer: "sgd" (momentum 0.9) or "adamw".
        bias_lr: Factor of the learning rate of biases.
        scales: Sizes at which pictures are cropped. Empty: any size from 0.5 to 1.5.
        recolour: Whether brightness, contrast and colour of the crops change a little.
        ema: Decay of the running average of the weights. None: the last weights are kept, without an average.
        at_cells: Whether the loss compares the cells of the logits, not the pixels of the crop; see
            `deeplab.pixel_loss`.
        multi_scale: Whether the network trains and predicts at three scales together; see `deeplab.MultiScale`.
        repeats_rare: Whether pictures of rare classes are drawn more often where there are any, see
            `pipelines.engine.sampling`.
    """

    steps: int
    batch_size: int
    lr: float
    weight_decay: float
    optimizer: Literal["sgd", "adamw"] = "sgd"
    bias_lr: float = 2.0
    scales: tuple[float, ...] = ()
    recolour: bool = False
    ema: float | None = None
    at_cells: bool = True
    multi_scale: bool = False
    repeats_rare: bool = False


DEEPLAB_RECIPES = {
    # Chen et al., ICLR 2015, as ported in wangleihitcs/DeepLab-V1-PyTorch: last layer x 10, bias of the last layer
    # x 20, labels at the 41 x 41 cells. Two schedules are published. This is the polynomial one, with batch 10. The
    # other one (batch 30, 6,000 steps, sudden drops) sees a tenth fewer pictures, and sources disagree on the drops.
    # The port reports 64.84 with the polynomial schedule and 62.34 with the other one. With the scales the port reports
    # 65.44, and 69.60 after a CRF. The paper's figures on VOC 2012 val are 62.25 and 67.64. All of these networks are
    # trained on true masks. S4Net's paper reports 57.4 on labels from salient instances (Table 5). That paper does not
    # say whether a CRF was used.
    "largefov": DeepLabRecipe(
        steps=20_000, batch_size=10, lr=1e-3, weight_decay=5e-4, scales=(0.5, 0.75, 1.0, 1.25, 1.5)
    ),
    # Chen et al., TPAMI 2018, as in kazuto1011/deeplab-pytorch. That port adds up two batches of 5, and this recipe
    # takes 10 pictures at once. That port lowers the rate every tenth step, and this recipe does so every step. On VOC
    # 2012 val the paper reports 76.35, and 77.69 after a CRF. The paper trains on true masks, from weights trained on
    # COCO's masks. Such weights know VOC's classes by pixel. A weakly-supervised result must start from ImageNet
    # weights, and can only be compared with other such results. S4Net's paper reports 61.8.
    "v2-resnet101": DeepLabRecipe(steps=20_000, batch_size=10, lr=2.5e-4, weight_decay=5e-4, multi_scale=True),
    # Short enough for a processor: 12,000 crops take about a quarter of an hour on two cores.
    "lite": DeepLabRecipe(
        steps=1_500,
        batch_size=8,
        lr=2e-4,
        weight_decay=0.01,
        optimizer="adamw",
        bias_lr=1.0,
        recolour=True,
        ema=0.998,
        at_cells=False,
        repeats_rare=True,
    ),
}
"""The published recipes of LargeFOV and DeepLab v2, and one for the small network. Each can train any network."""

NETWORK_RECIPES = {"vgg16": "largefov", "resnet101": "v2-resnet101", "efficientnet_lite0": "lite"}
"""The recipe of each network where `--recipe` is not set."""


def deeplab_recipe(network: str, recipe: str | None) -> DeepLabRecipe:
    """Return the recipe of this name, or the network's own."""
    return DEEPLAB_RECIPES[recipe or NETWORK_RECIPES[network]]
