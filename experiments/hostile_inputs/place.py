"""Where an input lies, what a trial is, and the small world of data and networks that all trials share."""

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pipelines.config import TrainConfig, to_json
from pipelines.data.shapes import write_instances, write_voc
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.networks.build import new_s4net
from s4cli.main import main as s4

SIDE = 64
PLAIN = ["--device", "cpu", "--precision", "fp32", "--workers", "1"]
TRUNK = ["--trunk", "timm/mobilenetv3_small_050", "--trunk-weights", "none"]
LABEL = ["--assign", "single", "--min-score", "0", "--sure-score", "0", "--recognise", "off", "--cells", "off"]


@dataclass(frozen=True)
class Place:
    """The folder of one input.

    Attributes:
        root: Everything in it but `out` is to stay as it is.
        world: What all inputs share.
        choose: Generator of the input.
    """

    root: Path
    world: Path
    choose: random.Random

    @classmethod
    def new(cls, root: Path, world: Path, choose: random.Random) -> "Place":
        """Make the folders of an input."""
        place = cls(root, world, choose)
        for folder in (place.given, place.cwd, place.home, place.temporary, place.logs):
            folder.mkdir(parents=True)
        return place

    @property
    def given(self) -> Path:
        """The folder of what is hostile."""
        return self.root / "given"

    @property
    def out(self) -> Path:
        """The output."""
        return self.root / "out"

    @property
    def cwd(self) -> Path:
        """The current folder of the command."""
        return self.root / "cwd"

    @property
    def home(self) -> Path:
        """The home of the user."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """The folder of temporary files."""
        return self.root / "tmp"

    @property
    def logs(self) -> Path:
        """What the command says."""
        return self.root / "logs"

    def copied(self, what: str, to: str | None = None) -> Path:
        """Copy something of the world into `given`, and return its path."""
        source, target = self.world / what, self.given / (to or Path(what).name)
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target))

    def voc(self, name: str = "") -> Path:
        """Return a part of the shared VOC folder."""
        return self.world / "voc" / name if name else self.world / "voc"


Build = Callable[[Place], list[str]]
"""Writes an input into a place, and returns the command line."""


class Trial(NamedTuple):
    """One input.

    Attributes:
        family: Kind of the input.
        name: What is hostile about it, and the command.
        build: Writes it.
        calls: Requests to the page of `s4 review`: method, path, body.
        before: Called in the child before the command.
        rewrites: A folder of the place that the command may change beside `out`.
    """

    family: str
    name: str
    build: Build
    calls: list[tuple[str, str, Any]] | None = None
    before: Callable[[Place], None] | None = None
    rewrites: str | None = None


Rest = tuple[Any, ...]
"""A trial without its family: name, build, and so on."""


def run_here(arguments: list[str]) -> int:
    """Run a command line in this process."""
    return s4(arguments)


def texts(*parts: object) -> list[str]:
    """Return arguments as texts."""
    return [os.fspath(part) if isinstance(part, Path) else str(part) for part in parts]


def quietly(arguments: list[str]) -> int:
    """Run a command line in a child that prints nothing, and return its exit code."""
    child = os.fork()
    if not child:
        code = 70
        try:
            for number in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            code = s4(arguments)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _made(*parts: object) -> None:
    """Run a command that has to succeed."""
    code = quietly(texts(*parts, "-q"))
    if code not in (0, 4):
        raise SystemExit(f"exit {code}: {parts}")


def write_world(world: Path) -> Path:
    """Make the data, networks, runs, labels and predictions that inputs start from, and return their folder."""
    voc, instances = world / "voc", world / "instances"
    write_instances(instances, 6, "train", seed=0, side=SIDE)
    write_voc(voc, 6, 2, seed=1, side=SIDE)
    config = TrainConfig(images=world, annotations=world, trunk=TRUNK[1], trunk_weights="none", image_size=SIDE)
    torch.manual_seed(0)
    state = new_s4net(config, pretrained=False).state_dict()
    save_checkpoint(world / "net.pt", {"kind": "s4net", "config": to_json(config), "model": state})
    _made(
        "train",
        "--images",
        instances / "images",
        "--annotations",
        instances / "train.json",
        "--run",
        world / "runs" / "s4net",
        *TRUNK,
        "--steps",
        2,
        "--batch-size",
        2,
        "--image-size",
        SIDE,
        *PLAIN,
    )
    _made(
        "deeplab-train",
        "--images",
        voc / "JPEGImages",
        "--labels",
        voc / "SegmentationClass",
        "--labels-are",
        "ground-truth",
        "--classes",
        voc / "classes.txt",
        "--run",
        world / "runs" / "deeplab",
        "--trunk-weights",
        "none",
        "--steps",
        2,
        "--batch-size",
        2,
        "--crop",
        65,
        *PLAIN,
    )
    _made(
        "pseudo-label",
        voc / "JPEGImages",
        "--keywords",
        voc / "keywords_train.csv",
        "--classes",
        voc / "classes.txt",
        "--weights",
        world / "net.pt",
        "--out",
        world / "labels",
        *LABEL,
        *PLAIN,
    )
    _made(
        "predict", voc / "JPEGImages", "--weights", world / "runs" / "deeplab", "--out", world / "predictions", *PLAIN
    )
    _made(
        "predict", voc / "JPEGImages", "--weights", world / "net.pt", "--out", world / "found", "--min-score", 0, *PLAIN
    )
    for form, name in (
        ("coco", "coco/found.json"),
        ("voc", "as-voc"),
        ("labelme", "as-labelme"),
        ("cvat-voc", "as-cvat-voc"),
        ("cvat-coco", "as-cvat-coco"),
        ("label-studio", "as-studio.json"),
        ("yolo-seg", "as-yolo-seg"),
        ("masks", "as-masks"),
        ("s4net-pickle", "as.pkl"),
    ):
        (world / name).parent.mkdir(exist_ok=True)
        _made("convert", world / "labels", "--to", form, "--out", world / name)
    _write_results(world)
    return world


def _write_results(world: Path) -> None:
    """Write the JSON of an evaluation, and what a chain leaves."""
    scores = {"miou": 0.5, "per_class": {"disc": 0.5, "ring": None}, "images": 2, "miou_interval": [0.4, 0.6]}
    scores |= {"split": "val", "source": "runs/deeplab", "schema": 1, "pixel_accuracy": 0.75, "missing": 0}
    stage = {"stage": "evaluate", "result": scores, "seconds": 1.5}
    warning = {"stage": "evaluate", "message": "a third is empty", "rule": "labels-empty"}
    (world / "chain").mkdir()
    (world / "scores.json").write_text(json.dumps(scores))
    results = {"miou": 0.5, "seconds": 3.5, "stages": [stage], "warnings": [warning]}
    (world / "chain" / "results.json").write_text(json.dumps(results))
    (world / "chain" / "state.json").write_text(json.dumps({"version": 1, "steps": {}}))
