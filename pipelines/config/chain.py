"""Settings of the chain: train, pseudo-label, deeplab-train, evaluate."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CRF_PRESETS, MASK_SLACK, RESUME, SCALES, TRUNK_WEIGHTS, CommonConfig
from pipelines.errors import ConfigError
from pipelines.settings import REQUIRED, opt


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
        "How instances of pictures with several keywords get theirs: not at all, by attention maps picture by picture, "
        "or all together; auto takes graph for a set with 20 such pictures. Random is for comparison.",
        choices=("auto", "single", "attention", "graph", "random"),
    )
    min_score: float = opt(0.3, "Drop instances scored below this.", at_least=0, at_most=1)
    sure_score: float = opt(
        0.5,
        "Leave open (255) what only instances scored below this cover, but for the best one of a picture.",
        at_least=0,
        at_most=1,
    )
    flip: bool = opt(False, "Let the salient-instance network read each picture mirrored too.")
    segmenter: Path | None = opt(
        None,
        "DeepLab of an earlier round: run folder or file; its probabilities, restricted to a picture's keywords, are "
        "fused with the instances.",
    )
    cues_of: Path | None = opt(
        None,
        "Label folder of an earlier round: what was found in its pictures is taken over, not looked for again.",
    )
    recognise: str = opt(
        "off",
        "Do not label what looks like none of the keywords to ImageNet's classifier: instances cut out of the picture, "
        "and with graph or cells parts of them, people by what they wear; for keywords that are VOC's names.",
        choices=("off", "imagenet"),
    )
    cells: str = opt(
        "auto",
        "Let a classifier of cells, learned from the labels of other pictures, have a say in each; auto does so for a "
        "set with 20 pictures whose keywords come from graph, or are single.",
        choices=("auto", "on", "off"),
    )
    refine: str = opt("none", "What moves the outlines of the labels to those of the picture.", choices=("none", "crf"))
    crf_preset: str = opt("irn-label", "With --refine crf: its kernels, as published.", choices=CRF_PRESETS)
    fill: bool = opt(False, "Of keywords that no instance got, label what their attention maps show.")
    border: int = opt(0, "Width in pixels of the strip around labels that is marked unsure (255).", at_least=0)
    least_foreground: float = opt(
        0.0, "Mark a picture as unknown (255) where labels cover a smaller share of it.", at_least=0, at_most=1
    )
    most_foreground: float = opt(1.0, "The same where they cover a larger share.", at_least=0, at_most=1)
    trunk: str = opt("efficientnet_lite0", "Trunk of the attention network: any name of the timm library.")
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS)
    margin: float = opt(
        0.05,
        "With --assign attention: mark an instance as unsure (255) when its best keyword leads the second by less.",
        at_least=0,
        at_most=1,
    )
    seed: int = opt(0, "Seed of every random choice.", at_least=0)
    shard: str | None = opt(
        None,
        "Do only part I of N, counted from 1; with --assign graph each part twice, all of them once before any again.",
        form=(r"[1-9]\d*/[1-9]\d*", "I/N, such as 1/4"),
    )
    dry_run: bool = opt(False, "Check everything and count the work, but do nothing.")
    retry_failed: bool = opt(False, "Do the pictures again that failed before.")

    def __post_init__(self) -> None:
        """Checks each field, that instances come from one source, that limits leave room, and that the part exists."""
        super().__post_init__()
        if (self.weights is None) == (self.instances is None):
            given = "neither" if self.weights is None else "both"
            message = f"--weights and --instances: {given} given, one of them expected; name what finds the instances"
            raise ConfigError(message, "setting-value")
        if self.flip and self.weights is None:
            message = "--flip: given with --instances, which no network finds, expected beside --weights; leave it out"
            raise ConfigError(message, "setting-value")
        if self.least_foreground > self.most_foreground:
            limits = f"--least-foreground {self.least_foreground} and --most-foreground {self.most_foreground}"
            message = f"{limits}: every picture is out of their range, the first one below expected; change them"
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
        form=SCALES,
    )
    flip: bool = opt(False, "Average over the mirrored picture too, for salient instances as well.")
    crf: bool = opt(False, "Refine the network's probabilities with a dense CRF.")
    crf_preset: str = opt("deeplab", "With --crf: its kernels, as published.", choices=CRF_PRESETS)
    allow_missing: bool = opt(False, "Leave out pictures that have no prediction, instead of refusing.")
    save_predictions: Path | None = opt(None, "Folder to write the predicted label maps to.")
    versus: Path | None = opt(
        None, "Other predictions of the same list to compare with: a folder of label maps, or a DeepLab's run."
    )
    foreground: bool = opt(
        False, "Score a salient-instance network on the VOC list: union of its instances against all classes together."
    )
    min_score: float = opt(0.5, "With --foreground: instances scored below this are left out.", at_least=0, at_most=1)
