"""Settings of `s4 convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.config.base import (
    ALLOW_UNPLACED,
    CLASS_WORDS,
    CLASSES,
    KEYWORDS_FOR_ALL,
    CommonConfig,
    require_list_name,
    require_one_source_each,
)
from pipelines.config.setting import REQUIRED, flag_of, opt
from pipelines.errors import ConfigError

_EXAMPLES = {
    "voc-server": "s4 convert --to voc-server --predictions predictions --voc VOCDIR --out results.tar.gz",
    "csv": "s4 convert --to csv --images DIR --out keywords.csv",
}


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(CommonConfig):
    """Settings of `s4 convert`: results in the file formats that other programs expect."""

    command: ClassVar[str] = "convert"
    example: ClassVar[str] = "s4 convert --to csv --images DIR --out keywords.csv"

    to: Literal["voc-server", "csv"] = opt(
        REQUIRED, "File format: an archive for the VOC test server, or a table of keywords."
    )
    out: Path = opt(REQUIRED, "File to write: .tar.gz for voc-server, .csv for csv.", writes="file")
    predictions: Path | None = opt(None, "voc-server: folder of label maps that s4 predict wrote.", must_be="folder")
    voc: Path | None = opt(None, "voc-server: VOC folder with the list and its pictures.", must_be="voc")
    split: str | None = opt(
        None, "List of the data set. Unset: test for voc-server, all pictures for csv.", check=require_list_name
    )
    competition: Literal["comp5", "comp6"] = opt(
        "comp6",
        "voc-server: the competition. comp5 allows training data from VOC alone. comp6 allows other data too, such as "
        "the salient instances of this chain.",
    )
    images: tuple[Path, ...] | None = opt(
        None, "csv: folder of the pictures, or tar of pictures. Several may be given.", must_be="shards"
    )
    keywords: tuple[str, ...] = opt(
        "auto",
        f"csv: source of the keywords, as in pseudo-label. {KEYWORDS_FOR_ALL}",
        words=("auto",),
        must_be="path",
    )
    classes: str | None = opt(None, f"csv: {CLASSES[0].lower()}{CLASSES[1:]}", words=CLASS_WORDS, must_be="file")
    allow_unplaced: bool = opt(False, f"csv: {ALLOW_UNPLACED[0].lower()}{ALLOW_UNPLACED[1:]}")

    def __post_init__(self) -> None:
        """Check each field, and that the given files are those that the file format needs."""
        super().__post_init__()
        needed, suffixes = {
            "voc-server": (("predictions", "voc"), (".tar.gz", ".tgz")),
            "csv": (("images",), (".csv",)),
        }[self.to]
        given = [name for name in ("predictions", "voc", "images") if getattr(self, name) is not None]
        missing = " and ".join(flag_of(name) for name in needed if name not in given)
        if missing:
            message = f"{missing}: not given with --to {self.to}, a path for each expected; as in: {_EXAMPLES[self.to]}"
            raise ConfigError(message, "setting-missing")
        idle = " and ".join(flag_of(name) for name in given if name not in needed)
        if idle:
            message = f"{idle}: given with --to {self.to}, left out expected; change it"
            raise ConfigError(message, "setting-value")
        require_one_source_each(self.images or (self.out,), self.keywords)
        if not self.out.name.lower().endswith(suffixes):
            message = f"--out: {self.out} given, a name ending in {' or '.join(suffixes)} expected; change it"
            raise ConfigError(message, "setting-value")
