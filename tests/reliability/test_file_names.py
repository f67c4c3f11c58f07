"""Names of pictures in other people's files: one that no file can have fails alone, or is told with a rule."""

import copy
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import TrainConfig, to_json
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.networks.build import new_s4net
from s4cli.main import main

TRUNK = "timm/mobilenetv3_small_050"

NAMES = {
    "256 bytes": "a" * 252 + ".png",
    "300 bytes of letters of two": "ü" * 150 + ".png",
    "a folder of 300 bytes": "a" * 300 + "/b.png",
    "a path of 10,000 bytes": "a/" * 5000 + "b.png",
    "a thousand folders": "a/" * 1000 + "b.png",
    "a NUL": "a\0b.png",
    "half of a character": "\ud800.png",
    "half of a character and long": "\udfff" * 300 + ".png",
    "a byte that is not UTF-8": "caf\udce9.png",
    "an absolute path": "/etc/passwd.png",
    "an absolute path of 300 bytes": "/" + "a" * 300 + ".png",
    "a path that leads out": "../../outside.png",
    "dots": "..",
    "a dot": ".",
    "nothing": "",
    "a root": "/",
    "a line feed": "a\nb.png",
    "an escape sequence": "\x1b[31mred.png",
    "an address": "http://[::1/x.png",
    "a drive": "C:\\a\\b.png",
    "a home": "~/a.png",
}
SQUARE = [[1.0, 1.0, 6.0, 1.0, 6.0, 6.0, 1.0, 6.0]]
COCO: dict[str, Any] = {
    "images": [{"id": n, "file_name": f"{name}.png", "height": 16, "width": 16} for n, name in enumerate("pqr", 1)],
    "annotations": [
        {"id": n, "image_id": n, "category_id": 1, "segmentation": SQUARE, "iscrowd": 0, "bbox": [1, 1, 5, 5]}
        for n in (1, 2, 3)
    ],
    "categories": [{"id": 1, "name": "cat"}],
}


def coco(name: str) -> dict[str, Any]:
    content = copy.deepcopy(COCO)
    content["images"][1]["file_name"] = name
    return content


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_lines(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
    return path


def labelme(name: str) -> dict[str, Any]:
    corners = [[1, 1], [6, 1], [6, 6]]
    shape = {"label": "cat", "points": corners, "shape_type": "polygon", "group_id": None, "flags": {}}
    return {"version": "5", "shapes": [shape], "imagePath": name, "imageHeight": 16, "imageWidth": 16, "flags": {}}


def task(name: str) -> dict[str, Any]:
    value = {"points": [[10, 10], [50, 10], [50, 50]], "closed": True, "polygonlabels": ["cat"]}
    result = {"type": "polygonlabels", "original_width": 16, "original_height": 16, "value": value}
    return {"id": 1, "data": {"image": name}, "annotations": [{"result": [result]}]}


def convert(source: Path, *more: object) -> list[object]:
    return ["convert", source, "--to", "coco", "--out", "out.json", *more]


def label(table: Path) -> list[object]:
    return [
        "pseudo-label", "--images", "pictures", "--keywords", table, "--classes", "classes.txt", "--weights", "net.pt",
        "--out", "labels", "--dry-run",
    ]  # fmt: skip


def voc(folder: Path, name: str) -> Path:
    for made in ("JPEGImages", "SegmentationClass"):
        (folder / made).mkdir(parents=True)
        for one in "pqr":
            image = Image.new("P", (16, 16))
            image.putpalette([0, 0, 0, 128, 0, 0])
            (image.convert("RGB") if made == "JPEGImages" else image).save(folder / made / f"{one}.png")
    write_lines(folder / "ImageSets" / "Segmentation" / "val.txt", "p", name, "r")
    return folder


def npy(path: Path, name: str) -> Path:
    np.save(path, np.array({"p": np.array([1.0]), name: np.array([1.0])}, dtype=object), allow_pickle=True)
    return path


READERS: dict[str, Callable[[str], list[object]]] = {
    "train": lambda name: [
        "train", "--images", "pictures", "--annotations", write_json(Path("c.json"), coco(name)), "--run", "run",
        "--trunk-weights", "none", "--steps", 1, "--image-size", 64, "--batch-size", 1, "--device", "cpu", "--trunk",
        TRUNK,
    ],
    "check": lambda name: ["check", write_json(Path("pictures/c.json"), coco(name)).parent],
    "init": lambda name: ["init", write_json(Path("pictures/c.json"), coco(name)).parent],
    "keywords of COCO": lambda name: label(write_json(Path("c.json"), coco(name))),
    "keywords of CSV": lambda name: label(
        write_lines(Path("k.csv"), "image,keywords", "p.png,cat", f'"{name}",cat', "r.png,cat")
    ),
    "keywords of numbers": lambda name: label(write_lines(Path("k.txt"), "p 7", f"{name} 7", "r 7")),
    "keywords of vectors": lambda name: label(npy(Path("k.npy"), name)),
    "COCO": lambda name: convert(write_json(Path("pictures/c.json"), coco(name))),
    "COCO with its pictures": lambda name: convert(write_json(Path("c.json"), coco(name)), "--images", "pictures"),
    "COCO of CVAT": lambda name: convert(
        write_json(Path("cvat/annotations/instances_default.json"), coco(name)).parent.parent
    ),
    "COCO to VOC": lambda name: [
        "convert", write_json(Path("pictures/c.json"), coco(name)), "--to", "voc", "--out", "out", "--no-copy-images",
    ],
    "COCO to YOLO": lambda name: [
        "convert", write_json(Path("c.json"), coco(name)), "--to", "yolo-seg", "--out", "out", "--images", "pictures",
    ],
    "labelme": lambda name: convert(write_json(Path("pictures/q.json"), labelme(name)).parent),
    "one file of labelme": lambda name: convert(write_json(Path("pictures/q.json"), labelme(name))),
    "labelme with its pictures": lambda name: convert(
        write_json(Path("l/q.json"), labelme(name)), "--images", "pictures"
    ),
    "Label Studio": lambda name: convert(write_json(Path("pictures/t.json"), [task("p.png"), task(name)])),
    "Label Studio, local files": lambda name: convert(
        write_json(Path("pictures/t.json"), [task(f"/data/local-files/?d={name}")])
    ),
    "Label Studio with its pictures": lambda name: convert(
        write_json(Path("t.json"), [task("p.png"), task(name)]), "--images", "pictures"
    ),
    "a list of VOC": lambda name: [
        "evaluate", "--voc", voc(Path("voc"), name), "--predictions", "voc/SegmentationClass", "--classes",
        "classes.txt",
    ],
    "VOC": lambda name: convert(voc(Path("voc"), name)),
    "check of VOC": lambda name: ["check", voc(Path("voc"), name)],
    "a list of a training": lambda name: [
        "deeplab-train", "--images", voc(Path("voc"), "q") / "JPEGImages", "--labels", "voc/SegmentationClass",
        "--labels-are", "ground-truth", "--classes", "classes.txt", "--list",
        write_lines(Path("l.txt"), "p", name, "r"), "--run", "run",
        "--steps", 1, "--crop", 65, "--trunk-weights", "none", "--device", "cpu",
    ],
    "instances of COCO": lambda name: [
        "pseudo-label", "--images", "pictures", "--keywords", write_lines(Path("k.csv"), "image,keywords", "p.png,cat"),
        "--classes", "classes.txt", "--instances", write_json(Path("c.json"), coco(name)), "--out", "labels",
        "--recognise", "off", "--assign", "single", "--device", "cpu",
    ],
    "evaluate instances": lambda name: [
        "evaluate", "--images", "pictures", "--annotations", write_json(Path("c.json"), coco(name)), "--weights",
        "net.pt",
    ],
}  # fmt: skip

FAST = 9  # of so many pairs of a reader and a name, the fast tests take one
OF_IDS = {"a list of VOC", "VOC", "check of VOC", "a list of a training"}  # lines without a suffix


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A network that knows nothing."""
    config = TrainConfig(images=Path(), annotations=Path(), trunk=TRUNK, trunk_weights="none", image_size=64)
    content = {"kind": "s4net", "config": to_json(config), "model": new_s4net(config, pretrained=False).state_dict()}
    path = tmp_path_factory.mktemp("net") / "net.pt"
    save_checkpoint(path, content)
    return path.read_bytes()


def told_of(reader: str, name: str, net: bytes, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Read a file with a name in the current folder; exit code, and what was told."""
    Path("pictures").mkdir()
    Path("classes.txt").write_text("cat\n")
    Path("net.pt").write_bytes(net)
    for one in "pqr":
        Image.new("RGB", (16, 16), (90, 120, 30)).save(f"pictures/{one}.png")
    code = main([str(part) for part in READERS[reader](name)])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_the_name_of_a_picture(
    reader: str, net: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise what follows would show nothing."""
    monkeypatch.chdir(tmp_path)
    code, _, errors = told_of(reader, "q" if reader in OF_IDS else "q.png", net, capsys)
    assert code == 0, errors


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        pytest.param(reader, name, marks=[pytest.mark.slow] if number % FAST else [], id=f"{reader}: {name}")
        for number, (reader, name) in enumerate(product(READERS, NAMES))
    ],
)
def test_a_name_that_no_picture_has_is_told(
    reader: str,
    name: str,
    net: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    code, output, errors = told_of(reader, NAMES[name], net, capsys)
    assert code in (0, 3, 4), (code, errors)
    assert "Traceback" not in errors and "\x1b" not in errors + output, errors
    if code:
        assert errors.rstrip().endswith("]"), errors
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
