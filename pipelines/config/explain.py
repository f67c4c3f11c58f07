"""Settings of `s4 explain`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CommonConfig
from pipelines.config.setting import REQUIRED, opt


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(CommonConfig):
    """Settings of `s4 explain`: gradient maps of the features around a box."""

    command: ClassVar[str] = "explain"

    images: Path = opt(REQUIRED, "Folder of the pictures.")
    annotations: Path = opt(
        REQUIRED, "COCO JSON file with the true instances. Gradient maps are computed for the boxes of these instances."
    )
    weights: Path = opt(REQUIRED, "Salient-instance network: run folder (its best checkpoint) or file.")
    compare: Path | None = opt(
        None, "Second network, trained with another kind of mask. For that kind, the figures show this network."
    )
    out: Path = opt(REQUIRED, "Folder for the figures and explain.json.")
    ids: str | None = opt(None, "Ids of the pictures, with commas between. Unset: as many pictures as --count says.")
    count: int = opt(3, "Pictures to explain, spread evenly over the file.", at_least=1)
    figures: int = opt(
        3, "Figures to draw, spread evenly over the pictures. The statistics cover every picture.", at_least=0
    )
    outlines: bool = opt(
        False,
        "Draw over the shapes of the true instances instead of the picture. Use --outlines for pictures that you may "
        "not publish.",
    )
