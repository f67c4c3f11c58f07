"""Results that cannot be right are said to be so by the command that gives them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import EvaluateConfig, PseudoLabelConfig
from pipelines.data.classes import load_classes
from pipelines.data.label_folder import LabelFolder
from pipelines.data.rle import encode_masks
from pipelines.deeplab_train import deeplab_train
from pipelines.evaluate import evaluate
from pipelines.events import Events
from pipelines.pseudo_label import pseudo_label
from tests.pipelines.scoring.fake_network import instances, load_instead
from tests.pipelines.small_deeplab import small_deeplab
from tests.pipelines.two_pictures import make_classes, make_labels, make_voc, write_map

HEIGHT, WIDTH = 12, 16


def rules(result: dict[str, Any]) -> list[str]:
    return [warning["rule"] for warning in result["warnings"]]


def predicted(tmp_path: Path, maps: dict[str, list[list[int]]]) -> dict[str, Any]:
    for image_id, rows in maps.items():
        write_map(tmp_path / "predictions" / f"{image_id}.png", rows)
    config = EvaluateConfig(
        voc=make_voc(tmp_path), predictions=tmp_path / "predictions", classes=make_classes(tmp_path)
    )
    return evaluate(config, Events(io.StringIO()))


def test_predictions_of_background_alone(tmp_path: Path) -> None:
    result = predicted(tmp_path, {"a": [[0, 0, 0], [0, 0, 0]], "b": [[0, 0, 0]]})
    assert rules(result) == ["only-background"]
    assert "shows cat, dog;" in result["warnings"][0]["message"]


def test_predictions_without_a_dog(tmp_path: Path) -> None:
    result = predicted(tmp_path, {"a": [[0, 0, 8], [0, 0, 0]], "b": [[8, 0, 0]]})
    assert rules(result) == ["class-not-found"] and "hardly a pixel of dog" in result["warnings"][0]["message"]


def test_a_network_of_background_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def probabilities(picture: NDArray[np.uint8], *_: Any) -> NDArray[np.float32]:
        return np.eye(3, dtype=np.float32)[0][:, None, None] * np.ones(picture.shape[:2], np.float32)

    classes = make_classes(tmp_path)
    network = SimpleNamespace(classes=load_classes(classes), probabilities=probabilities, device="cpu")
    module = ModuleType("pipelines.networks.load")
    module.load_deeplab = lambda weights, **_: network  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "pipelines.networks.load", module)
    config = EvaluateConfig(voc=make_voc(tmp_path), weights=Path("runs/x"), classes=classes)
    (warning,) = evaluate(config, Events(io.StringIO()))["warnings"]
    assert warning["rule"] == "only-background" and warning["message"].startswith("runs/x: finds no class")


def test_label_folders_without_a_dog_and_of_which_a_third_is_empty(tmp_path: Path) -> None:
    voc, labels, classes = make_voc(tmp_path), make_labels(tmp_path), make_classes(tmp_path)
    manifest = json.loads((labels / "manifest.json").read_text())
    write_map(labels / "labels" / "b.png", [[0, 0, 0]])
    write_map(labels / "labels" / "a.png", [[0, 8, 8], [255, 8, 0]])
    for empty, expected in ((4, ["class-not-found"]), (5, ["labels-empty-third", "class-not-found"])):
        manifest["counts"] = {"labelled": 10, "empty": empty, "rejected": {"nothing-found": empty}}
        (labels / "manifest.json").write_text(json.dumps(manifest))
        result = evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events(io.StringIO()))
        assert rules(result) == expected


@pytest.mark.parametrize(("found", "expected"), [(1, ["s4net-poor"]), (2, [])])
def test_a_poor_salient_instance_network(
    found: int, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five squares one is found: precision 1 up to recall 1/5, 21 of 101 recall steps. With two it is 41 of 101."""
    mask = np.zeros((1, 20, 20), bool)
    mask[:, :10, :10] = True
    images, annotations = [], []
    for number in range(5):
        Image.fromarray(np.full((20, 20, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 20, "width": 20})
        (rle,) = encode_masks(mask.astype(np.uint8))
        annotations.append({"id": number + 1, "image_id": number, "category_id": 1, "segmentation": rle})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "salient"}]}
    (tmp_path / "test.json").write_text(json.dumps(content))

    def network(picture: NDArray[np.uint8]) -> SimpleNamespace:
        hits = int(picture[0, 0, 0] < found)
        return instances(mask[:hits], np.ones(hits))

    load_instead(monkeypatch, network)
    config = EvaluateConfig(images=tmp_path, annotations=tmp_path / "test.json", weights=Path("run"))
    result = evaluate(config, Events(io.StringIO()))
    assert result["ap50"] == pytest.approx((20 * found + 1) / 101)
    assert rules(result) == expected


def labelled(tmp_path: Path, with_instance: Sequence[bool]) -> dict[str, Any]:
    """Label pictures of a cat, some of which have an instance that another program found."""
    (rle,) = encode_masks(np.pad(np.ones((1, 6, 8), np.uint8), ((0, 0), (3, 3), (4, 4))))
    images, annotations = [], []
    for number, has_one in enumerate(with_instance):
        path = tmp_path / "pictures" / "cat" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(path)
        images.append({"id": number, "file_name": f"cat/{number}.png", "height": HEIGHT, "width": WIDTH})
        if has_one:
            annotations.append({"id": number + 1, "image_id": number, "category_id": 1, "segmentation": rle})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "found.json").write_text(json.dumps(content))
    config = PseudoLabelConfig(
        images=tmp_path / "pictures",
        instances=tmp_path / "found.json",
        out=tmp_path / "labels",
        recognise="off",
        device="cpu",
    )
    return pseudo_label(config, Events(io.StringIO()))


@pytest.mark.parametrize(("pictures", "expected"), [(3, ["labels-empty-third"]), (4, [])])
def test_labels_of_which_one_is_empty(pictures: int, expected: list[str], tmp_path: Path) -> None:
    result = labelled(tmp_path, [False, *[True] * (pictures - 1)])
    assert (result["labelled"], result["empty"], result["rejected"]) == (pictures - 1, 1, {"nothing-found": 1})
    assert rules(result) == expected
    assert rules(labelled(tmp_path, [False, *[True] * (pictures - 1)])) == expected  # and if all was done before


@pytest.mark.slow
def test_labels_that_lack_a_class_of_their_list(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\ncow\n")
    labels = LabelFolder(tmp_path / "labels", load_classes(str(tmp_path / "classes.txt")))
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "pictures" / f"p{number}.png")
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        label[: HEIGHT // 2] = 1 if number else 255
        labels.write_label(f"p{number}", label)
    configuration = {"strategy": "graph"}
    labels.write_manifest(counts={"labelled": 3, "empty": 1, "rejected": {}}, configuration=configuration)

    def train(run: str) -> tuple[dict[str, Any], str]:
        stream = io.StringIO()
        config = small_deeplab(tmp_path / "pictures", labels.path, tmp_path / run, steps=1)
        return deeplab_train(config, Events(stream)), stream.getvalue()

    result, told = train("a")
    assert rules(result) == ["class-unlabelled"]
    assert "no label map shows dog, cow (2 of 3 classes)" in result["warnings"][0]["message"]
    # half of one picture of four is unknown: an eighth
    assert f"{labels.path}: 4 pictures: cat 3 (pseudo labels by strategy graph, 12 % unknown pixels)\n" in told
    before, _, after = told.partition("[class-unlabelled]\n")
    assert "warning: " in before and "train: 1/1" in after  # told before the hours of training
    label = np.full((HEIGHT, WIDTH), 2, np.uint8)
    label[0] = 3
    labels.write_label("p0", label)
    result, told = train("b")
    assert rules(result) == [] and "cat 3, dog 1, cow 1 (" in told and "warning" not in told
