"""Scores of pseudo labels, derived by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import EvaluateConfig
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from pipelines.evaluate import evaluate
from pipelines.events import Events
from tests.pipelines.two_pictures import DOG, make_classes, make_labels, make_voc, write_map

LABEL_KEYS = {
    "miou", "miou_interval", "miou_kept", "coverage", "precision_kept", "per_class", "images", "per_class_kept",
    "false_positives", "false_negatives", "boundary_iou", "boundary_per_class", "worst", "assignment", "reliability",
    "background_reliability", "confusion", "split", "list_sha256", "source", "warnings",
}  # fmt: skip


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return make_voc(tmp_path)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return make_labels(tmp_path)


@pytest.fixture
def classes(tmp_path: Path) -> str:
    return make_classes(tmp_path)


def test_labels_are_scored_with_open_pixels_as_errors_and_on_the_kept_pixels(
    voc: Path, labels: Path, classes: str
) -> None:
    result = evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events())
    # Counts as for the predictions; kept are 5 of 7 pixels, 4 of them right; over these cat is 1 / 2, dog 1 / 1.
    assert {name: result[name] for name in ("miou", "miou_kept", "coverage", "precision_kept", "images")} == {
        "miou": pytest.approx(0.5),
        "miou_kept": pytest.approx((2 / 3 + 1 / 2 + 1) / 3),
        "coverage": pytest.approx(5 / 7),
        "precision_kept": pytest.approx(4 / 5),
        "images": 2,
    }
    # a quarter of the samples are the first picture alone, (1/2 + 1/3) / 2, and a quarter the second, (1 + 1/2) / 2
    assert result["miou_interval"] == pytest.approx([5 / 12, 3 / 4])
    assert result["per_class"] == pytest.approx({"background": 2 / 3, "cat": 1 / 3, "dog": 1 / 2})
    assert result["per_class_kept"] == pytest.approx({"background": 2 / 3, "cat": 1 / 2, "dog": 1})
    # Unions: background 3, cat 3, dog 2. One background pixel is called cat; one cat and one dog have no label.
    assert result["false_positives"] == pytest.approx({"background": 0, "cat": 1 / 3, "dog": 0})
    assert result["false_negatives"] == pytest.approx({"background": 1 / 3, "cat": 1 / 3, "dog": 1 / 2})
    # Of objects this thin every pixel is on the boundary.
    assert result["boundary_per_class"] == result["per_class"]
    assert result["boundary_iou"] == result["miou"]
    # a: background 1 / 2, cat 1 / 3; b: background 1, dog 1 / 2
    assert result["worst"] == [
        {"image_id": "a", "miou": pytest.approx((1 / 2 + 1 / 3) / 2)},
        {"image_id": "b", "miou": pytest.approx(3 / 4)},
    ]
    assert result["assignment"] is None
    assert all(level["pixels"] == 0 and np.isnan(level["precision"]) for level in result["reliability"])
    assert (result["split"], result["source"]) == ("val", str(labels))
    assert result.keys() == LABEL_KEYS


def test_labels_of_each_confidence_are_scored_apart(voc: Path, labels: Path, classes: str) -> None:
    # Truth [0, 0, cat], [cat, 255, bird] and labels [0, cat, cat], [255, cat, dog]: of the labelled foreground the
    # second pixel is wrong and the third right; the others are open or cannot be judged. The other picture's truth is
    # [dog, dog, 0].
    write_map(labels / "labels" / "b.png", [[DOG, 0, 0]])
    Image.fromarray(np.array([[255, 30, 200], [0, 200, 200]], np.uint8)).save(confidence_of(labels, "a"))
    Image.fromarray(np.array([[255, 0, 255]], np.uint8)).save(confidence_of(labels, "b"))  # the dog is one
    result = evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events())
    unknown, levels = np.nan, result["reliability"]
    assert [level["confidence"] for level in levels][:2] == [[0, 0.1], [0.1, 0.2]]
    # 30 / 255 = 0.118 and 200 / 255 = 0.784
    assert [level["pixels"] for level in levels] == [0, 1, 0, 0, 0, 0, 0, 1, 0, 1]
    precisions = [level["precision"] for level in levels]
    expected = [unknown, 0, unknown, unknown, unknown, unknown, unknown, 1, unknown, 1]
    assert precisions == pytest.approx(expected, nan_ok=True)
    # background: the first pixel of a and the last of b, both right, and the dog that b misses, of confidence 0
    background = result["background_reliability"]
    assert [level["pixels"] for level in background] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    precisions = [level["precision"] for level in background]
    assert precisions == pytest.approx([0, *[unknown] * 8, 1], nan_ok=True)


def test_a_confidence_map_of_another_size_is_refused(voc: Path, labels: Path, classes: str) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(confidence_of(labels, "a"))
    with pytest.raises(InputError, match=r"confidence map is 3x3, expected 3x2 as in .*a\.png.*label-size"):
        evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events())


def confidence_of(labels: Path, image_id: str) -> Path:
    (labels / "confidence").mkdir(exist_ok=True)
    return labels / "confidence" / f"{image_id}.png"


def test_keywords_of_instances_are_compared_with_what_their_masks_show(voc: Path, labels: Path, classes: str) -> None:
    # Truth [0, 0, cat], [cat, 255, bird].
    def instance(keyword: str | None, *rows: list[int]) -> dict[str, Any]:
        return {"keyword": keyword, "segmentation": encode_masks(np.array([rows], np.uint8))[0]}

    both = [
        instance("cat", [0, 0, 1], [1, 0, 0]),
        instance("dog", [0, 1, 1], [1, 1, 1]),  # two cats against one pixel of background
        instance(None, [0, 0, 1], [0, 0, 0]),
        instance("cat", [1, 1, 1], [1, 0, 0]),  # as much background as cat: the background comes first
        instance("cat", [0, 0, 0], [0, 1, 1]),  # nothing that can be judged
    ]
    records = [
        {"image_id": "a", "keywords": ["cat", "dog"], "instances": both},
        {"image_id": "b", "keywords": ["dog"], "instances": [instance("cat", [1, 1, 0])]},  # no choice, no merit
    ]
    (labels / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    result = evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events())
    assert result["assignment"] == {
        "right": 1, "wrong": 1, "unassigned": 1, "background": 2, "accuracy": pytest.approx(1 / 3)
    }  # fmt: skip


def test_labels_of_another_size_than_the_truth_are_refused(voc: Path, labels: Path, classes: str) -> None:
    write_map(labels / "labels" / "a.png", [[0, 0]])
    with pytest.raises(InputError, match=r"label map is 2x1, expected 3x2"):
        evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events())
