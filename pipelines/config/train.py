"""Settings of `s4 train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.config.base import (
    MASK_SLACK,
    PRESET,
    PRESET_BATCH_SIZE,
    PRESET_LR,
    PRESET_STEPS,
    RESUME,
    SEED,
    TRUNK_WEIGHT_WORDS,
    TRUNK_WEIGHTS,
    CommonConfig,
    Preset,
)
from pipelines.config.setting import REQUIRED, opt
from pipelines.config.usual_places import S4NET_RUN


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CommonConfig):
    """Settings of `s4 train`: the salient-instance network."""

    command: ClassVar[str] = "train"
    example: ClassVar[str] = "s4 train --images DIR --annotations train.json"

    images: Path = opt(REQUIRED, "Folder of the pictures.", must_be="folder")
    annotations: Path = opt(REQUIRED, "COCO JSON file with the instances of the training pictures.", must_be="file")
    val_annotations: Path | None = opt(
        None, "COCO JSON file with the instances to evaluate on during training.", must_be="file"
    )
    run: Path = opt(S4NET_RUN, "Folder of this run. The command creates the folder.", may_change=True)
    preset: Preset = opt("modern", PRESET)
    trunk: str = opt("efficientnet_lite0", "Trunk under the feature pyramid: any name of the timm library.")
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS, words=TRUNK_WEIGHT_WORDS, must_be="tensors")
    roi: Literal["ternary", "expanded", "binary", "roialign", "roipool"] = opt(
        "ternary", "How the mask branch sees a box and its surroundings."
    )
    alpha: float = opt(
        1 / 3, "Width of the ring around a box, as a share of the box (paper: 1/3 is best).", at_least=0, at_most=1
    )
    mask_slack: float | None = opt(None, MASK_SLACK, at_least=0, at_most=1)
    proposals: int = opt(20, "Boxes per picture that go to the mask branch.", at_least=1, at_most=100)
    steps: int | None = opt(None, PRESET_STEPS, at_least=1)
    batch_size: int | None = opt(None, PRESET_BATCH_SIZE, at_least=1)
    image_size: int = opt(320, "Side in pixels to which pictures are scaled.", at_least=32)
    lr: float | None = opt(None, PRESET_LR, above=0)
    seed: int = opt(0, SEED, at_least=0)
    resume: bool = opt(False, RESUME, may_change=True)
    evaluate_every: int | None = opt(None, "Steps between evaluations. Unset: the number of the preset.", at_least=1)
