"""Settings of `s4 ablate`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pipelines.config.base import (
    CLASS_WORDS,
    CLASSES,
    DRY_RUN,
    LARGEST_RATE,
    MASK_SLACK,
    MOST_PICTURES,
    MOST_PIXELS,
    MOST_STEPS,
    PRESET,
    PRESET_BATCH_SIZE,
    PRESET_LR,
    PRESET_STEPS,
    SALIENT_WEIGHTS,
    TRUNK_WEIGHT_WORDS,
    TRUNK_WEIGHTS,
    WEIGHT_WORDS,
    CommonConfig,
    Preset,
    require_list_name,
)
from pipelines.config.setting import REQUIRED, Tell, opt, require_all
from pipelines.config.trunks import TRUNK_WORDS, require_trunks
from pipelines.config.usual_places import salient_network
from pipelines.errors import ConfigError

LABEL_TABLE = 5
"""The table that compares what labels are made from."""
LABEL_SETTINGS = (
    "voc", "split", "val_split", "keywords", "classes", "weights", "instances", "assign", "min_score", "network",
    "loss", "crop",
)  # fmt: skip
"""Settings that no other table has."""
_STRATEGIES = ("random", "single", "attention", "graph", "auto")
_STRATEGY = f"({'|'.join(_STRATEGIES)})"
_NEEDED = ("images", "annotations", "test_annotations")
_LABEL_EXAMPLE = "s4 ablate --table 5 --voc VOCDIR --split train --val-split val --out table5"
_RECIPE = "Table 5: that of the network's recipe."


@dataclass(frozen=True, kw_only=True)
class AblateConfig(CommonConfig):
    """Settings of `s4 ablate`: the comparisons of the paper, trained and scored on any data set."""

    command: ClassVar[str] = "ablate"
    example: ClassVar[str] = (
        "s4 ablate --table 1 --images DIR --annotations train.json --test-annotations test.json --out tables"
    )

    table: int = opt(
        REQUIRED,
        "Table of the paper: 1 RoI layers, 2 ring width, 3 trunks, 4 other methods, 5 sources of labels.",
        at_least=1,
        at_most=LABEL_TABLE,
    )
    images: Path | None = opt(None, "Folder of the pictures. Tables 1 to 4 need it.", must_be="folder")
    annotations: Path | None = opt(
        None, "COCO JSON file with the instances of the training pictures. Tables 1 to 4 need it.", must_be="file"
    )
    test_annotations: Path | None = opt(
        None, "COCO JSON file with the instances of the pictures to score on. Tables 1 to 4 need it.", must_be="file"
    )
    val_annotations: Path | None = opt(
        None,
        "COCO JSON file with the instances that choose the best checkpoint. Unset: the last checkpoint counts.",
        must_be="file",
    )
    out: Path = opt(
        REQUIRED,
        "Folder of the study, shared by all tables. Finished trainings in the folder are kept.",
        writes="study",
    )
    preset: Preset = opt("modern", PRESET)
    trunk: str = opt("resnet50", f"Trunk of tables 1, 2 and 4. {TRUNK_WORDS}", check=require_trunks)
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS, words=TRUNK_WEIGHT_WORDS, must_be="tensors")
    trunks: str = opt(
        "resnet101,resnet50,vgg16,mobilenet_v1",
        "Trunks of table 3.",
        form=(r"[\w./-]+(,[\w./-]+)*", "names with commas, such as resnet50,vgg16"),
        check=lambda names: require_trunks(names, "--trunks"),
    )
    mask_slack: float | None = opt(None, MASK_SLACK, at_least=0, at_most=1)
    steps: int | None = opt(None, f"{PRESET_STEPS} {_RECIPE}", at_least=1, at_most=MOST_STEPS)
    batch_size: int | None = opt(None, f"{PRESET_BATCH_SIZE} {_RECIPE}", at_least=1, at_most=MOST_PICTURES)
    image_size: int = opt(320, "Side in pixels to which pictures are scaled.", at_least=32, at_most=MOST_PIXELS)
    lr: float | None = opt(None, f"{PRESET_LR} {_RECIPE}", above=0, at_most=LARGEST_RATE)
    seeds: str = opt(
        "0,1,2",
        "Random seeds. Every row is trained once with each seed.",
        form=(r"[0-9]{1,18}(,[0-9]{1,18}){0,999}", "whole numbers with commas, such as 0,1,2"),
    )
    voc: Path | None = opt(
        None,
        "VOC folder with the pictures, the lists, and the true label maps of the pictures to score on. Table 5 needs "
        "it.",
        must_be="voc",
    )
    split: str = opt("train", "Table 5: list of the pictures to label and to train on.", check=require_list_name)
    val_split: str = opt("val", "Table 5: list of the pictures to score on.", check=require_list_name)
    keywords: tuple[str, ...] = opt(
        "auto",
        "Table 5: image-level keywords, as for s4 pseudo-label: auto, or a file.",
        words=("auto",),
        must_be="path",
    )
    classes: str | None = opt(None, f"Table 5: {CLASSES[0].lower()}{CLASSES[1:]}", words=CLASS_WORDS, must_be="file")
    weights: Path | None = opt(
        None, f"Table 5: {SALIENT_WEIGHTS[0].lower()}{SALIENT_WEIGHTS[1:]}", words=WEIGHT_WORDS, must_be="weights"
    )
    instances: tuple[Path, ...] | None = opt(
        None,
        "Table 5: saliency maps or masks of another program, as for s4 pseudo-label. May be given several times. Each "
        "has two rows: the union of its masks, and attention with that union.",
        must_be="path",
    )
    assign: str = opt(
        ",".join(_STRATEGIES),
        "Table 5: strategies that give instances their keywords, a row for each, see s4 pseudo-label. auto is s4 "
        "pseudo-label without any flag. The others go without its helpers --cells and --recognise.",
        form=(rf"{_STRATEGY}(,{_STRATEGY})*", f"some of {', '.join(_STRATEGIES)} with commas"),
    )
    min_score: float = opt(0.3, "Table 5: leave out instances with a lower score.", at_least=0, at_most=1)
    network: Literal["vgg16", "resnet101", "efficientnet_lite0"] = opt(
        "efficientnet_lite0", "Table 5: DeepLab that is trained on the labels of each row."
    )
    loss: Literal["plain", "balanced", "bootstrapped", "soft"] = opt(
        "plain", "Table 5: form of the cross-entropy, see s4 deeplab-train."
    )
    crop: int = opt(
        321, "Table 5: side in pixels of the square training crops of DeepLab.", at_least=32, at_most=MOST_PIXELS
    )
    dry_run: bool = opt(False, DRY_RUN)

    def __post_init__(self) -> None:
        """Check each field, that the table has its data, and that nothing is named twice."""
        super().__post_init__()
        require_all(type(self), vars(self))
        lists = {"--trunks": self.trunk_list, "--seeds": self.seed_list, "--assign": self.assign_list}
        for flag, names in lists.items():
            if len(set(names)) < len(names):
                given = ",".join(map(str, names))
                raise ConfigError(f"{flag}: {given} given, each once expected; change it", "setting-value")

    @classmethod
    def needed(cls, values: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
        """Return the names of the data that the table needs, and a command line that has them."""
        return (("voc",), _LABEL_EXAMPLE) if values.get("table") == LABEL_TABLE else (_NEEDED, cls.example)

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the network of `runs/s4net`, or the one that ships, if Table 5 was given none.

        Raises:
            ConfigError: There is neither [setting-missing].
        """
        if self.table != LABEL_TABLE or self.weights is not None:
            return self
        return replace(self, weights=salient_network("--weights", f"{_LABEL_EXAMPLE} --weights RUN", tell))

    @property
    def assign_list(self) -> tuple[str, ...]:
        """The strategies in `assign`."""
        return tuple(self.assign.split(","))

    @property
    def trunk_list(self) -> tuple[str, ...]:
        """The names in `trunks`."""
        return tuple(self.trunks.split(","))

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The numbers in `seeds`."""
        return tuple(int(seed) for seed in self.seeds.split(","))
