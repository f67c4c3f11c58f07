"""Tables 1 to 4 of the S4Net paper: what each row trains, and the figures printed there.

Fan et al., "S4Net: Single Stage Salient-Instance Segmentation", CVPR 2019. The paper trained ResNet-50 on 500 pictures
of the ILSO set and tested on 300; its figures stand beside ours to compare the order of rows, not the level.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PaperFigures:
    """One line of a table, in per cent.

    Attributes:
        map50, map70: Figures called mAP^0.5 and mAP^0.7. The paper says that they follow COCO. The only evaluator ever
            released computes the mean of `release_aps`, so that is presumably what they are.
        occluded50, occluded70: Figures called mAP_O: the same on pictures with occlusion, a set that was never
            published.
        fps: Pictures a second on a GTX 1080 Ti.
        metric: Metric of the figures, where the table mixes metrics.
    """

    map50: float
    map70: float
    occluded50: float | None = None
    occluded70: float | None = None
    fps: float | None = None
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: the settings that it is about, and its figures in the paper.

    Attributes:
        name: Short name, unique in its table.
        trunk: Trunk of `s4 train`.
        roi: RoI layer.
        alpha: Ring width.
        paper: Figures of the paper; None where the paper has no such row.
    """

    name: str
    trunk: str
    roi: str = "ternary"
    alpha: float = 1 / 3
    paper: PaperFigures | None = None

    @property
    def folder(self) -> str:
        """Name of the folder of the row's trainings; rows of different tables that train the same share it."""
        parts = [f"trunk={self.trunk.replace('/', '-')}", f"roi={self.roi}"]
        if self.roi in ("ternary", "expanded"):  # other layers have no ring
            parts.append(f"alpha={self.alpha:.4g}")
        return ",".join(parts)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper.

    Attributes:
        number, title: Those of the paper.
        rows: What is trained.
        reference: Name of the row that the others are compared with; None: nothing to compare.
        quoted: Figures that the paper gives for whole methods, by method.
        notes: What a reader must know to compare.
    """

    number: int
    title: str
    rows: Sequence[Row]
    reference: str | None
    quoted: dict[str, PaperFigures]
    notes: Sequence[str] = ()


_ROI_LAYERS = {
    "roialign": PaperFigures(map50=85.2, map70=61.5, occluded50=79.2, occluded70=47.7),
    "roipool": PaperFigures(map50=85.2, map70=61.1, occluded50=80.3, occluded70=50.9),
    "binary": PaperFigures(map50=85.5, map70=62.4, occluded50=80.1, occluded70=49.4),
    "expanded": None,
    "ternary": PaperFigures(map50=86.7, map70=63.6, occluded50=81.2, occluded70=51.5),
}
_ALPHAS = {
    "alpha=0": (0.0, PaperFigures(map50=85.9, map70=62.5)),
    "alpha=1/6": (1 / 6, PaperFigures(map50=86.4, map70=63.4)),
    "alpha=1/3": (1 / 3, PaperFigures(map50=86.7, map70=63.6)),
    "alpha=1/2": (1 / 2, PaperFigures(map50=86.5, map70=63.3)),
    "alpha=2/3": (2 / 3, PaperFigures(map50=86.2, map70=62.4)),
    "alpha=1": (1.0, PaperFigures(map50=85.9, map70=62.0)),
}
_TRUNKS = {
    "resnet101": PaperFigures(map50=88.1, map70=66.8, fps=33.3),
    "resnet50": PaperFigures(map50=86.7, map70=63.6, fps=40.0),
    "vgg16": PaperFigures(map50=82.2, map70=53.0, fps=43.5),
    "mobilenet_v1": PaperFigures(map50=62.9, map70=33.5, fps=90.9),
}
_METHODS = {
    "MSRNet (quoted)": PaperFigures(
        map50=65.3,
        map70=52.3,
        metric="presumably the AP^r of its own toolbox: VOC-style, pooled over the data set",
    ),
    "S4Net (quoted)": PaperFigures(
        map50=86.7,
        map70=63.6,
        occluded50=81.2,
        occluded70=51.5,
        metric="presumably that of its released evaluator: an AP in each picture, averaged over pictures",
    ),
}


def paper_table(number: int, trunk: str, trunks: Sequence[str]) -> Table:
    """Return one of the paper's tables with our choice of trunks.

    Args:
        number: Number of the table: 1 (RoI layers), 2 (ring width), 3 (trunks) or 4 (other methods).
        trunk: Trunk of every row of tables 1, 2 and 4.
        trunks: Trunks of the rows of table 3.
    """
    return {1: _table_1, 2: _table_2, 4: _table_4}[number](trunk) if number != 3 else _table_3(trunks)


def _table_1(trunk: str) -> Table:
    return Table(
        number=1,
        title="RoI layers",
        rows=[Row(name=roi, trunk=trunk, roi=roi, paper=figures) for roi, figures in _ROI_LAYERS.items()],
        reference="ternary",
        quoted={},
        notes=[
            "The paper has no row for expanded masking (1 in box and ring); its text describes its binary row as that "
            "case, its table labels the row binary."
        ],
    )


def _table_2(trunk: str) -> Table:
    return Table(
        number=2,
        title="Ring width alpha of ternary RoIMasking",
        rows=[Row(name=name, trunk=trunk, alpha=alpha, paper=figures) for name, (alpha, figures) in _ALPHAS.items()],
        reference="alpha=1/3",
        quoted={},
        notes=[
            "Alpha 0 has no ring: the mask is the binary one. The paper's two rows for it differ by 0.4 and 0.1 "
            "points, a measure of its noise."
        ],
    )


def _table_3(trunks: Sequence[str]) -> Table:
    return Table(
        number=3,
        title="Trunks",
        rows=[Row(name=trunk, trunk=trunk, paper=_TRUNKS.get(trunk)) for trunk in trunks],
        reference="resnet50" if "resnet50" in trunks else trunks[0],
        quoted={},
        notes=["The paper's speeds are for 320x320 on a GTX 1080 Ti."],
    )


def _table_4(trunk: str) -> Table:
    return Table(
        number=4,
        title="Other methods",
        rows=[Row(name="s4 (ours)", trunk=trunk)],
        reference=None,
        quoted=_METHODS,
        notes=[
            "The two quoted methods were presumably measured by different metrics, so the paper's Table 4 presumably "
            "does not compare like with like; and ours are other pictures than theirs unless this is the ILSO set.",
            "MSRNet's toolbox ranks detections by their IoU with the truth unless told otherwise.",
        ],
    )
