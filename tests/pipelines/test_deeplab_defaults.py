"""What `s4 deeplab-train` finds by itself: loss, draws, pictures, classes."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.config import DeepLabTrainConfig, from_json
from pipelines.config.usual_places import record_pictures
from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.deeplab_train import chosen_loss, deeplab_train, label_warnings, training_pictures
from pipelines.engine.checkpoint import load_checkpoint
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.training.deeplab_batches import SOFT, repeats_of
from tests.pipelines.test_deeplab_train import CLASSES
from tests.pipelines.test_deeplab_train import config as config


def test_the_loss_follows_the_labels_unless_one_is_asked_for(config: DeepLabTrainConfig) -> None:
    labels = LabelFolder(config.labels, CLASSES, {"kind": "pseudo"})
    assert config.loss == "auto"

    def chosen(**changes: Any) -> Any:
        return chosen_loss(replace(config, **changes), labels)

    assert [chosen(steps=steps) for steps in (499, 500)] == ["balanced", "plain"]  # no confidence maps
    for image_id in labels.ids():
        labels.write_confidence(image_id, np.full((40, 50), 200, np.uint8))
    assert [chosen(steps=steps) for steps in (1, 300, 499, 500, 3000)] == ["balanced"] * 3 + [SOFT] * 2
    assert [chosen(steps=None, recipe=recipe) for recipe in (None, "largefov")] == [SOFT] * 2  # 1,500 and 20,000
    assert (chosen(loss="plain", steps=300), chosen(loss="balanced", steps=3000)) == ("plain", "balanced")
    truth = LabelFolder(config.labels / "labels", CLASSES, flat=True)
    assert [chosen_loss(replace(config, steps=steps), truth) for steps in (300, 3000)] == ["plain"] * 2


@pytest.mark.slow
def test_a_run_keeps_the_loss_and_the_pictures_that_were_found_for_it(config: DeepLabTrainConfig) -> None:
    images = config.images
    record_pictures(config.labels, images)
    deeplab_train(replace(config, images=None), Events(io.StringIO()))
    saved = json.loads((config.run / "config.json").read_text())
    assert (saved["loss"], saved["images"]) == ("balanced", str(images[0]))


@pytest.mark.slow
def test_pictures_of_several_folders_are_found_and_frozen(config: DeepLabTrainConfig, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (config.images[0] / "p2.png").rename(tmp_path / "more" / "p2.png")
    with pytest.raises(InputError, match=r"no picture for .*p2.*\[image-missing\]"):
        training_pictures(config, LabelFolder(config.labels, CLASSES, {"kind": "pseudo"}))
    both = (*config.images, tmp_path / "more")
    record_pictures(config.labels, both)
    given = replace(config, images=both)
    labels = LabelFolder(config.labels, CLASSES, {"kind": "pseudo"})
    assert training_pictures(given, labels)[2].picture.shape == (40, 50, 3)
    deeplab_train(replace(config, images=None), Events(io.StringIO()))
    assert json.loads((config.run / "config.json").read_text())["images"] == [str(folder) for folder in both]
    assert from_json(DeepLabTrainConfig, json.loads((config.run / "config.json").read_text())).images == both


def test_the_classes_are_those_of_the_label_folder_unless_others_are_named(config: DeepLabTrainConfig) -> None:
    deeplab_train(replace(config, classes="auto", steps=1), Events(io.StringIO()))
    assert load_checkpoint(config.run / "checkpoints" / "last.pt")["classes"] == CLASSES.described()
    truth = replace(config, labels=config.labels / "labels", labels_are="ground-truth", classes="auto")
    with pytest.raises(ConfigError, match=r"--classes auto: given with true label maps.*\[classes-numbers\]"):
        deeplab_train(truth, Events(io.StringIO()))


def test_rare_classes_are_repeated_where_there_are_any(config: DeepLabTrainConfig) -> None:
    def shown(cats: int, dogs: int) -> Any:
        return np.eye(2, dtype=bool)[[0] * cats + [1] * dogs]

    rare, even = shown(18, 8), shown(16, 8)  # 13 over 8 is above 1.25 squared, 12 over 8 below
    repeats = repeats_of(config, rare)
    assert repeats is not None and repeats[[0, -1]] == pytest.approx([1, (13 / 8) ** 0.5])
    assert repeats_of(config, even) is None
    asked = repeats_of(replace(config, sampling="repeat"), even)
    assert asked is not None and asked[-1] == pytest.approx((12 / 8) ** 0.5)
    assert repeats_of(replace(config, sampling="uniform"), rare) is None
    assert repeats_of(replace(config, recipe="largefov"), rare) is None
    assert repeats_of(config, np.zeros((3, 2), bool)) is None


def test_of_the_usual_class_list_only_classes_that_keywords_name_must_be_labelled(tmp_path: Path) -> None:
    labels = LabelFolder(tmp_path, ClassList.from_names(VOC_CLASSES), {"kind": "pseudo"})
    shown = np.zeros((3, len(VOC_CLASSES)), bool)
    shown[:, VOC_CLASSES.index("cat")] = True
    pictures: Any = SimpleNamespace(classes_shown=lambda: shown)
    (warning,) = label_warnings(labels, pictures)  # nobody knows the keywords
    assert "(19 of 20 classes)" in warning["message"]
    records = [{"image_id": "a", "keywords": ["cat"]}, {"image_id": "b", "keywords": ["cat"]}]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert label_warnings(labels, pictures) == []
    (tmp_path / "records.jsonl").write_text(json.dumps({"image_id": "a", "keywords": ["cat", "dog"]}) + "\n")
    (warning,) = label_warnings(labels, pictures)
    assert "no label map shows dog (1 of 2 classes)" in warning["message"]
