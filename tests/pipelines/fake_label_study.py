"""Networks, trainings and a small VOC folder for `s4 ablate --table 5`, with labels that are known by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipelines.config import DeepLabTrainConfig, EvaluateConfig, to_json
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.label_maps import write_palette_map
from pipelines.events import Events
from pipelines.files import write_json
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights

SIZE = (4, 16)
CLASSES = ClassList.from_names(["cat", "dog"])  # palette indices 8 and 12
CAT, DOG, OPEN = 8, 12, 255
KEYWORDS = {"a": "cat", "b": "dog", "c": "cat;dog", "d": "cat;dog"}
VAL = ["v", "w"]
ROWS = [
    "saliency", "attention", "attention with saliency", "instances, random", "instances, single",
    "instances, attention", "instances, graph",
]  # fmt: skip


class Networks:
    """S4Net that finds columns 0 to 4 and 10 to 14, and attention with the cat on the left, the dog on the right."""

    unit = 1.0

    def __init__(self) -> None:
        self.looked: list[str] = []

    def __call__(self, picture: np.ndarray) -> Instances:
        self.looked.append("instances")
        masks = torch.zeros(2, *SIZE, dtype=torch.bool)
        masks[0, :, :5] = masks[1, :, 10:15] = True
        return Instances(torch.tensor([[0.0, 0, 5, 4], [10, 0, 15, 4]]), torch.tensor([0.9, 0.8]), masks)

    def look(self, picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        self.looked.append("attention")
        sides = {1: [1.0, -1.0], 2: [-1.0, 1.0]}
        maps = np.array([[sides[position]] for position in keywords.positions], np.float32)
        return maps, np.zeros((3, 1, 2), np.float32)


class Recognised:
    """ImageNet's classifier: whole instances on the right are no animals, and windows are animals in all instances."""

    def __call__(self, picture: np.ndarray, masks: np.ndarray, keywords: list[str]) -> np.ndarray:
        return np.where(masks[:, 0, 10], np.float32(0.1), np.float32(0.9))

    def windows(self, picture: np.ndarray, keywords: list[str]) -> np.ndarray:
        seen = np.full((len(keywords), *SIZE), -4.0, np.float32)
        seen[:, :, :5] = seen[:, :, 10:15] = 4 + np.arange(5) / 10
        return seen


class FakeTrainings:
    """Stands in for `deeplab_train`: leaves the files of a run, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.trouble: dict[tuple[str, int], BaseException] = {}

    def __call__(self, config: DeepLabTrainConfig, events: Events) -> dict[str, Any]:
        key = (config.run.parent.name, config.seed)
        assert config.resume == (config.run / "config.json").exists()
        assert (config.labels / "manifest.json").is_file() and config.loss == "plain"
        write_json(config.run / "config.json", to_json(config))
        (config.run / "checkpoints").mkdir(exist_ok=True)
        (config.run / "checkpoints" / "last.pt").write_bytes(b"state")
        if key in self.trouble:
            raise self.trouble[key]
        self.done.append(key)
        return {"steps": config.steps, "seconds": 1.5, "images_per_second": 4.0}


def overlaps(config: EvaluateConfig, events: Events) -> np.ndarray:
    """Networks on instances have 3 of 4 pixels of each class right in both pictures, the others 2 of 4."""
    assert config.weights is not None and config.split == "val"
    right = 3 if config.weights.parent.name.startswith("instances") else 2
    return np.array([[[right] * 3, [4] * 3]] * len(VAL))


def write_data(root: Path) -> Path:
    """Write ROOT/voc, keywords.csv, classes.txt and weights.pt, and return the VOC folder; picture d has no truth."""
    voc = root / "voc"
    (voc / "JPEGImages").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name in [*KEYWORDS, *VAL]:
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(voc / "JPEGImages" / f"{name}.png")
        truth = np.zeros(SIZE, np.uint8)
        truth[:, :5], truth[:, 10:15] = CAT, DOG
        if name != "d":
            write_palette_map(voc / "SegmentationClass" / f"{name}.png", truth)
    lists = {"train": KEYWORDS, "val": VAL}
    for split, names in lists.items():
        (voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    table = "".join(f"{name},{words}\n" for name, words in KEYWORDS.items())
    (root / "keywords.csv").write_text(f"image,keywords\n{table}")
    (root / "classes.txt").write_text("cat\ndog\n")
    write_weights(root / "weights.pt")
    return voc


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
