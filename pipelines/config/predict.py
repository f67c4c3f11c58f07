"""Settings of `s4 predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CRF_PRESETS, SCALES, CommonConfig
from pipelines.config.setting import REQUIRED, opt
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PredictConfig(CommonConfig):
    """Settings of `s4 predict`: label maps or instances of many pictures, as files."""

    command: ClassVar[str] = "predict"

    images: Path | None = opt(None, "Folder of the pictures, sub-folders and tar shards included.")
    voc: Path | None = opt(None, "VOC folder whose list of pictures to take, instead of --images.")
    split: str = opt("test", "With --voc: its list.")
    weights: Path = opt(REQUIRED, "DeepLab or S4Net: run folder (its best checkpoint) or file.")
    out: Path = opt(REQUIRED, "Folder of the results; started again, the command finishes what is missing.")
    scales: str = opt("1.0", "DeepLab: picture scales to average over.", form=SCALES)
    flip: bool = opt(False, "Let the network read each picture mirrored too.")
    crf: bool = opt(False, "DeepLab: refine the probabilities with a dense CRF.")
    crf_preset: str = opt("deeplab", "With --crf: its kernels, as published.", choices=CRF_PRESETS)
    min_score: float = opt(0.1, "S4Net: leave out instances scored below this.", at_least=0, at_most=1)
    retry_failed: bool = opt(False, "Do the pictures again that failed before.")

    def __post_init__(self) -> None:
        """Checks each field, and that the pictures come from one place."""
        super().__post_init__()
        if (self.images is None) == (self.voc is None):
            given = "neither" if self.images is None else "both"
            message = f"--images and --voc: {given} given, one of them expected; name where the pictures are"
            raise ConfigError(message, "setting-value")

    @property
    def scale_list(self) -> tuple[float, ...]:
        """`scales` as numbers."""
        return tuple(float(scale) for scale in self.scales.split(","))
