"""The rows of Table 5: what labels are made from, and the figures of the paper.

Fan et al., "S4Net: Single Stage Salient-Instance Segmentation", CVPR 2019. The figures are mIoU on VOC 2012 val.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import ConfigError
from pipelines.labels.stored_work import Shape

TITLE = "What labels are made from"
REFERENCES = ("graph", "auto", "attention", "single", "random")
"""Strategies in the order in which they stand for the paper's row of salient instances."""
_LONGEST = 60  # letters of a file's name in that of a folder


@dataclass(frozen=True)
class PaperMiou:
    """A line of the paper's table.

    Attributes:
        cues: What the labels were made from, as the paper calls it.
        network: The DeepLab.
        miou: mIoU on VOC 2012 val in per cent.
    """

    cues: str
    network: str
    miou: float


DRFI = PaperMiou("saliency maps of DRFI", "DeepLab-VGG16", 49.8)
DSS = PaperMiou("saliency maps of DSS", "DeepLab-VGG16", 52.6)
ATTENTION_DSS = PaperMiou("attention with DSS", "DeepLab-VGG16", 53.8)
INSTANCES = PaperMiou("salient instances", "DeepLab-VGG16", 57.4)
INSTANCES_DEEP = PaperMiou("salient instances", "DeepLab-ResNet101", 61.8)
# The paper leaves its strategy to a supplement. Its authors published a graph over the instances of all pictures
# elsewhere (Fan et al., ECCV 2018).
OF_INSTANCES = (INSTANCES, INSTANCES_DEEP)
"""The figures for labels from instances, for the strategies that use all that pictures tell."""

NOTES = (
    "All rows but those of `--instances` come from the same instances of the same network, and from the same attention "
    "maps. The paper's saliency maps are those of other programs, DRFI and DSS.",
    "Saliency: the union of all instances is one mask. In a picture with one keyword it gets the keyword. In a picture "
    "with several keywords its pixels stay unknown, since nothing tells the keywords apart. The paper does not say "
    "how it does that.",
    "Attention: the pixels where the attention map of a keyword is strong, and the strongest of all.",
    "Attention with saliency: attention maps give the union its keyword, and cut out of it what shows other keywords.",
    "The labels of a row are made once, with seed 0. Seeds differ in the training of DeepLab alone.",
    "The paper's figures are of VOC 2012 val, of a training on ImageNet and VOC pictures, and perhaps with a CRF. "
    "Compare differences, not levels.",
)
"""What a reader must know to compare."""


@dataclass(frozen=True)
class LabelRow:
    """One row.

    Attributes:
        name: Name of the row, unique in the table.
        folder: Name of its folder in the study.
        shape: What labels are made from.
        assign: Strategy of `s4 pseudo-label` by which masks get their keywords.
        source: Masks of another program; None for the network.
        paper: The paper's figures for such a row.
    """

    name: str
    folder: str
    shape: Shape
    assign: str
    source: Path | None = None
    paper: Sequence[PaperMiou] = field(default=())


def label_rows(strategies: Sequence[str], sources: Sequence[Path]) -> list[LabelRow]:
    """Return the rows of the table, in its order.

    Args:
        strategies: Strategies of the rows from instances.
        sources: Masks of other programs; two rows for each.

    Raises:
        ConfigError: Two sources have the same name [setting-value].
    """
    rows = [
        LabelRow("saliency", "saliency", "saliency", "single", paper=(DRFI, DSS)),
        LabelRow("attention", "attention", "attention", "single"),
        LabelRow("attention with saliency", "attention-saliency", "saliency", "attention", paper=(ATTENTION_DSS,)),
    ]
    for source in sources:
        name = source.stem[:_LONGEST]
        rows += [
            LabelRow(f"saliency of {name}", f"saliency-{name}", "saliency", "single", source, (DRFI, DSS)),
            LabelRow(f"attention with {name}", f"attention-{name}", "saliency", "attention", source, (ATTENTION_DSS,)),
        ]
    rows += [
        LabelRow(
            f"instances, {name}",
            f"instances-{name}",
            "instances",
            name,
            paper=OF_INSTANCES if name in ("graph", "auto") else (),
        )
        for name in strategies
    ]
    folders = [row.folder for row in rows]
    twice = next((row for row in rows if folders.count(row.folder) > 1), None)
    if twice is not None:
        message = f"--instances: {twice.source}: another row has the name {twice.name}, names of their own expected"
        raise ConfigError(f"{message}; rename the file or folder", "setting-value")
    return rows


def reference(rows: Sequence[LabelRow]) -> LabelRow:
    """Return the row that stands for the paper's salient instances, with which all others are compared."""
    of_instances = {row.assign: row for row in rows if row.shape == "instances"}
    return next(of_instances[name] for name in REFERENCES if name in of_instances)
