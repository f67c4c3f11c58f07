"""Settings of `s4 pseudo-label`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CRF_PRESETS, TRUNK_WEIGHTS, CommonConfig
from pipelines.config.setting import REQUIRED, opt
from pipelines.errors import ConfigError


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
