"""Settings of `s4 review`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pipelines.config.setting import StageConfig, Tell, opt
from pipelines.config.usual_places import LABELS, pictures_of_labels


@dataclass(frozen=True, kw_only=True)
class ReviewConfig(StageConfig):
    """Settings of `s4 review`: a page on this machine, to correct labels by hand."""

    command: ClassVar[str] = "review"
    example: ClassVar[str] = "s4 review labels --images DIR"

    labels: Path = opt(LABELS, "Label folder that pseudo-label wrote.", argument="LABELS", must_be="folder")
    images: tuple[Path, ...] = opt(
        None,
        "Folder of the pictures, or tar of pictures. Several may be given. Unset: those that the label folder was made "
        "from.",
        must_be="shards",
        found=True,
    )
    reviewer: str | None = opt(None, "Name that goes with each correction. Unset: the name of the user.")
    port: int = opt(0, "Port of the page. 0: any free port.", at_least=0, at_most=65_535)
    open: bool = opt(False, "Open the page in a browser.")

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the pictures that the label folder was made from, if none were named.

        Raises:
            ConfigError: The label folder does not say where they are, or they are there no more [setting-missing].
        """
        if self.images is not None:
            return self
        return replace(self, images=pictures_of_labels(self.labels, self.example, tell))
