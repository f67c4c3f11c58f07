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
from pipelines.config.setting import REQUIRED, Output, flag_of, opt
from pipelines.errors import ConfigError

_EXAMPLES = {
    "voc-server": "s4 convert --to voc-server --predictions predictions --voc VOCDIR --out results.tar.gz",
    "csv": "s4 convert --to csv --images DIR --out keywords.csv",
}
# The inputs that a form needs, those that it may have besides, and the endings of the file; no endings for a folder.
_SERVER = (("predictions", "voc"), (), (".tar.gz", ".tgz"))
_CSV = (("images",), (), (".csv",))
_FILES = {"coco": (".json",), "label-studio": (".json",), "s4net-pickle": (".pkl", ".pickle")}
_INPUTS = ("source", "predictions", "voc", "images")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(CommonConfig):
    """Settings of `s4 convert`: results and annotations in the file formats that other programs expect."""

    command: ClassVar[str] = "convert"
    example: ClassVar[str] = "s4 convert labels --to yolo-seg --out yolo"

    source: Path | None = opt(
        None,
        "Annotations to convert: a label folder, predictions, or a file or folder of another program.",
        argument="SOURCE",
        must_be="path",
    )
    to: Literal[
        "voc", "coco", "labelme", "cvat-voc", "cvat-coco", "label-studio", "yolo-seg", "masks", "s4net-pickle",
        "voc-server", "csv",
    ] = opt(
        REQUIRED,
        "File format: that of another program for SOURCE, an archive for the VOC test server, or a table of keywords.",
    )  # fmt: skip
    out: Path = opt(
        REQUIRED,
        "What to write. .json for coco and label-studio, .pkl for s4net-pickle, .tar.gz for voc-server, .csv for csv, "
        "a folder for the other formats.",
        writes="file",
    )
    from_: Literal[
        "auto", "labels", "predictions", "voc", "coco", "labelme", "cvat-voc", "cvat-coco", "label-studio", "yolo-seg",
        "masks", "s4net-pickle",
    ] = opt("auto", "Format of SOURCE. auto looks at the files.")  # fmt: skip
    polygons: bool = opt(
        False,
        "labelme, label-studio, coco, cvat-coco: write outlines, whose corners can be edited, instead of masks.",
    )
    copy_images: bool = opt(True, "voc, labelme: copy the pictures too. yolo-seg always copies them.")
    val_share: float = opt(
        0.1,
        "yolo-seg: share of the pictures to validate on. With 0, the pictures to train on are taken.",
        at_least=0,
        at_most=0.9,
    )
    predictions: Path | None = opt(None, "voc-server: folder of label maps that s4 predict wrote.", must_be="folder")
    voc: Path | None = opt(None, "voc-server: VOC folder with the list and its pictures.", must_be="voc")
    split: str | None = opt(
        None,
        "List of the data set. Unset: test for voc-server, all pictures for csv and for a VOC folder as SOURCE. With "
        "--to voc, the name of the list that is written; unset: train.",
        check=require_list_name,
    )
    competition: Literal["comp5", "comp6"] = opt(
        "comp6",
        "voc-server: the competition. comp5 allows training data from VOC alone. comp6 allows other data too, such as "
        "the salient instances of this chain.",
    )
    images: tuple[Path, ...] | None = opt(
        None,
        "Folder of the pictures, or tar of pictures. Several may be given. Unset with SOURCE: the pictures beside "
        "SOURCE, or those that the label folder was made from.",
        must_be="shards",
    )
    keywords: tuple[str, ...] = opt(
        "auto",
        f"csv: source of the keywords, as in pseudo-label. {KEYWORDS_FOR_ALL}",
        words=("auto",),
        must_be="path",
    )
    classes: str | None = opt(
        None,
        f"csv: {CLASSES[0].lower()}{CLASSES[1:]} With SOURCE: names of the classes of label maps; unset: those beside "
        "the label maps, or voc.",
        words=CLASS_WORDS,
        must_be="file",
    )
    allow_unplaced: bool = opt(False, f"csv: {ALLOW_UNPLACED[0].lower()}{ALLOW_UNPLACED[1:]}")

    def __post_init__(self) -> None:
        """Check each field, and that the given files are those that the file format needs."""
        super().__post_init__()
        needed, allowed, suffixes = self._inputs
        given = [name for name in _INPUTS if getattr(self, name) is not None]
        missing = " and ".join(map(_named, (name for name in needed if name not in given)))
        if missing:
            example = _EXAMPLES.get(self.to, f"s4 convert labels --to {self.to} --out {_example_out(self.to)}")
            message = f"{missing}: not given with --to {self.to}, a path for each expected; as in: {example}"
            raise ConfigError(message, "setting-missing")
        idle = " and ".join(_named(name) for name in given if name not in (*needed, *allowed))
        if idle:
            message = f"{idle}: given with --to {self.to}, left out expected; change it"
            raise ConfigError(message, "setting-value")
        if self.source is None:
            require_one_source_each(self.images or (self.out,), self.keywords)
        if suffixes and not self.out.name.lower().endswith(suffixes):
            message = f"--out: {self.out} given, a name ending in {' or '.join(suffixes)} expected; change it"
            raise ConfigError(message, "setting-value")
        self._require_apart()

    @property
    def writes(self) -> Output:
        """What the command makes of `out`."""
        return "file" if self._inputs[2] else "conversion"

    @property
    def _inputs(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        if self.to in ("voc-server", "csv"):
            return _SERVER if self.to == "voc-server" else _CSV
        return ("source",), ("images",), _FILES.get(self.to, ())

    def _require_apart(self) -> None:
        """Refuse to write into what is read, or around it."""
        if self.source is None:
            return
        source, out = (Path(path).expanduser().absolute() for path in (self.source, self.out))
        if out == source or out in source.parents or (source in out.parents and source.is_dir()):
            raise ConfigError(
                f"--out {self.out}: lies in SOURCE or around it, a place apart from it expected; choose another",
                "out-inside",
            )


def _named(name: str) -> str:
    return "SOURCE" if name == "source" else flag_of(name)


def _example_out(form: str) -> str:
    return f"annotations{_FILES[form][0]}" if form in _FILES else form
