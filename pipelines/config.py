"""The settings of every stage: the only place where a default is written.

One frozen dataclass per stage. A field is at once an attribute, a TOML key and a flag: `min_score` is `--min-score`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines.errors import ConfigError
from pipelines.settings import REQUIRED, Config, StageConfig, from_json, opt, resolve_with, to_json, to_toml

__all__ = [
    "STAGES",
    "AblateConfig",
    "BenchConfig",
    "DeepLabTrainConfig",
    "DemoConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "PseudoLabelConfig",
    "StageConfig",
    "TrainConfig",
    "from_json",
    "resolve",
    "to_json",
    "to_toml",
]

_TRUNK_WEIGHTS = "Trunk weights: imagenet (from the model library), none, or a file."
CRF_PRESETS = ("deeplab", "psa", "irn-label", "mct-seg")
"""Names of `deeplab.crf.CRF_PRESETS`, without torch."""
_SCALE = r"([1-9]\d*(\.\d*)?|0?\.\d*[1-9]\d*)"
_MASK_SLACK = "How far a mask may leave its box, as a share of the box; unset, the preset's (paper: 0)."
_RESUME = "Go on with the run in --run; its own settings hold."


@dataclass(frozen=True, kw_only=True)
class CommonConfig(StageConfig):
    """Settings that every stage has; none of them alters what is computed beyond rounding."""

    device: str = opt(
        "auto",
        "Where to compute; auto takes a GPU where there is one.",
        form=(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N"),
        may_change=True,
    )
    precision: str = opt(
        "auto", "Arithmetic of the networks; auto takes bf16 where it is fast.", choices=("auto", "fp32", "bf16")
    )
    workers: int = opt(2, "Threads that prepare pictures; 0 does it in the main one.", at_least=0, may_change=True)


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
    trunk_weights: str = opt("imagenet", _TRUNK_WEIGHTS)
    roi: str = opt(
        "ternary",
        "How the mask branch sees a box and its surroundings.",
        choices=("ternary", "expanded", "binary", "roialign", "roipool"),
    )
    alpha: float = opt(
        1 / 3, "Width of the ring around a box, as a share of the box (paper: 1/3 is best).", at_least=0, at_most=1
    )
    mask_slack: float | None = opt(None, _MASK_SLACK, at_least=0, at_most=1)
    proposals: int = opt(20, "Boxes sent to the mask branch per picture.", at_least=1, at_most=100)
    steps: int | None = opt(None, "Optimiser steps; unset, the preset's.", at_least=1)
    batch_size: int | None = opt(None, "Pictures per step; unset, the preset's.", at_least=1)
    image_size: int = opt(320, "Side in pixels to which pictures are scaled.", at_least=32)
    lr: float | None = opt(None, "Peak learning rate; unset, the preset's.", above=0)
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    resume: bool = opt(False, _RESUME, may_change=True)
    evaluate_every: int | None = opt(None, "Steps between evaluations; unset, the preset's.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class PseudoLabelConfig(CommonConfig):
    """Settings of `s4 pseudo-label`: label maps from salient instances and image-level keywords."""

    command: ClassVar[str] = "pseudo-label"

    images: Path = opt(REQUIRED, "Folder of the pictures to label, sub-folders included.")
    weights: Path | None = opt(None, "Salient-instance network: run folder (its best checkpoint) or file.")
    instances: Path | None = opt(
        None, "Instances from elsewhere, in place of a network: COCO JSON, or a folder of masks."
    )
    keywords: str = opt(
        "auto",
        "Image-level keywords: auto (folder names, VOC lists, VOC XML), a file (CSV, COCO JSON, cls_labels.npy, "
        "train_cls.txt) or SBD's cls folder.",
    )
    out: Path = opt(REQUIRED, "Label folder; started again, the command finishes what is missing.")
    classes: str = opt("voc", "Class list: voc, or a file with one name a line.")
    split: str | None = opt(None, "Label only the pictures of this list of the data set.")
    assign: str = opt(
        "auto",
        "How instances get keywords; auto uses the attention network only where a picture has several.",
        choices=("auto", "single", "attention"),
    )
    min_score: float = opt(0.3, "Drop instances scored below this.", at_least=0, at_most=1)
    trunk: str = opt("efficientnet_lite0", "Trunk of the attention network: any name of the timm library.")
    trunk_weights: str = opt("imagenet", _TRUNK_WEIGHTS)
    margin: float = opt(
        0.05,
        "Mark an instance as unsure (255) when its best keyword leads the second by less.",
        at_least=0,
        at_most=1,
    )
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    shard: str | None = opt(
        None, "Do only part I of N, counted from 1.", form=(r"[1-9]\d*/[1-9]\d*", "I/N, such as 1/4")
    )
    dry_run: bool = opt(False, "Check everything and count the work, but do nothing.")
    retry_failed: bool = opt(False, "Do the pictures again that failed before.")

    def __post_init__(self) -> None:
        """Checks each field, that instances come from one source, and that the part exists."""
        super().__post_init__()
        if (self.weights is None) == (self.instances is None):
            given = "neither" if self.weights is None else "both"
            message = f"--weights and --instances: {given} given, one of them expected; name what finds the instances"
            raise ConfigError(message, "setting-value")
        index, count = self.part
        if index >= count:
            message = f"--shard: part {index + 1} of {count} given, a part from 1 to {count} expected; change it"
            raise ConfigError(message, "setting-value")

    @property
    def part(self) -> tuple[int, int]:
        """`shard` as numbers: the part, counted from 0, and how many there are; (0, 1) for all the work."""
        if self.shard is None:
            return 0, 1
        index, count = self.shard.split("/")
        return int(index) - 1, int(count)


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
    trunk_weights: str = opt("imagenet", _TRUNK_WEIGHTS)
    steps: int | None = opt(None, "Optimiser steps; unset, the network's recipe.", at_least=1)
    batch_size: int | None = opt(None, "Pictures per step; unset, the recipe's.", at_least=1)
    crop: int = opt(321, "Side in pixels of the square crops that are trained on.", at_least=32)
    lr: float | None = opt(None, "Peak learning rate of the trunk; unset, the network's.", above=0)
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    resume: bool = opt(False, _RESUME, may_change=True)
    val_voc: Path | None = opt(None, "VOC folder on whose val list to evaluate while training.")
    evaluate_every: int | None = opt(None, "Steps between evaluations; unset, at the end only.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(CommonConfig):
    """Settings of `s4 evaluate`: mIoU of predictions or labels, or mask AP of instances."""

    command: ClassVar[str] = "evaluate"

    voc: Path | None = opt(None, "VOC folder with the true label maps.")
    split: str = opt("val", "List of the VOC folder to evaluate on.")
    weights: Path | None = opt(None, "Network to evaluate: run folder (its best checkpoint) or file.")
    predictions: Path | None = opt(None, "Folder of predicted label maps to evaluate, instead of a network.")
    labels: Path | None = opt(None, "Label folder whose own quality to measure, instead of a network's.")
    images: Path | None = opt(None, "Folder of the pictures, for mask AP.")
    annotations: Path | None = opt(None, "COCO JSON file with the true instances, for mask AP.")
    classes: str = opt("voc", "Class list: voc, or a file with one name a line.")
    scales: str = opt(
        "1.0",
        "Picture scales to average over.",
        form=(rf"{_SCALE}(,{_SCALE})*", "numbers above 0 with commas, such as 0.5,1.0,1.5"),
    )
    flip: bool = opt(False, "Average over the mirrored picture too.")
    crf: bool = opt(False, "Refine the network's probabilities with a dense CRF.")
    crf_preset: str = opt("deeplab", "With --crf: its kernels, as published.", choices=CRF_PRESETS)
    allow_missing: bool = opt(False, "Leave out pictures that have no prediction, instead of refusing.")
    save_predictions: Path | None = opt(None, "Folder to write the predicted label maps to.")
    foreground: bool = opt(
        False, "Score a salient-instance network on the VOC list: union of its instances against all classes together."
    )
    min_score: float = opt(0.5, "With --foreground: instances scored below this are left out.", at_least=0, at_most=1)


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
    trunk_weights: str = opt("imagenet", _TRUNK_WEIGHTS)
    trunks: str = opt(
        "resnet101,resnet50,vgg16,mobilenet_v1",
        "Trunks of table 3.",
        form=(r"[\w./-]+(,[\w./-]+)*", "names with commas, such as resnet50,vgg16"),
    )
    mask_slack: float | None = opt(None, _MASK_SLACK, at_least=0, at_most=1)
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


STAGES: dict[str, type[StageConfig]] = {
    stage.command: stage
    for stage in (
        TrainConfig,
        PseudoLabelConfig,
        DeepLabTrainConfig,
        EvaluateConfig,
        DemoConfig,
        AblateConfig,
        ExplainConfig,
        BenchConfig,
    )
}
"""The settings of every stage by the name of its command, in the order of the chain."""


def resolve(cls: type[Config], toml: Path | None, flags: Mapping[str, Any]) -> Config:
    """The settings of a stage: default < TOML file < flag; see `pipelines.settings.resolve_with`."""
    return resolve_with(STAGES, cls, toml, flags)
