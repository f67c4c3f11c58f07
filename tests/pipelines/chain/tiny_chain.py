"""A data set of a few pixels and stages that write what real ones would, for tests of the chain around them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.chain.estimate import PaceOf
from pipelines.config import (
    DeepLabTrainConfig,
    EvaluateConfig,
    PseudoLabelConfig,
    RunConfig,
    TrainConfig,
    resolve,
    to_json,
)
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.data.notes import Notes
from pipelines.data.rle import encode_masks
from pipelines.engine.checkpoint import save_checkpoint, weights_file
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import sha256_file, sha256_lines, write_text
from pipelines.run import run

HEIGHT, WIDTH = 6, 8

TABLES = """
[train]
images = "{data}/salient"
annotations = "{data}/salient.json"
trunk_weights = "none"

[pseudo-label]
images = "{data}/JPEGImages"
keywords = "{data}/keywords.csv"
trunk_weights = "none"

[deeplab-train]
trunk_weights = "none"

[evaluate]
voc = "{data}"
"""


def write_picture(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)


def write_mask(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    write_palette_map(path, np.zeros(size, np.uint8))


def write_data(folder: Path) -> Path:
    """Two salient pictures with an instance each; four pictures with keywords; two with masks."""
    for name in ("salient/s0", "salient/s1", *(f"JPEGImages/p{i}" for i in range(6))):
        write_picture(folder / f"{name}.jpg")
    (rle,) = encode_masks(np.ones((1, HEIGHT, WIDTH), np.uint8))
    coco = {
        "images": [{"id": i, "file_name": f"s{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(2)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "segmentation": rle} for i in range(2)],
        "categories": [{"id": 1, "name": "salient"}],
    }
    (folder / "salient.json").write_text(json.dumps(coco))
    (folder / "keywords.csv").write_text("image,keywords\np0,cat\np1,dog\np2,cat;dog\np3,person\n")
    write_text(folder / "ImageSets" / "Segmentation" / "val.txt", "p4\np5\n")
    for name in ("p4", "p5"):
        write_mask(folder / "SegmentationClass" / f"{name}.png")
    return folder


def write_chain(folder: Path, more: str = "", tables: str = TABLES) -> Path:
    """The data and a file for it; `more` stands before the tables."""
    if not (folder / "data").exists():
        write_data(folder / "data")
    path = folder / "chain.toml"
    path.write_text(more + tables.format(data=folder / "data"))
    return path


class FakeStages:
    """Stages that write small files in place of networks and labels, from all that their inputs hold.

    Attributes:
        calls: The settings with which stages were called, in order.
        failing: What a stage raises, by its command, after it has begun its folder.
        miou: What evaluate gives, one after the other.
        more: What it gives besides.
    """

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.failing: dict[str, BaseException] = {}
        self.miou = [0.5, 0.625, 0.75, 0.875]
        self.more: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        """The commands that were called since the last look."""
        names = [config.command for config in self.calls]
        self.calls.clear()
        return names

    def functions(self) -> dict[str, Any]:
        return {
            "train": self.train,
            "pseudo-label": self.pseudo_label,
            "deeplab-train": self.deeplab_train,
            "evaluate": self.evaluate,
        }

    def begin(self, config: Any) -> None:
        self.calls.append(config)
        if config.command in self.failing:
            raise self.failing.pop(config.command)

    def run(self, config: Any, *inputs: str) -> dict[str, Any]:
        exists = (config.run / "config.json").exists()
        assert exists == config.resume
        write_text(config.run / "config.json", json.dumps(to_json(config)))
        self.begin(config)
        hashed = bytes.fromhex(sha256_lines([str(config.seed), *inputs]))
        save_checkpoint(config.run / "checkpoints" / "best.pt", {"model": {"w": torch.tensor(list(hashed))}})
        return {"run": str(config.run), "steps": 10, "images_per_second": 4.0}

    def train(self, config: TrainConfig, events: Events) -> dict[str, Any]:
        return self.run(config, sha256_file(config.annotations))

    def deeplab_train(self, config: DeepLabTrainConfig, events: Events) -> dict[str, Any]:
        listed = config.list.read_text() if config.list else ""
        read = [config.labels / name for name in ("manifest.json", "records.jsonl", "review.jsonl")]
        return self.run(config, *(sha256_file(path) for path in read if path.exists()), listed)

    def pseudo_label(self, config: PseudoLabelConfig, events: Events) -> dict[str, Any]:
        config.out.mkdir(parents=True, exist_ok=True)
        self.begin(config)
        pictures = KeywordedPictures(config.images, config.keywords, config.split, Notes())
        classes, words = pictures.read(config.classes)
        folder = LabelFolder(config.out, classes)
        for image_id in words:
            folder.write_label(image_id, np.zeros((HEIGHT, WIDTH), np.uint8))
        records = [{"image_id": image_id, "keywords": list(some)} for image_id, some in words.items()]
        write_text(config.out / "records.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        weights = [sha256_file(weights_file(path)) for path in (config.weights, config.segmenter) if path is not None]
        folder.write_manifest(weights=weights, min_score=config.min_score, counts={"labelled": len(words), "empty": 0})
        return {"images": len(words), "images_per_second": 2.0, "out": str(config.out)}

    def evaluate(self, config: EvaluateConfig, events: Events) -> dict[str, Any]:
        self.begin(config)
        return {"miou": self.miou.pop(0), "images": 2, **self.more}


class Plan:
    """A dry run of a chain, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.out = folder, folder / "data", folder / "chain"
        self.file = write_chain(folder)
        self.told = ""
        self.paces: dict[str, PaceOf] = {}

    def __call__(self, **flags: Any) -> list[dict[str, Any]]:
        stages: list[dict[str, Any]] = self.result(**flags)["stages"]
        return stages

    def result(self, **flags: Any) -> dict[str, Any]:
        """All that the dry run returns."""
        stream = io.StringIO()
        config = resolve(RunConfig, self.file, {"file": self.file, "dry_run": True, **flags})
        try:
            return run(config, Events(stream), paces=self.paces)
        finally:
            self.told = stream.getvalue()

    def fails(self, **flags: Any) -> str:
        """The messages of all faults and all lines that were told."""
        with pytest.raises(InputError) as caught:
            self(**flags)
        assert caught.value.exit_code == 3
        return "\n".join([*map(str, (caught.value, *caught.value.others)), self.told])
