"""Settings of `s4 pseudo-label`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from pipelines.config.base import (
    ADDRESSES,
    ALLOW_UNPLACED,
    CLASS_WORDS,
    CLASSES,
    KEYWORDS_FOR_ALL,
    LARGEST_SEED,
    MOST_PIXELS,
    MOST_THREADS,
    REPORT,
    RETRY_FAILED,
    SALIENT_WEIGHTS,
    SEED,
    TRUNK_WEIGHT_WORDS,
    TRUNK_WEIGHTS,
    TRY_OUT,
    WEIGHT_WORDS,
    CommonConfig,
    CrfPreset,
    require_list_name,
    require_one_source_each,
)
from pipelines.config.setting import REQUIRED, Tell, opt
from pipelines.config.shard import ADDRESS_FORM, ENGINE, RAY_ADDRESS, SHARD_FORM, Engine, Shard, require_engine
from pipelines.config.trunks import TRUNK_WORDS, require_trunks
from pipelines.config.usual_places import LABELS, salient_network
from pipelines.errors import ConfigError
from pipelines.stores.paths import require_no_cache


@dataclass(frozen=True, kw_only=True)
class PseudoLabelConfig(CommonConfig):
    """Settings of `s4 pseudo-label`: label maps from salient instances and image-level keywords."""

    command: ClassVar[str] = "pseudo-label"
    example: ClassVar[str] = "s4 pseudo-label --images DIR"

    images: tuple[Path, ...] = opt(
        REQUIRED,
        f"Folder of the pictures to label, with its sub-folders, or tar of pictures. Several may be given. {ADDRESSES}",
        argument="PICTURES",
        must_be="shards",
        elsewhere=True,
    )
    weights: Path | None = opt(None, SALIENT_WEIGHTS, words=WEIGHT_WORDS, must_be="weights", elsewhere=True)
    instances: Path | None = opt(
        None,
        "Instances of another program, instead of --weights. A file is COCO JSON or a COCO list of results. A folder "
        "holds masks, Segment Anything's JSON, or YOLO-seg's texts. Masks are black and white, grey, or saliency "
        "maps, or they have a palette, VOC's colours or a labelmap.txt.",
        must_be="path",
        elsewhere=True,
    )
    keywords: tuple[str, ...] = opt(
        "auto",
        "Image-level keywords: auto, a file, or the cls folder of SBD. auto reads folder names, VOC lists or VOC XML. "
        f"The file may be CSV, COCO JSON, cls_labels.npy or train_cls.txt. {KEYWORDS_FOR_ALL}",
        words=("auto",),
        must_be="path",
        elsewhere=True,
    )
    out: Path = opt(
        LABELS,
        "Label folder to write. Pictures that have a label there are skipped.",
        writes="labels",
        elsewhere=True,
    )
    classes: str | None = opt(None, CLASSES, words=CLASS_WORDS, must_be="file", elsewhere=True)
    allow_unplaced: bool = opt(False, ALLOW_UNPLACED)
    split: str | None = opt(
        None,
        "Label only the pictures in this list of the data set. Of several --images, folders without the list are "
        "labelled whole.",
        check=require_list_name,
    )
    assign: Literal["auto", "single", "attention", "graph", "random"] = opt(
        "auto",
        "How instances get their keywords in pictures with several keywords. single: such instances get no keyword. "
        "attention: attention maps decide, picture by picture. graph: the instances of all pictures decide together. "
        "auto: graph if there are 20 such pictures, else attention. random: for comparison only.",
    )
    min_score: float = opt(0.3, "Leave out instances with a lower score.", at_least=0, at_most=1)
    sure_score: float = opt(
        0.5,
        "Mark pixels as unknown (255) if only instances with a lower score cover them. The best instance of a picture "
        "is exempt.",
        at_least=0,
        at_most=1,
    )
    flip: bool = opt(False, "Average the salient-instance network over the picture and its mirror image.")
    segmenter: Path | None = opt(
        None,
        "DeepLab of an earlier round: run folder (its best checkpoint, else the last) or file. Labels then combine the "
        "instances with the probabilities that the DeepLab gives to the keywords of the picture.",
        must_be="weights",
        elsewhere=True,
    )
    cues_of: Path | None = opt(
        None,
        "Label folder of an earlier round. What the networks found in the pictures is copied from there, not computed "
        "again.",
        must_be="folder",
        elsewhere=True,
    )
    reviewed: Path | None = opt(
        None,
        "Label folder that was corrected with s4 review. Its corrected and accepted pictures keep their labels, and "
        "the other pictures learn from them. Add --cues-of with the same folder to save time.",
        must_be="folder",
    )
    recognise: Literal["auto", "imagenet", "off"] = opt(
        "auto",
        "Let an ImageNet classifier tell which parts of an instance look like a keyword. It recognises people by their "
        "clothes. Only keywords with VOC names are checked. Without graph and cells, only whole instances of animals "
        "are checked. auto: imagenet if every keyword can be checked and --trunk-weights is imagenet, else off.",
    )
    cells: Literal["auto", "on", "off"] = opt(
        "auto",
        "Let a classifier of image cells influence the labels. The classifier learns from the labels of other "
        "pictures. auto: on for 20 or more pictures, if graph assigns the keywords or every picture has a single "
        "keyword.",
    )
    refine: Literal["none", "crf"] = opt(
        "none", "Method that moves the outlines of the labels to edges in the picture."
    )
    crf_preset: CrfPreset = opt("irn-label", "With --refine crf: the published kernels to use.")
    fill: bool = opt(False, "If no instance got a keyword, label the pixels where attention maps show that keyword.")
    border: int = opt(
        0,
        "Width in pixels of a strip along label outlines that is marked as unknown (255).",
        at_least=0,
        at_most=MOST_PIXELS,
    )
    least_foreground: float = opt(
        0.0,
        "Mark a whole picture as unknown (255) if labels cover a smaller share of the picture.",
        at_least=0,
        at_most=1,
    )
    most_foreground: float = opt(
        1.0,
        "Mark a whole picture as unknown (255) if labels cover a larger share of the picture.",
        at_least=0,
        at_most=1,
    )
    trunk: str = opt("efficientnet_lite0", f"Trunk of the attention network. {TRUNK_WORDS}", check=require_trunks)
    trunk_weights: str = opt("imagenet", TRUNK_WEIGHTS, words=TRUNK_WEIGHT_WORDS, must_be="tensors", elsewhere=True)
    margin: float = opt(
        0.05,
        "With --assign attention: mark an instance as unknown (255) if the best keyword leads the second by less.",
        at_least=0,
        at_most=1,
    )
    seed: int = opt(0, SEED, at_least=0, at_most=LARGEST_SEED)
    shard: str | None = opt(
        None,
        "Label only part I of N, counted from 1. Start the command once for each part, from 1/N to N/N. With --assign "
        "graph or --cells, start all parts a second time after all parts have finished. The first time then only finds "
        "the instances, the second time writes the labels.",
        form=SHARD_FORM,
    )
    workers: int | None = opt(  # type: ignore[assignment]  # unset, it depends on the machine
        None,
        "Processes that work on the pictures, with one thread each. Unset: one for each core of the processor, or one "
        "in all if a GPU computes. Fewer than 16 pictures for each process take fewer processes. The labels do not "
        "depend on the number. With --engine ray: the most processes at a time. Unset: as many as the cluster has room "
        "for.",
        at_least=0,
        at_most=MOST_THREADS,
        may_change=True,
    )
    engine: Engine = opt("local", ENGINE, may_change=True)
    ray_address: str = opt("auto", RAY_ADDRESS, form=ADDRESS_FORM, may_change=True)
    dry_run: bool = opt(False, TRY_OUT)
    report: bool = opt(True, REPORT, may_change=True)
    retry_failed: bool = opt(False, RETRY_FAILED)

    def __post_init__(self) -> None:
        """Check each field, and what fields demand of each other."""
        super().__post_init__()
        require_no_cache("--out", self.out)
        require_one_source_each(self.images, self.keywords)
        if self.weights is not None and self.instances is not None:
            message = "--weights and --instances: both given, one of them expected; leave one out"
            raise ConfigError(message, "setting-value")
        if self.flip and self.instances is not None:
            message = "--flip: given with --instances, expected with --weights alone; leave it out"
            raise ConfigError(message, "setting-value")
        if self.reviewed is not None and self.reviewed.absolute() == self.out.absolute():
            message = f"--reviewed {self.reviewed}: the folder that --out names, another label folder expected"
            raise ConfigError(f"{message}; choose another --out", "setting-value")
        if self.least_foreground > self.most_foreground:
            limits = f"--least-foreground {self.least_foreground} and --most-foreground {self.most_foreground}"
            message = f"{limits}: every picture is out of their range, a smaller first one expected; change them"
            raise ConfigError(message, "setting-value")
        _ = self.part
        require_engine(self.engine, self.ray_address, self.device, vars(self).values())

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the network of `runs/s4net`, or the one that ships, if no source was given.

        Raises:
            ConfigError: There is neither [setting-missing].
        """
        if self.weights is not None or self.instances is not None:
            return self
        return replace(self, weights=salient_network("--weights", f"{self.example} --weights RUN", tell))

    @property
    def part(self) -> Shard:
        """`shard` as numbers; 1/1, all the work, where the setting is not given."""
        return Shard.parse(self.shard)
