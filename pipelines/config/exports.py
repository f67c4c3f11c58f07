"""Settings of the commands that put results into files for others: predict, convert."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CRF_PRESETS, SCALES, CommonConfig
from pipelines.errors import ConfigError
from pipelines.settings import REQUIRED, flag_of, opt


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


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(CommonConfig):
    """Settings of `s4 convert`: results in the form that others expect."""

    command: ClassVar[str] = "convert"

    to: str = opt(
        REQUIRED, "The form: archive for the VOC test server, or a table of keywords.", choices=("voc-server", "csv")
    )
    out: Path = opt(REQUIRED, "File to write: .tar.gz for voc-server, .csv for csv.")
    predictions: Path | None = opt(None, "voc-server: folder of the label maps, as predict writes it.")
    voc: Path | None = opt(None, "voc-server: VOC folder with the list and its pictures.")
    split: str | None = opt(None, "List of the data set; unset, test for voc-server and all pictures for csv.")
    competition: str = opt(
        "comp6",
        "voc-server: comp6 allows data from outside VOC, comp5 VOC alone; the salient instances of this chain come "
        "from outside.",
        choices=("comp5", "comp6"),
    )
    images: Path | None = opt(None, "csv: folder of the pictures.")
    keywords: str = opt("auto", "csv: where the keywords come from, as in pseudo-label.")
    classes: str = opt("voc", "csv: class list, voc or a file with one name a line.")

    def __post_init__(self) -> None:
        """Checks each field, and that those which the form needs are there, and no file of the other form."""
        super().__post_init__()
        needed, suffixes = {
            "voc-server": (("predictions", "voc"), (".tar.gz", ".tgz")),
            "csv": (("images",), (".csv",)),
        }[self.to]
        for name in ("predictions", "voc", "images"):
            given = getattr(self, name) is not None
            if given != (name in needed):
                found = "given" if given else "not given"
                expected = "left out" if given else "a path"
                message = f"{flag_of(name)}: {found} with --to {self.to}, {expected} expected; change it"
                raise ConfigError(message, "setting-value" if given else "setting-missing")
        if not self.out.name.lower().endswith(suffixes):
            message = f"--out: {self.out} given, a name ending in {' or '.join(suffixes)} expected; change it"
            raise ConfigError(message, "setting-value")
