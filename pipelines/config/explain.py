"""Settings of `s4 explain`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pipelines.config.base import MOST_ITEMS, SALIENT_WEIGHTS, WEIGHT_WORDS, CommonConfig
from pipelines.config.setting import REQUIRED, Tell, opt
from pipelines.config.usual_places import salient_network


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(CommonConfig):
    """Settings of `s4 explain`: gradient maps of the features around a box."""

    command: ClassVar[str] = "explain"
    example: ClassVar[str] = "s4 explain --images DIR --annotations test.json --out figures"

    images: Path = opt(REQUIRED, "Folder of the pictures.", must_be="folder")
    annotations: Path = opt(
        REQUIRED,
        "COCO JSON file with the true instances. Gradient maps are computed for the boxes of these instances.",
        must_be="file",
    )
    weights: Path = opt(None, SALIENT_WEIGHTS, words=WEIGHT_WORDS, must_be="weights", found=True)
    compare: Path | None = opt(
        None,
        "Second network, trained with another kind of mask. For that kind, the figures show this network.",
        words=WEIGHT_WORDS,
        must_be="weights",
    )
    out: Path = opt(REQUIRED, "Folder for the figures and explain.json.", writes="figures")
    ids: str | None = opt(None, "Ids of the pictures, with commas between. Unset: as many pictures as --count says.")
    count: int = opt(3, "Pictures to explain, spread evenly over the file.", at_least=1, at_most=MOST_ITEMS)
    figures: int = opt(
        3,
        "Figures to draw, spread evenly over the pictures. The statistics cover every picture.",
        at_least=0,
        at_most=MOST_ITEMS,
    )
    outlines: bool = opt(
        False,
        "Draw over the shapes of the true instances instead of the picture. Use --outlines for pictures that you may "
        "not publish.",
    )

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the network of `runs/s4net`, or the one that ships, if none was given.

        Raises:
            ConfigError: There is neither [setting-missing].
        """
        if self.weights is not None:
            return self
        return replace(self, weights=salient_network("--weights", f"{self.example} --weights RUN", tell))
