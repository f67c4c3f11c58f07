"""Sound data of every kind that `s4 check` looks at, made in the current folder."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.check import check
from pipelines.config import CheckConfig, usual_places
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.data.rle import encode_masks
from pipelines.events import Events
from pipelines.files import write_json
from pipelines.rules.table import RULES

H, W = 24, 32
ROOT = Path(__file__).parent.parent.parent
NONE: dict[str, list[str]] = {"errors": [], "warnings": []}


def pixels(number: int) -> NDArray[np.uint8]:
    """A picture of large random patches; each number gives another one."""
    patches = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.kron(patches, np.ones((H // 6, W // 8, 1), np.uint8))


def picture(path: str, number: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(number)).save(path)


def mask(path: str, value: int = 8, size: tuple[int, int] = (H, W)) -> None:
    label_map = np.zeros(size, np.uint8)
    label_map[2:9, 2:9] = value
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_palette_map(Path(path), label_map)


def coco(path: str, names: list[str]) -> dict[str, Any]:
    """A sound COCO file with one mask in each picture; returns its content."""
    one = np.zeros((1, H, W), np.uint8)
    one[:, 3:9, 3:9] = 1
    (rle,) = encode_masks(one)
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": name, "height": H, "width": W} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": dict(rle)} for i in range(len(names))
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    rewrite(path, content)
    return content


def rewrite(path: str, content: dict[str, Any]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))


def class_folders() -> None:
    for number in range(24):
        picture(f"data/{'cat' if number % 2 else 'dog'}/{number}.png", number)


def voc() -> None:
    """A VOC folder with masks: four pictures to train on, two to evaluate on."""
    for number in range(6):
        picture(f"data/JPEGImages/{number}.jpg", number)
        mask(f"data/SegmentationClass/{number}.png", 8)
    lists("train", "0123")
    lists("val", "45")
    main_lists = Path("data/ImageSets/Main")
    main_lists.mkdir(parents=True)
    for split, ids in (("train", "0123"), ("val", "45")):
        (main_lists / f"cat_{split}.txt").write_text("".join(f"{i}  1\n" for i in ids))


def lists(split: str, ids: str) -> None:
    path = Path(f"data/ImageSets/Segmentation/{split}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{i}\n" for i in ids))


def salient() -> dict[str, Any]:
    for number in range(4):
        picture(f"data/images/{number}.jpg", number)
    coco("data/val.json", ["3.jpg"])
    return coco("data/train.json", ["0.jpg", "1.jpg", "2.jpg"])


def table() -> None:
    for number in range(4):
        picture(f"data/pictures/{number}.jpg", number)
    rows = "".join(f"{number}.jpg,{'cat' if number % 2 else 'dog'}\n" for number in range(4))
    Path("data/keywords.csv").write_text(f"image,keywords\n{rows}")


def shards() -> None:
    Path("data").mkdir()
    for name, numbers in (("cat", (0, 1)), ("dog", (2, 3))):
        with tarfile.open(f"data/{name}.tar", "w") as tar:
            for number in numbers:
                content = io.BytesIO()
                Image.fromarray(pixels(number)).save(content, "PNG")
                info = tarfile.TarInfo(f"{number}.png")
                info.size = content.tell()
                content.seek(0)
                tar.addfile(info, content)


def labels() -> None:
    """Finished labels with their pictures."""
    classes = ClassList.from_names(["cat", "dog"])
    folder = LabelFolder(Path("data"), classes)
    for number in range(4):
        picture(f"pictures/{number}.png", number)
        label_map = np.zeros((H, W), np.uint8)
        label_map[2:9, 2:9] = 1 + number % 2
        folder.write_label(str(number), label_map)
    folder.write_manifest(counts={"labelled": 4, "empty": 0})
    write_json(Path("data/settings.json"), {})
    Path("data/records.jsonl").touch()
    usual_places.record_pictures(Path("data"), [Path("pictures")])


SOUND: dict[str, Callable[[], Any]] = {
    "folders of classes": class_folders, "VOC": voc, "COCO": salient, "table": table, "shards": shards,
    "labels": labels,
}  # fmt: skip


def found(*paths: str, **settings: Any) -> dict[str, list[str]]:
    """The rules that are broken, errors and warnings, each once and sorted."""
    result = check(CheckConfig(paths=tuple(map(Path, paths or ("data",))), **settings), Events(io.StringIO()))
    assert all(one["rule"] in RULES and one["remedy"] for kind in NONE for one in result[kind])
    return {kind: sorted({one["rule"] for one in result[kind]}) for kind in NONE}


def errors(*rules: str) -> dict[str, list[str]]:
    return {"errors": sorted(rules), "warnings": []}


def warnings(*rules: str) -> dict[str, list[str]]:
    return {"errors": [], "warnings": sorted(rules)}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and an installation with a network."""
    monkeypatch.chdir(tmp_path)
    shipped = tmp_path.parent / f"{tmp_path.name}-shipped.safetensors"
    shipped.touch()
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)
