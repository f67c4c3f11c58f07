"""Settings of `s4 convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CommonConfig
from pipelines.config.setting import REQUIRED, flag_of, opt
from pipelines.errors import ConfigError


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
