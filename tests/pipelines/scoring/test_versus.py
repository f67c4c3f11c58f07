"""`s4 evaluate --versus`: two sets of predictions on the same pictures."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.config import EvaluateConfig
from pipelines.data.classes import ClassList
from pipelines.data.images import write_png
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.errors import ConfigError, InputError
from pipelines.evaluate import evaluate
from pipelines.events import Events

CAT, DOG = 8, 12
TRUTH = {"a": [[0, CAT, CAT, CAT]], "b": [[0, DOG, DOG, 0]]}
GOOD = {"a": [[0, CAT, CAT, 0]], "b": [[0, DOG, DOG, 0]]}
POOR = {"a": [[0, CAT, 0, 0]], "b": [[0, DOG, 0, 0]]}
# background, cat, dog of a and of b together:
#   GOOD 3 of 4, 2 of 3, 2 of 2: (3/4 + 2/3 + 1) / 3 = 29/36
#   POOR 3 of 6, 1 of 3, 1 of 2: (1/2 + 1/3 + 1/2) / 3 = 4/9
# of a alone: GOOD (1/2 + 2/3) / 2 = 7/12, POOR (1/3 + 1/3) / 2 = 1/3; of b alone: GOOD 1, POOR (2/3 + 1/2) / 2 = 7/12.
# Each alone is a quarter of the samples, so the extremes of the three are the ends of the intervals.
RATIOS = {"both": (29 / 36) / (4 / 9), "a": (7 / 12) / (1 / 3), "b": 1 / (7 / 12)}
DIFFERENCES = {"both": 29 / 36 - 4 / 9, "a": 7 / 12 - 1 / 3, "b": 1 - 7 / 12}
EXPECTED = {
    "miou": pytest.approx(4 / 9),
    "ratio": pytest.approx(RATIOS["both"]),
    "ratio_interval": pytest.approx([min(RATIOS.values()), max(RATIOS.values())]),
    "difference": pytest.approx(DIFFERENCES["both"]),
    "difference_interval": pytest.approx([min(DIFFERENCES.values()), max(DIFFERENCES.values())]),
}


def write_maps(folder: Path, maps: dict[str, list[list[int]]]) -> Path:
    for image_id, rows in maps.items():
        write_palette_map(folder / f"{image_id}.png", np.array(rows, np.uint8))
    return folder


def write_labels(folder: Path, maps: dict[str, list[list[int]]], names: list[str]) -> Path:
    write_maps(folder / "labels", maps)
    LabelFolder(folder, ClassList.from_names(names)).write_manifest()
    return folder


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A data set of two pictures and a list of two classes."""
    voc = tmp_path / "voc"
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("a\nb\n")
    write_maps(voc / "SegmentationClass", TRUTH)
    for number, image_id in enumerate(TRUTH):
        write_png(voc / "JPEGImages" / f"{image_id}.png", np.full((1, 4), number, np.uint8))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    return {"voc": voc, "classes": str(tmp_path / "classes.txt")}


def test_predictions_are_compared_on_the_same_samples_as_derived_by_hand(
    options: dict[str, Any], tmp_path: Path
) -> None:
    good, poor = write_maps(tmp_path / "good", GOOD), write_maps(tmp_path / "poor", POOR)
    result = evaluate(EvaluateConfig(**options, predictions=good, versus=poor), Events())
    assert result["miou"] == pytest.approx(29 / 36)
    assert result["versus"] == {"source": str(poor), **EXPECTED}
    json.dumps(result, allow_nan=False)
    itself = evaluate(EvaluateConfig(**options, predictions=poor, versus=poor), Events())["versus"]
    assert (itself["ratio_interval"], itself["difference_interval"]) == ([1, 1], [0, 0])


def test_labels_are_compared_with_label_folders_and_with_plain_folders(options: dict[str, Any], tmp_path: Path) -> None:
    good = write_labels(tmp_path / "good", GOOD, ["cat", "dog"])
    poor = write_labels(tmp_path / "poor", POOR, ["cat", "dog"])
    for versus in (poor, poor / "labels"):
        result = evaluate(EvaluateConfig(**options, labels=good, versus=versus), Events())
        assert result["versus"] == {"source": str(versus), **EXPECTED}


def test_a_label_folder_of_other_classes_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    good = write_maps(tmp_path / "good", GOOD)
    poor = write_labels(tmp_path / "poor", POOR, ["dog", "cat"])
    with pytest.raises(InputError, match="labels-classes"):
        evaluate(EvaluateConfig(**options, predictions=good, versus=poor), Events())


class FakeNetwork:
    """Knows the maps of two pictures by their colour."""

    def __init__(self, names: list[str], maps: dict[str, list[list[int]]]) -> None:
        self.classes, self.device, self.maps = ClassList.from_names(names), "cpu", maps
        self.calls: list[tuple[tuple[float, ...], bool]] = []

    def probabilities(self, picture: NDArray[np.uint8], scales: tuple[float, ...], flip: bool) -> NDArray[np.float32]:
        self.calls.append((scales, flip))
        outputs = self.classes.from_palette(np.array(self.maps["ab"[picture[0, 0, 0]]], np.uint8))
        return np.moveaxis(np.eye(self.classes.n_outputs, dtype=np.float32)[outputs], 2, 0)


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeNetwork]:
    """What `pipelines.networks.load` finds, by the name of the run."""
    found: dict[str, FakeNetwork] = {}
    module = ModuleType("pipelines.networks.load")
    module.load_deeplab = lambda weights, **_: found[weights.name]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipelines.networks.load", module)
    return found


def make_run(folder: Path) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    return folder


def test_a_network_is_compared_with_a_run_that_reads_the_pictures_alike(
    options: dict[str, Any], tmp_path: Path, networks: dict[str, FakeNetwork]
) -> None:
    networks |= {"good": FakeNetwork(["cat", "dog"], GOOD), "poor": FakeNetwork(["cat", "dog"], POOR)}
    saved, poor = tmp_path / "saved", make_run(tmp_path / "poor")
    config = EvaluateConfig(
        **options, weights=Path("good"), versus=poor, scales="0.5,1", flip=True, save_predictions=saved
    )
    assert evaluate(config, Events())["versus"] == {"source": str(poor), **EXPECTED}
    assert networks["good"].calls == networks["poor"].calls == [((0.5, 1.0), True)] * 2
    # what is saved is what was scored, not what it was compared with
    again = evaluate(EvaluateConfig(**options, predictions=saved, versus=poor), Events())
    assert again["miou"] == pytest.approx(29 / 36) and again["versus"]["miou"] == pytest.approx(4 / 9)


def test_a_run_of_other_classes_is_refused_before_anything_is_read(
    options: dict[str, Any], tmp_path: Path, networks: dict[str, FakeNetwork]
) -> None:
    networks |= {"good": FakeNetwork(["cat", "dog"], GOOD), "poor": FakeNetwork(["cat"], POOR)}
    with pytest.raises(ConfigError, match="class-list-differs"):
        evaluate(EvaluateConfig(**options, weights=Path("good"), versus=make_run(tmp_path / "poor")), Events())
    assert not networks["good"].calls


def test_every_scored_picture_needs_something_to_compare_with(options: dict[str, Any], tmp_path: Path) -> None:
    good = write_maps(tmp_path / "good", GOOD)
    poor = write_maps(tmp_path / "poor", {"a": POOR["a"]})
    config = EvaluateConfig(**options, predictions=good, versus=poor, allow_missing=True)
    with pytest.raises(InputError, match=r"1 of 2 label maps to compare with are missing \(b.png\).*versus-missing"):
        evaluate(config, Events())
    # but none for a picture that is not scored
    (good / "b.png").unlink()
    result = evaluate(config, Events())
    assert (result["images"], result["versus"]["ratio"]) == (1, pytest.approx(RATIOS["a"]))
    with pytest.raises(InputError, match=r"--versus: .*nowhere not found.*folder-missing"):
        evaluate(EvaluateConfig(**options, predictions=good, versus=tmp_path / "nowhere", allow_missing=True), Events())


@pytest.mark.parametrize(
    "given",
    [
        {"voc": Path("v"), "weights": Path("w"), "foreground": True},
        {"images": Path("i"), "annotations": Path("a"), "weights": Path("w")},
    ],
)
def test_salient_instances_have_nothing_to_compare_with(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--versus: given without label maps or a semantic network to score"):
        evaluate(EvaluateConfig(**given, versus=Path("x")), Events())
