"""Settings of `s4 predict`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pipelines.config.base import (
    ADDRESSES,
    MOST_ITEMS,
    MOST_PICTURES,
    MOST_THREADS,
    REPORT,
    RETRY_FAILED,
    SCALES,
    WEIGHT_WORDS,
    CommonConfig,
    CrfPreset,
    is_video,
    require_list_name,
    require_video,
)
from pipelines.config.setting import Tell, nearest, opt
from pipelines.config.shard import ADDRESS_FORM, ENGINE, RAY_ADDRESS, SHARD_FORM, Engine, Shard, require_engine
from pipelines.config.usual_places import PREDICTIONS, newest_network
from pipelines.errors import ConfigError
from pipelines.stores.paths import require_no_cache

VIEWS = ("overlay", "masks", "coco", "labelme", "cutout", "video")
"""Words of `--what`."""


def require_views(text: str) -> None:
    """Check the words of `--what`.

    Raises:
        ConfigError: A word is unknown [setting-value].
    """
    for word in text.split(","):
        if word.strip() not in VIEWS:
            message = f"--what: {word.strip() or 'nothing'} given, words of {', '.join(VIEWS)} with commas expected"
            raise ConfigError(f"{message}; {nearest(word, VIEWS)}", "setting-value")


@dataclass(frozen=True, kw_only=True)
class PredictConfig(CommonConfig):
    """Settings of `s4 predict`: label maps or instances of many pictures, as files."""

    command: ClassVar[str] = "predict"
    example: ClassVar[str] = "s4 predict pictures --weights RUN"

    images: tuple[Path, ...] | None = opt(
        None,
        "Pictures, videos, patterns such as '*.jpg', and folders with their sub-folders and tar shards. The videos of "
        f"a folder are taken if it holds no picture. {ADDRESSES}",
        argument="PICTURES",
        must_be="pictures",
        elsewhere=True,
    )
    voc: Path | None = opt(None, "VOC folder with the list of the pictures, instead of --images.", must_be="voc")
    split: str = opt("test", "With --voc: the name of the list.", check=require_list_name)
    weights: Path = opt(
        None,
        "DeepLab or S4Net: run folder (its best checkpoint, else the last), file, or builtin for the S4Net that ships. "
        "Unset: the newest run in runs, else builtin.",
        words=WEIGHT_WORDS,
        must_be="weights",
        found=True,
        elsewhere=True,
    )
    out: Path = opt(
        PREDICTIONS,
        "Folder of the results. Pictures that have a result there are skipped.",
        writes="predictions",
        elsewhere=True,
    )
    what: str | None = opt(
        None,
        "What to write for each picture beside the result of the network, with commas. overlay: the result drawn on "
        "the picture. masks: a PNG for each instance. coco: instances.json of all pictures. labelme: a file for "
        "labelme. cutout: a PNG of each instance or class, transparent around it. video: a film of the pictures of "
        "each folder, in the order of the numbers in their names. An S4Net always writes instances.json, and a DeepLab "
        "label maps.",
        check=require_views,
        may_change=True,
    )
    every: int = opt(1, "Videos: predict each N-th frame alone.", at_least=1, at_most=MOST_ITEMS)
    fps: float = opt(25.0, "With --what video: pictures a second.", at_least=0.1, at_most=1000, may_change=True)
    batch_size: int = opt(
        1,
        "S4Net: pictures in one pass of the network. A processor is not faster with more than one.",
        at_least=1,
        at_most=MOST_PICTURES,
        may_change=True,
    )
    scales: str = opt("1.0", "DeepLab: picture scales to average over.", form=SCALES)
    flip: bool = opt(False, "Average over the picture and its mirror image.")
    crf: bool = opt(False, "DeepLab: refine the probabilities with a dense CRF.")
    crf_preset: CrfPreset = opt("deeplab", "With --crf: the published kernels to use.")
    min_score: float = opt(0.1, "S4Net: leave out instances with a lower score.", at_least=0, at_most=1)
    shard: str | None = opt(
        None,
        "Predict only part I of N, counted from 1. Start the command once for each part, from 1/N to N/N, at the same "
        "time or one after the other.",
        form=SHARD_FORM,
    )
    workers: int | None = opt(  # type: ignore[assignment]  # unset, it depends on the machine
        None,
        "Processes that work on the pictures, with one thread each. Unset: one for each core of the processor. Fewer "
        "than 16 pictures for each process take fewer processes. If a GPU computes, these are threads that read "
        "pictures ahead, two if unset. With --engine ray: the most processes at a time. Unset: as many as the cluster "
        "has room for.",
        at_least=0,
        at_most=MOST_THREADS,
        may_change=True,
    )
    engine: Engine = opt("local", ENGINE, may_change=True)
    ray_address: str = opt("auto", RAY_ADDRESS, form=ADDRESS_FORM, may_change=True)
    retry_failed: bool = opt(False, RETRY_FAILED)
    report: bool = opt(True, REPORT, may_change=True)

    def __post_init__(self) -> None:
        """Check each field, and that the pictures come from one place."""
        super().__post_init__()
        require_no_cache("--out", self.out)
        if self.images is None and self.voc is None:
            message = "--images and --voc: neither given, one of them expected (pictures, or a VOC folder)"
            raise ConfigError(f"{message}; as in: {self.example}", "setting-missing")
        if self.images is not None and self.voc is not None:
            message = "--images and --voc: both given, one of them expected; leave one out"
            raise ConfigError(message, "setting-value")
        for wanted in ["--what video"] if "video" in self.views else filter(is_video, self.images or ()):
            require_video(str(wanted))
        _ = self.part
        require_engine(self.engine, self.ray_address, self.device, vars(self).values())

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the newest run in `runs`, or the network that ships, if none was given.

        Raises:
            ConfigError: There is neither [setting-missing].
        """
        if self.weights is not None:
            return self
        return replace(self, weights=newest_network("--weights", self.example, tell))

    @property
    def scale_list(self) -> tuple[float, ...]:
        """The numbers in `scales`."""
        return tuple(float(scale) for scale in self.scales.split(","))

    @property
    def views(self) -> tuple[str, ...]:
        """The words of `what`, each once."""
        return tuple(dict.fromkeys(word.strip() for word in (self.what or "").split(",") if word))

    @property
    def part(self) -> Shard:
        """`shard` as numbers; 1/1, all the work, where the setting is not given."""
        return Shard.parse(self.shard)
