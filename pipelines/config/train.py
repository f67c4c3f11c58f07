"""Settings of `s4 train`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pipelines.config.base import (
    DEVICES,
    LARGEST_RATE,
    LARGEST_SEED,
    MASK_SLACK,
    MOST_PICTURES,
    MOST_STEPS,
    PRESET,
    PRESET_BATCH_SIZE,
    PRESET_LR,
    PRESET_STEPS,
    REPORT,
    RESUME,
    SEED,
    TENSORBOARD,
    TRUNK_WEIGHT_WORDS,
    TRUNK_WEIGHTS,
    TRY_OUT,
    WEIGHT_WORDS,
    CommonConfig,
    Preset,
    require_tensorboard,
)
from pipelines.config.setting import REQUIRED, flag_of, opt
from pipelines.config.trunks import TRUNK_WORDS, require_trunks
from pipelines.config.usual_places import S4NET_RUN
from pipelines.errors import ConfigError

_USUAL: dict[str, Any] = {
    "preset": "modern",
    "trunk": "efficientnet_lite0",
    "trunk_weights": "imagenet",
    "roi": "ternary",
    "alpha": 1 / 3,
    "proposals": 20,
    "image_size": 320,
}
"""Values of settings that are left out, where no network to start from gives them."""
# What the weights of a network were learned for. Another value would need another network.
_STRUCTURE = ("preset", "trunk", "roi", "alpha")
_ADJUSTABLE = ("mask_slack", "proposals", "image_size")


def _or_of_start(help: str, name: str) -> str:
    """Return help that names the usual value, and the network that may give another one."""
    usual = _USUAL[name]
    return f"{help} Unset: {f'{usual:.4g}' if isinstance(usual, float) else usual}, or as in --start-from."


def _require_whole_cells(image_size: int) -> None:
    """Refuse a size whose coarsest features would not fit the finer ones.

    Raises:
        ConfigError: It is no multiple of 32 [setting-value].
    """
    if image_size % 32:
        message = f"--image-size: {image_size} given, a multiple of 32 expected"
        raise ConfigError(f"{message}; take {32 * round(image_size / 32)}", "setting-value")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CommonConfig):
    """Settings of `s4 train`: the salient-instance network.

    With `start_from`, settings of the network's structure are None until `started_from` fills them in.
    """

    command: ClassVar[str] = "train"
    example: ClassVar[str] = "s4 train --images DIR --annotations train.json"

    images: Path = opt(REQUIRED, "Folder of the pictures.", must_be="folder")
    annotations: Path = opt(REQUIRED, "COCO JSON file with the instances of the training pictures.", must_be="file")
    val_annotations: Path | None = opt(
        None, "COCO JSON file with the instances to evaluate on during training.", must_be="file"
    )
    run: Path = opt(S4NET_RUN, "Folder of this run. The command creates the folder.", may_change=True, writes="run")
    start_from: Path | None = opt(
        None,
        "Trained S4Net to fine-tune: run folder (its best checkpoint, else the last), file, or builtin for the one "
        "that ships. --preset, --trunk, --roi and --alpha are those of this network.",
        words=WEIGHT_WORDS,
        must_be="weights",
        to_begin=True,
    )
    preset: Preset = opt(None, _or_of_start(PRESET, "preset"), found=True)
    trunk: str = opt(
        None,
        _or_of_start(f"Trunk under the feature pyramid. {TRUNK_WORDS}", "trunk"),
        check=require_trunks,
        found=True,
    )
    trunk_weights: str = opt(
        None,
        f"{TRUNK_WEIGHTS} Unset: imagenet. --start-from excludes it.",
        words=TRUNK_WEIGHT_WORDS,
        must_be="tensors",
        found=True,
        to_begin=True,
    )
    roi: Literal["ternary", "expanded", "binary", "roialign", "roipool"] = opt(
        None, _or_of_start("How the mask branch sees a box and its surroundings.", "roi"), found=True
    )
    alpha: float = opt(
        None,
        _or_of_start("Width of the ring around a box, as a share of the box (paper: 1/3 is best).", "alpha"),
        at_least=0,
        at_most=1,
        found=True,
    )
    mask_slack: float | None = opt(None, MASK_SLACK, at_least=0, at_most=1)
    proposals: int = opt(
        None,
        _or_of_start("Boxes per picture that go to the mask branch.", "proposals"),
        at_least=1,
        at_most=100,
        found=True,
    )
    steps: int | None = opt(None, PRESET_STEPS, at_least=1, at_most=MOST_STEPS)
    batch_size: int | None = opt(None, PRESET_BATCH_SIZE, at_least=1, at_most=MOST_PICTURES)
    image_size: int = opt(
        None,
        _or_of_start("Side in pixels to which pictures are scaled, a multiple of 32.", "image_size"),
        at_least=32,
        at_most=1280,
        check=_require_whole_cells,
        found=True,
    )
    lr: float | None = opt(None, PRESET_LR, above=0, at_most=LARGEST_RATE)
    seed: int = opt(0, SEED, at_least=0, at_most=LARGEST_SEED)
    devices: int = opt(1, DEVICES, at_least=1, at_most=64, may_change=True)
    resume: bool = opt(False, RESUME, may_change=True)
    dry_run: bool = opt(False, TRY_OUT, may_change=True)
    report: bool = opt(True, REPORT, may_change=True)
    tensorboard: bool = opt(False, TENSORBOARD, may_change=True, check=require_tensorboard)
    evaluate_every: int | None = opt(
        None, "Steps between evaluations. Unset: the number of the preset.", at_least=1, at_most=MOST_STEPS
    )

    def __post_init__(self) -> None:
        """Check each field, and fill in what was left out, unless a network to start from gives it.

        Raises:
            ConfigError: As `StageConfig`. Or `start_from` and `trunk_weights` are both given [setting-value].
        """
        super().__post_init__()
        if self.start_from is not None:
            if self.trunk_weights is not None:
                found = f"--start-from {self.start_from} and --trunk-weights {self.trunk_weights}: both given"
                raise ConfigError(f"{found}, one of them expected; leave one out", "setting-value")
            return
        for name, value in _USUAL.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def started_from(self, network: "TrainConfig") -> Self:
        """Return the same settings for a training that starts from a network, with its values for what was left out.

        Args:
            network: Settings of the training that made the network.

        Raises:
            ConfigError: Settings ask for another network [start-differs]. The message names all of them.
        """
        other = []
        for name in _STRUCTURE:
            asked, has = getattr(self, name), getattr(network, name)
            if asked is not None and asked != has:
                other.append(f"{flag_of(name)} {asked} given, {has} expected")
        if other:
            message = f"--start-from {self.start_from}: another network asked for ({'; '.join(other)})"
            raise ConfigError(f"{message}; leave that out, or train without --start-from", "start-differs")
        names = (name for name in (*_STRUCTURE, *_ADJUSTABLE) if getattr(self, name) is None)
        return replace(self, **{name: getattr(network, name) for name in names})
