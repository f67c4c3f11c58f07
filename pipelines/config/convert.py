"""Settings of `s4 convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.config.base import CommonConfig
from pipelines.config.setting import REQUIRED, flag_of, opt
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(CommonConfig):
    """Settings of `s4 convert`: results in the file formats that other programs expect."""

    command: ClassVar[str] = "convert"

    to: Literal["voc-server", "csv"] = opt(
        REQUIRED, "File format: an archive for the VOC test server, or a table of keywords."
    )
    out: Path = opt(REQUIRED, "File to write: .tar.gz for voc-server, .csv for csv.")
    predictions: Path | None = opt(None, "voc-server: folder of label maps that s4 predict wrote.")
    voc: Path | None = opt(None, "voc-server: VOC folder with the list and its pictures.")
    split: str | None = opt(None, "List of the data set. Unset: test for voc-server, all pictures for csv.")
    competition: Literal["comp5", "comp6"] = opt(
        "comp6",
        "voc-server: the competition. comp5 allows training data from VOC alone. comp6 allows other data too, such as "
        "the salient instances of this chain.",
    )
    images: Path | None = opt(None, "csv: folder of the pictures.")
    keywords: str = opt("auto", "csv: source of the keywords, as in pseudo-label.")
    classes: str = opt("voc", "csv: the class list, voc or a file with one class name per line.")

    def __post_init__(self) -> None:
        """Check each field, and that the given files are those that the file format needs."""
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
