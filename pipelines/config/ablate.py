"""Settings of `s4 ablate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import (
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
    TRUNK_WEIGHT_WORDS,
    TRUNK_WEIGHTS,
    CommonConfig,
    Preset,
)
from pipelines.config.setting import REQUIRED, opt
from pipelines.config.trunks import TRUNK_WORDS, require_trunks
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AblateConfig(CommonConfig):
    """Settings of `s4 ablate`: the comparisons of the paper, trained and scored on any data set."""

    command: ClassVar[str] = "ablate"
    example: ClassVar[str] = (
        "s4 ablate --table 1 --images DIR --annotations train.json --test-annotations test.json --out tables"
    )

    table: int = opt(
        REQUIRED, "Table of the paper: 1 RoI layers, 2 ring width, 3 trunks, 4 other methods.", at_least=1, at_most=4
    )
    images: Path = opt(REQUIRED, "Folder of the pictures.", must_be="folder")
    annotations: Path = opt(REQUIRED, "COCO JSON file with the instances of the training pictures.", must_be="file")
    test_annotations: Path = opt(
        REQUIRED, "COCO JSON file with the instances of the pictures to score on.", must_be="file"
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
    steps: int | None = opt(None, PRESET_STEPS, at_least=1, at_most=MOST_STEPS)
    batch_size: int | None = opt(None, PRESET_BATCH_SIZE, at_least=1, at_most=MOST_PICTURES)
    image_size: int = opt(320, "Side in pixels to which pictures are scaled.", at_least=32, at_most=MOST_PIXELS)
    lr: float | None = opt(None, PRESET_LR, above=0, at_most=LARGEST_RATE)
    seeds: str = opt(
        "0,1,2",
        "Random seeds. Every row is trained once with each seed.",
        form=(r"[0-9]{1,18}(,[0-9]{1,18}){0,999}", "whole numbers with commas, such as 0,1,2"),
    )
    dry_run: bool = opt(False, DRY_RUN)

    def __post_init__(self) -> None:
        """Check each field, and that no trunk or seed is named twice."""
        super().__post_init__()
        for flag, names in (("--trunks", self.trunk_list), ("--seeds", self.seed_list)):
            if len(set(names)) < len(names):
                given = ",".join(map(str, names))
                raise ConfigError(f"{flag}: {given} given, each once expected; change it", "setting-value")

    @property
    def trunk_list(self) -> tuple[str, ...]:
        """The names in `trunks`."""
        return tuple(self.trunks.split(","))

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The numbers in `seeds`."""
        return tuple(int(seed) for seed in self.seeds.split(","))
