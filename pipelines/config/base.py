"""Settings that several commands share, and the help of flags that mean the same in each."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from pipelines.config.setting import StageConfig, opt
from pipelines.config.usual_places import BUILTIN
from pipelines.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]
"""Number format of the networks."""
Preset = Literal["paper", "release", "modern"]
"""Presets of `s4net.build_s4net`, named here without torch."""
CrfPreset = Literal["deeplab", "psa", "irn-label", "mct-seg"]
"""Names of `deeplab.crf.CRF_PRESETS`, without torch."""

DEVICE = (r"auto|cpu|cuda(:[0-9]{1,3})?", "auto, cpu, cuda or cuda:N")
"""Form of a device, and a description of the form."""
_SCALE = r"(10(\.0*)?|[1-9](\.[0-9]*)?|0?\.(0[1-9]|[1-9])[0-9]*)"
SCALES = (rf"{_SCALE}(,{_SCALE}){{0,19}}", "numbers from 0.01 to 10 with commas, such as 0.5,1.0,1.5")
"""Form of a list of picture scales, and a description of the form."""

ADDRESSES = "They may lie at an address, such as s3://bucket/folder."
ALLOW_UNPLACED = (
    "Go on if more than a tenth of the pictures lie in folders that name no class. These pictures are left out."
)
_LONGEST_LIST = 200
MOST_STEPS = 1_000_000_000
MOST_PICTURES = 65_536
"""Most pictures in a batch."""
MOST_PIXELS = 8_192
"""Longest side in pixels of what a network reads."""
MOST_THREADS = 1_024
MOST_ITEMS = 1_000_000
"""Most of anything else that is counted."""
LARGEST_RATE = 100.0
"""Largest learning rate. Larger ones are slips of the pen."""
LARGEST_SEED = 2**62
"""Largest seed. Generators take 63 bits, and some commands add to the seed."""
CLASSES = (
    "Class list: voc, a file with one class name per line, or auto. auto takes the names that the keywords use. Unset: "
    "voc, or auto if no keyword is a class of voc."
)
CLASS_WORDS = ("voc", "auto")
"""Class lists that are no file."""
KEYWORDS_FOR_ALL = "Several --images may have a source each, in the same order, or share one."
DEVICES = (
    "Processes to train in, one for each GPU; on a processor they share the cores. They divide the pictures of a step, "
    "so --batch-size has to be a multiple."
)
DRY_RUN = "Check all inputs and count the work, then stop."
TRY_OUT = (
    "Check all inputs, then stop. Every picture and mask is decoded, all faults are listed, and all weights are looked "
    "for. A few steps or pictures tell how long the work will take. Nothing is written."
)
MASK_SLACK = (
    "How far a mask may reach beyond its box, as a share of the box. Unset: the value of the preset (paper: 0)."
)
PRESET = "Training recipe and network variant."
PRESET_BATCH_SIZE = "Pictures per step. Unset: the number of the preset."
PRESET_LR = "Peak learning rate. Unset: the rate of the preset."
PRESET_STEPS = "Optimiser steps. Unset: the number of the preset."
REPORT = "Write report.html beside the result: pictures, curves, figures and settings in one file."
RESUME = "Continue the run in --run with the settings saved there."
SALIENT_WEIGHTS = (
    "Salient-instance network: run folder (its best checkpoint, else the last), file, or builtin for the one that "
    "ships. Unset: runs/s4net if it has a network, else builtin."
)
RETRY_FAILED = "Try pictures again that failed before."
SEED = "Seed of every random choice."
TENSORBOARD = "Write TensorBoard events to the folder tensorboard of the run as well. It takes the extra tensorboard."
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
"""Endings of the names of videos, in small letters."""
TRUNK_WEIGHTS = "Weights that the trunk starts from: imagenet (from the timm library), none, or a file."
TRUNK_WEIGHT_WORDS = ("imagenet", "none")
"""Weights of a trunk that are no file."""
WEIGHT_WORDS = (BUILTIN,)
"""Weights of a salient-instance network that are no run and no file."""


def require_tensorboard(wanted: bool) -> None:
    """Check that TensorBoard is installed, if its events are wanted.

    Raises:
        ConfigError: It is not [extra-missing].
    """
    if wanted and importlib.util.find_spec("tensorboard") is None:
        found = "--tensorboard: tensorboard not installed, expected for its events"
        raise ConfigError(f"{found}; install it: pip install 's4-segmentation[tensorboard]'", "extra-missing")


def is_video(path: PurePath) -> bool:
    """Return whether a path has the name of a video."""
    return path.name.lower().endswith(VIDEO_SUFFIXES)


def require_video(what: str) -> None:
    """Check that videos can be read and written.

    Args:
        what: The video, or the setting that asks for one.

    Raises:
        ConfigError: PyAV is not installed [extra-missing].
    """
    if importlib.util.find_spec("av") is None:
        found = f"{what}: PyAV not installed, expected for videos"
        raise ConfigError(f"{found}; install it: pip install 's4-segmentation[video]'", "extra-missing")


def require_one_source_each(images: Sequence[Path], keywords: Sequence[str]) -> None:
    """Check that folders of pictures share one source of keywords, or have one each.

    Raises:
        ConfigError: There are more or fewer sources [setting-value].
    """
    if len(keywords) not in (1, len(images)):
        raise ConfigError(
            f"--keywords: {len(keywords)} given with {len(images)} --images, one for each or one for all expected; "
            "give one source for each folder in the same order, or one alone",
            "setting-value",
        )


def require_list_name(split: str) -> None:
    """Check that a file can have the name of a list.

    Raises:
        ConfigError: The name is too long [setting-value].
    """
    length = len(split.encode("utf-8", "surrogateescape"))
    if length > _LONGEST_LIST:
        message = f"--split: a name of {length:,} bytes given, at most {_LONGEST_LIST} expected"
        raise ConfigError(f"{message}; name a list of the data set, such as train", "setting-value")


@dataclass(frozen=True, kw_only=True)
class CommonConfig(StageConfig):
    """Settings that every stage has; apart from rounding, none of them changes the result."""

    device: str = opt("auto", "Device to compute on. auto: a GPU if there is one.", form=DEVICE, may_change=True)
    precision: Precision = opt("auto", "Number format of the networks. auto: bf16 if the device is fast at it.")
    workers: int = opt(
        2,
        "Threads that prepare pictures. With 0, the main thread prepares the pictures.",
        at_least=0,
        at_most=MOST_THREADS,
        may_change=True,
    )
