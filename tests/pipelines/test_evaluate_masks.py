"""`evaluate` on folders of pictures and masks, without a VOC layout."""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import EvaluateConfig
from pipelines.data.classes import ClassList
from pipelines.data.palette import voc_palette
from pipelines.errors import ConfigError, InputError
from pipelines.evaluate import evaluate
from pipelines.events import Events
from tests.pipelines.two_pictures import LABELS, TRUTH, make_classes, make_labels, make_voc, write_map


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures and masks in sub-folders, predictions beside, and the same as a VOC folder."""
    make_voc(tmp_path)
    for folder, source in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        for name, place in (("a", "cats/a"), ("b", "b")):
            file = next((tmp_path / "VOC2012" / source).glob(f"{name}.*"))
            target = tmp_path / folder / f"{place}{file.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    for name, place in (("a", "cats/a"), ("b", "b")):
        write_map(tmp_path / "predictions" / f"{place}.png", LABELS[name])
        write_map(tmp_path / "flat" / f"{name}.png", LABELS[name])
    make_classes(tmp_path)
    return tmp_path


def score(root: Path, **more: Any) -> dict[str, Any]:
    return evaluate(EvaluateConfig(masks=root / "masks", classes=str(root / "classes.txt"), **more), Events())


SAME = (
    "miou",
    "miou_interval",
    "per_class",
    "images",
    "missing",
    "pixel_accuracy",
    "scales",
    "flip",
    "crf",
    "warnings",
)


def test_predictions_score_as_on_a_voc_list(root: Path) -> None:
    result = score(root, predictions=root / "predictions")
    voc = evaluate(
        EvaluateConfig(voc=root / "VOC2012", predictions=root / "flat", classes=str(root / "classes.txt")), Events()
    )
    assert result.keys() == voc.keys() and result["split"] is None
    # The order of the pictures differs, and with it the samples of the bootstrap.
    assert {k: result[k] for k in SAME if k != "miou_interval"} == {k: voc[k] for k in SAME if k != "miou_interval"}
    assert result["miou"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3)  # as derived by hand in test_evaluate


@pytest.mark.parametrize("form", ["grey", "colours", "table"])
def test_masks_are_read_as_grey_values_and_as_colours(root: Path, form: str) -> None:
    palette = np.array(voc_palette(), np.uint8).reshape(256, 3)
    if form == "table":
        palette[8], palette[12], palette[3] = (1, 2, 3), (4, 5, 6), (9, 9, 8)
        (root / "masks" / "labelmap.txt").write_text(
            "background:0,0,0::\ncat:1,2,3::\ndog:4,5,6::\nbird:9,9,8::\nvoid:224,224,192::\n"
        )
    for name, place in (("a", "cats/a"), ("b", "b")):
        values = np.array(TRUTH[name], np.uint8)
        Image.fromarray(values if form == "grey" else palette[values]).save(root / "masks" / f"{place}.png")
    assert score(root, predictions=root / "predictions")["miou"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3)


class Network:
    """Says what a table says for each size of picture, with the classes of its training."""

    device = "cpu"

    def __init__(self, classes: ClassList) -> None:
        self.classes = classes

    def probabilities(self, picture: Any, scales: Any, flip: bool) -> Any:
        rows = np.array(LABELS["a" if len(picture) == 2 else "b"])
        positions = self.classes.from_palette(rows.astype(np.uint8))
        positions = np.where(positions == 255, 0, positions)
        return np.eye(self.classes.n_outputs, dtype=np.float32)[positions].transpose(2, 0, 1)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    import sys

    found = Network(ClassList.from_names(["cat", "dog"]))
    module = ModuleType("pipelines.networks.load")
    module.load_deeplab = lambda *args, **kwargs: found
    monkeypatch.setitem(sys.modules, "pipelines.networks.load", module)
    return found


def test_a_network_is_scored_for_the_classes_of_its_run(root: Path, network: Network) -> None:
    config = EvaluateConfig(images=root / "images", masks=root / "masks", weights=root / "run")
    result = evaluate(config, Events())
    assert result["classes"] == ["cat", "dog"] and result["images"] == 2
    # Where the label maps leave a pixel open or say bird, this network says background:
    #   background [2, 1, 0]   cat [1, 1, 0]   dog [1, 0, 1]
    assert result["per_class"] == pytest.approx({"background": 2 / 5, "cat": 1 / 3, "dog": 1 / 2})


def test_pictures_and_masks_without_each_other_are_all_named(root: Path, network: Network) -> None:
    (root / "masks" / "b.png").rename(root / "masks" / "c.png")
    config = {"images": root / "images", "masks": root / "masks", "weights": root / "run"}
    with pytest.raises(InputError) as caught:
        evaluate(EvaluateConfig(**config), Events())
    faults = [caught.value, *caught.value.others]
    text = " ".join(str(fault) for fault in faults)
    assert "images: 1 of 2 files have no label map of the same name" in text and "(b)" in text
    assert "masks: 1 of 2 files have no picture of the same name" in text and "(c)" in text
    assert evaluate(EvaluateConfig(**config, allow_missing=True), Events())["images"] == 1
    (root / "masks" / "cats" / "a.png").unlink()
    with pytest.raises(InputError, match="no label map of the same name"):
        evaluate(EvaluateConfig(**config, allow_missing=True), Events())


def test_labels_are_scored_on_masks_too(root: Path) -> None:
    labels = make_labels(root)
    (labels / "labels" / "cats").mkdir()
    (labels / "labels" / "a.png").rename(labels / "labels" / "cats" / "a.png")
    result = evaluate(EvaluateConfig(masks=root / "masks", labels=labels), Events())
    assert result["images"] == 2 and result["split"] is None and 0 < result["miou"] < 1


def test_a_mask_of_another_size_and_missing_flags_are_refused(root: Path, network: Network) -> None:
    with pytest.raises(ConfigError, match=r"--masks --weights: expected exactly one of.*\[evaluate-mode\]"):
        evaluate(EvaluateConfig(masks=root / "masks", weights=root / "run"), Events())
    write_map(root / "masks" / "b.png", [[0, 0]])
    with pytest.raises(InputError, match=r"\[label-size\]"):
        evaluate(EvaluateConfig(images=root / "images", masks=root / "masks", weights=root / "run"), Events())
    with pytest.raises(InputError, match=r"predictions of the list are missing.*\[predictions-missing\]"):
        score(root, predictions=root / "flat")
