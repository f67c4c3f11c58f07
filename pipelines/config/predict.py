"""Settings of `s4 predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import RETRY_FAILED, SCALES, CommonConfig, CrfPreset
from pipelines.config.setting import REQUIRED, opt
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PredictConfig(CommonConfig):
    """Settings of `s4 predict`: label maps or instances of many pictures, as files."""

    command: ClassVar[str] = "predict"

    images: Path | None = opt(None, "Folder of the pictures, with its sub-folders and tar shards.")
    voc: Path | None = opt(None, "VOC folder with the list of the pictures, instead of --images.")
    split: str = opt("test", "With --voc: the name of the list.")
    weights: Path = opt(REQUIRED, "DeepLab or S4Net: run folder (its best checkpoint) or file.")
    out: Path = opt(REQUIRED, "Folder of the results. Pictures that have a result there are skipped.")
    scales: str = opt("1.0", "DeepLab: picture scales to average over.", form=SCALES)
    flip: bool = opt(False, "Average over the picture and its mirror image.")
    crf: bool = opt(False, "DeepLab: refine the probabilities with a dense CRF.")
    crf_preset: CrfPreset = opt("deeplab", "With --crf: the published kernels to use.")
    min_score: float = opt(0.1, "S4Net: leave out instances with a lower score.", at_least=0, at_most=1)
    retry_failed: bool = opt(False, RETRY_FAILED)

    def __post_init__(self) -> None:
        """Check each field, and that the pictures come from one place."""
        super().__post_init__()
        if (self.images is None) == (self.voc is None):
            given = "neither" if self.images is None else "both"
            message = f"--images and --voc: {given} given, one of them expected; name where the pictures are"
            raise ConfigError(message, "setting-value")

    @property
    def scale_list(self) -> tuple[float, ...]:
        """The numbers in `scales`."""
        return tuple(float(scale) for scale in self.scales.split(","))
