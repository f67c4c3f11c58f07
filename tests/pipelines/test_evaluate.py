import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import EvaluateConfig
from pipelines.data.classes import ClassList, load_classes
from pipelines.errors import ConfigError, InputError
from pipelines.evaluate import evaluate
from pipelines.events import Events
from tests.pipelines.two_pictures import CAT, DOG, LABELS, make_classes, make_labels, make_voc, write_map

PREDICTION_KEYS = {
    "miou", "miou_interval", "per_class", "images", "missing", "split", "list_sha256", "source", "scales", "flip",
    "crf", "pixel_accuracy", "confusion", "warnings",
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


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    for image_id, rows in LABELS.items():
        write_map(tmp_path / "predictions" / f"{image_id}.png", rows)
    return tmp_path / "predictions"


def test_predictions_with_two_classes_score_as_derived_by_hand(voc: Path, predictions: Path, classes: str) -> None:
    result = evaluate(EvaluateConfig(voc=voc, predictions=predictions, classes=classes), Events())
    # Rows truth, columns called background, cat, dog, none; the bird and the ignored pixel are not judged, and a cat
    # left open or a dog called bird (not in the list) is an error:
    #   background [2, 1, 0, 0]   cat [0, 1, 0, 1]   dog [0, 0, 1, 1]
    # IoU background 2 / 3, cat 1 / (1 + 1 missed + 1 false), dog 1 / 2
    assert result == {
        "miou": pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3),
        # of two pictures, a quarter of the samples are the first alone and a quarter the second alone; background and
        # cat of the first are 1 / 2 and 1 / 3, background and dog of the second 1 and 1 / 2
        "miou_interval": pytest.approx([5 / 12, 3 / 4]),
        "per_class": pytest.approx({"background": 2 / 3, "cat": 1 / 3, "dog": 1 / 2}),
        "images": 2,
        "missing": 0,
        "split": "val",
        "list_sha256": hashlib.sha256(b"a\nb\n").hexdigest(),
        "source": str(predictions),
        "scales": [1.0],
        "flip": False,
        "crf": False,
        "pixel_accuracy": pytest.approx(4 / 7),
        "confusion": {
            "classes": ["background", "cat", "dog"],
            "pixels": [[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]],
        },
        "warnings": [],
    }
    assert result.keys() == PREDICTION_KEYS
    json.dumps(result, allow_nan=False)


def test_with_the_full_list_other_classes_are_judged_and_absent_ones_are_undefined(
    voc: Path, predictions: Path
) -> None:
    result = evaluate(EvaluateConfig(voc=voc, predictions=predictions), Events())
    per_class = result["per_class"]
    assert list(per_class)[:2] == ["background", "aeroplane"]
    assert len(per_class) == 21
    # The bird is called a dog: bird 0, dog 1 / (1 + 1 called bird + 1 false).
    assert per_class["bird"] == 0.0
    assert per_class["dog"] == pytest.approx(1 / 3)
    assert {name for name, value in per_class.items() if not np.isnan(value)} == {"background", "bird", "cat", "dog"}
    assert result["miou"] == pytest.approx((2 / 3 + 1 / 3 + 0 + 1 / 3) / 4)


def test_a_folder_of_plain_label_maps_given_as_labels_is_pointed_to_predictions(voc: Path, predictions: Path) -> None:
    with pytest.raises(InputError, match="score other label maps with --predictions") as caught:
        evaluate(EvaluateConfig(voc=voc, labels=predictions), Events())
    assert caught.value.rule == "labels-unmarked"


def test_labels_of_another_class_list_are_refused(voc: Path, labels: Path) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(EvaluateConfig(voc=voc, labels=labels, classes="voc"), Events())
    assert caught.value.rule == "labels-classes"


@pytest.mark.parametrize("unset", [None, "auto"])
def test_labels_are_scored_for_their_own_classes(voc: Path, labels: Path, classes: str, unset: str | None) -> None:
    stream = io.StringIO()
    result = evaluate(EvaluateConfig(voc=voc, labels=labels, classes=unset), Events(stream))
    told = evaluate(EvaluateConfig(voc=voc, labels=labels, classes=classes), Events())
    assert result.pop("classes") == ["cat", "dog"]
    assert json.dumps(result) == json.dumps(told)  # the list of a file is not repeated in the result
    line = "scored for its own 2 classes (cat, dog), and background; pixels of other classes are left out of the score"
    assert f"{labels}: {line}" in stream.getvalue()


def test_label_maps_do_not_name_their_classes(voc: Path, predictions: Path) -> None:
    with pytest.raises(ConfigError, match=r"--classes auto.*voc or a file expected.*\[classes-numbers\]"):
        evaluate(EvaluateConfig(voc=voc, predictions=predictions, classes="auto"), Events())


@pytest.mark.parametrize("unset", [None, "auto"])
def test_predictions_that_name_their_classes_are_scored_for_these(
    voc: Path, predictions: Path, classes: str, unset: str | None
) -> None:
    told = evaluate(EvaluateConfig(voc=voc, predictions=predictions, classes=classes), Events())
    (predictions / "settings.json").write_text(json.dumps({"network": "deeplab", "classes": ["cat", "dog"]}))
    stream = io.StringIO()
    result = evaluate(EvaluateConfig(voc=voc, predictions=predictions, classes=unset), Events(stream))
    assert result.pop("classes") == ["cat", "dog"] and json.dumps(result) == json.dumps(told)
    assert f"{predictions}: scored for its own 2 classes (cat, dog), and background" in stream.getvalue()
    with pytest.raises(ConfigError, match=r"made for 2 classes \(cat, dog\).*20 classes \(aeroplane, ") as caught:
        evaluate(EvaluateConfig(voc=voc, predictions=predictions, classes="voc"), Events())
    assert caught.value.rule == "class-list-differs"


def test_own_class_names_are_numbered_from_1(tmp_path: Path, voc: Path) -> None:
    (tmp_path / "shapes.txt").write_text("star\nring\n")
    for folder in (voc / "SegmentationClass", tmp_path / "predictions"):
        write_map(folder / "a.png", [[0, 1, 2]])
        write_map(folder / "b.png", [[0, 2, 2]])
    config = EvaluateConfig(voc=voc, predictions=tmp_path / "predictions", classes=str(tmp_path / "shapes.txt"))
    assert evaluate(config, Events())["per_class"] == {"background": 1.0, "star": 1.0, "ring": 1.0}


@pytest.mark.parametrize("mode", ["predictions", "labels"])
def test_scoring_files_imports_no_torch(mode: str, voc: Path, request: pytest.FixtureRequest, classes: str) -> None:
    folder = request.getfixturevalue(mode)
    code = (
        "import sys; from pathlib import Path; from pipelines.config import EvaluateConfig; "
        "from pipelines.evaluate import evaluate; from pipelines.events import Events; "
        f"config = EvaluateConfig(voc=Path({str(voc)!r}), {mode}=Path({str(folder)!r}), classes={classes!r}); "
        "evaluate(config, Events()); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'scipy', 'matplotlib', 'timm'}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def fill_list(voc: Path, count: int) -> list[str]:
    ids = [f"p{number:02}" for number in range(count)]
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(ids))
    for image_id in ids:
        write_map(voc / "SegmentationClass" / f"{image_id}.png", [[0, CAT]])
    return ids


@pytest.mark.parametrize("mode", ["predictions", "labels"])
def test_missing_files_are_an_error_with_the_first_five_names_and_their_number(
    mode: str, voc: Path, request: pytest.FixtureRequest, classes: str
) -> None:
    folder = request.getfixturevalue(mode)
    fill_list(voc, 9)
    write_map(folder / ("labels" if mode == "labels" else ".") / "p00.png", [[0, CAT]])
    with pytest.raises(InputError, match=r"8 of 9 .*p01.png, p02.png, p03.png, p04.png, p05.png, \.\.\.") as caught:
        evaluate(EvaluateConfig(voc=voc, classes=classes, **{mode: folder}), Events())
    assert caught.value.rule == "predictions-missing"
    assert "--allow-missing" in str(caught.value)
    assert "p06" not in str(caught.value)


def test_allowed_missing_predictions_are_left_out_counted_and_warned_of(
    voc: Path, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = fill_list(voc, 3)
    write_map(predictions / "p01.png", [[0, CAT]])
    result = evaluate(EvaluateConfig(voc=voc, predictions=predictions, allow_missing=True), Events())
    assert (result["miou"], result["images"], result["missing"]) == (1.0, 1, 2)
    # the hash names the whole list, whatever part of it was there
    assert result["list_sha256"] == hashlib.sha256("".join(f"{name}\n" for name in ids).encode()).hexdigest()
    assert "2 of 3 predictions" in capsys.readouterr().err


def test_no_prediction_at_all_is_an_error_even_if_missing_ones_are_allowed(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 of 2 predictions"):
        evaluate(EvaluateConfig(voc=voc, predictions=tmp_path / "nowhere", allow_missing=True), Events())


def test_missing_truth_is_an_error(voc: Path, predictions: Path) -> None:
    (voc / "SegmentationClass" / "b.png").unlink()
    with pytest.raises(InputError, match=r"1 of 2 true label maps of val are missing \(b.png\)") as caught:
        evaluate(EvaluateConfig(voc=voc, predictions=predictions), Events())
    assert caught.value.rule == "truth-missing"


@pytest.mark.parametrize("folder", ["SegmentationClass", "../predictions"])
def test_a_value_that_is_no_class_is_an_error_naming_file_and_value(voc: Path, predictions: Path, folder: str) -> None:
    write_map(voc / folder / "b.png", [[0, 21, 190]])
    with pytest.raises(InputError, match=r"b\.png: holds the values 21, 190, expected .* 0 to 20 or 255") as caught:
        evaluate(EvaluateConfig(voc=voc, predictions=predictions), Events())
    assert caught.value.rule == "label-value"


def test_a_prediction_of_another_size_is_an_error_with_both_sizes(voc: Path, predictions: Path) -> None:
    write_map(predictions / "b.png", [[0], [DOG]])
    with pytest.raises(InputError, match=r"b\.png: label map is 1x2, expected 3x1") as caught:
        evaluate(EvaluateConfig(voc=voc, predictions=predictions), Events())
    assert caught.value.rule == "label-size"


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("predictions",),
        ("voc", "predictions", "labels"),
        ("voc", "predictions", "weights"),
        ("annotations", "weights"),
        ("voc", "images", "annotations", "weights"),
    ],
)
def test_anything_but_one_thing_to_score_is_an_error_that_names_the_choices(given: tuple[str, ...]) -> None:
    config = EvaluateConfig(**{name: Path("x") for name in given})
    with pytest.raises(ConfigError, match=r"--predictions .* --labels .* --annotations") as caught:
        evaluate(config, Events())
    assert caught.value.rule == "evaluate-mode"


def test_a_picture_folder_from_a_shared_file_does_not_disturb_scoring_of_predictions(
    voc: Path, predictions: Path
) -> None:
    config = EvaluateConfig(voc=voc, predictions=predictions, images=voc / "JPEGImages")
    assert evaluate(config, Events())["images"] == 2


@pytest.mark.parametrize(
    "option",
    [{"flip": True}, {"scales": "0.5,1"}, {"crf": True}, {"save_predictions": Path("x")}, {"foreground": True}],
)
def test_options_of_a_network_are_refused_for_files(voc: Path, predictions: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected beside --voc and --weights") as caught:
        evaluate(EvaluateConfig(voc=voc, predictions=predictions, **option), Events())
    assert caught.value.rule == "evaluate-option"


def test_options_of_a_semantic_network_are_refused_for_salient_instances(voc: Path) -> None:
    with pytest.raises(ConfigError, match="--crf: given without a semantic network to score") as caught:
        evaluate(EvaluateConfig(voc=voc, weights=Path("run"), foreground=True, crf=True), Events())
    assert caught.value.rule == "evaluate-option"


class FakeNetwork:
    """Gives the maps of `LABELS`, as far as a network can: pixels left open and birds become background."""

    def __init__(self, classes: ClassList) -> None:
        self.classes, self.device = classes, "cpu"
        self.calls: list[tuple[tuple[float, ...], bool]] = []

    def probabilities(self, picture: NDArray[np.uint8], scales: tuple[float, ...], flip: bool) -> NDArray[np.float32]:
        self.calls.append((tuple(scales), flip))
        image_id = "a" if picture.shape[0] == 2 else "b"
        outputs = self.classes.from_palette(np.array(LABELS[image_id], np.uint8))
        outputs[outputs == 255] = 0
        return np.moveaxis(np.eye(self.classes.n_outputs, dtype=np.float32)[outputs], 2, 0)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Makes `pipelines.networks.load` return a given network."""

    def put(loader: str, network: Any) -> None:
        module = ModuleType("pipelines.networks.load")
        setattr(module, loader, lambda *args, **options: network)
        monkeypatch.setitem(sys.modules, "pipelines.networks.load", module)

    return put


def test_a_network_is_scored_at_the_given_scales_and_its_saved_maps_score_the_same(
    voc: Path, tmp_path: Path, classes: str, pretend: Callable[[str, Any], None]
) -> None:
    network = FakeNetwork(load_classes(classes))
    pretend("load_deeplab", network)
    saved = tmp_path / "saved"
    config = EvaluateConfig(
        voc=voc, weights=Path("run"), classes=classes, scales="0.5,1", flip=True, save_predictions=saved
    )
    result = evaluate(config, Events())
    assert network.calls == [((0.5, 1.0), True)] * 2
    # As for the predictions, but the open cat and the dog called bird are now called background:
    # background 2 / (2 + 1 called cat + 2 false), cat 1 / 3, dog 1 / 2
    assert result["per_class"] == pytest.approx({"background": 2 / 5, "cat": 1 / 3, "dog": 1 / 2})
    assert (result["scales"], result["flip"], result["source"]) == ([0.5, 1.0], True, "run")
    assert result.keys() == PREDICTION_KEYS
    with Image.open(saved / "a.png") as image:
        assert image.mode == "P"
        assert np.asarray(image).tolist() == [[0, CAT, CAT], [0, CAT, DOG]]
    again = evaluate(EvaluateConfig(voc=voc, predictions=saved, classes=classes), Events())
    assert (again["miou"], again["per_class"]) == (result["miou"], result["per_class"])


def test_a_crf_goes_over_the_probabilities(
    voc: Path, tmp_path: Path, classes: str, pretend: Callable[[str, Any], None]
) -> None:
    class Unsure(FakeNetwork):
        def probabilities(self, *args: Any) -> NDArray[np.float32]:
            return 0.4 * super().probabilities(*args) + np.float32(0.2)

    pretend("load_deeplab", Unsure(load_classes(classes)))
    config = EvaluateConfig(
        voc=voc, weights=Path("run"), classes=classes, crf=True, crf_preset="psa", save_predictions=tmp_path / "saved"
    )
    result = evaluate(config, Events())
    assert (result["crf"], result["crf_preset"]) == (True, "psa")
    with Image.open(tmp_path / "saved" / "a.png") as image:
        # On a plain picture all pixels look alike: the three that say cat outvote the others.
        assert np.asarray(image).tolist() == [[CAT] * 3] * 2


def test_a_network_of_other_classes_is_refused_with_both_lists(
    voc: Path, classes: str, pretend: Callable[[str, Any], None]
) -> None:
    pretend("load_deeplab", FakeNetwork(load_classes(classes)))
    with pytest.raises(ConfigError, match=r"2 classes \(cat, dog\).*20 classes \(aeroplane, ") as caught:
        evaluate(EvaluateConfig(voc=voc, weights=Path("run"), classes="voc"), Events())
    assert caught.value.rule == "class-list-differs"


@pytest.mark.parametrize("unset", [None, "auto"])
def test_a_network_is_scored_for_its_own_classes(
    unset: str | None, voc: Path, classes: str, pretend: Callable[[str, Any], None]
) -> None:
    pretend("load_deeplab", FakeNetwork(load_classes(classes)))
    stream = io.StringIO()
    result = evaluate(EvaluateConfig(voc=voc, weights=Path("run"), classes=unset), Events(stream))
    # The bird of the truth is not judged: background 2 / (2 + 1 called cat + 2 false), cat 1 / 3, dog 1 / 2
    assert result["per_class"] == pytest.approx({"background": 2 / 5, "cat": 1 / 3, "dog": 1 / 2})
    assert (result["classes"], result["source"]) == (["cat", "dog"], "run")
    assert result.keys() == PREDICTION_KEYS | {"classes"}
    assert "run: scored for its own 2 classes (cat, dog), and background; pixels of other classes are left out" in (
        stream.getvalue()
    )


def test_a_network_of_all_of_voc_is_scored_without_a_word(voc: Path, pretend: Callable[[str, Any], None]) -> None:
    pretend("load_deeplab", FakeNetwork(load_classes("voc")))
    stream = io.StringIO()
    result = evaluate(EvaluateConfig(voc=voc, weights=Path("run")), Events(stream))
    assert len(result["per_class"]) == 21 and result.keys() == PREDICTION_KEYS
    assert "scored for" not in stream.getvalue()


def test_numbers_of_own_classes_are_told(tmp_path: Path, voc: Path, pretend: Callable[[str, Any], None]) -> None:
    (tmp_path / "shapes.txt").write_text("star\nring\n")
    pretend("load_deeplab", FakeNetwork(load_classes(str(tmp_path / "shapes.txt"))))
    for image_id, rows in (("a", [[0, 1, 2], [2, 1, 0]]), ("b", [[2, 2, 0]])):
        write_map(voc / "SegmentationClass" / f"{image_id}.png", rows)
    stream = io.StringIO()
    result = evaluate(EvaluateConfig(voc=voc, weights=Path("run")), Events(stream))
    assert list(result["per_class"]) == ["background", "star", "ring"]
    assert "2 classes (star, ring), whose numbers in the true label maps are 1, 2 and so on" in stream.getvalue()


def test_predictions_are_never_saved_over_the_truth(
    voc: Path, classes: str, pretend: Callable[[str, Any], None]
) -> None:
    pretend("load_deeplab", FakeNetwork(load_classes(classes)))
    config = EvaluateConfig(voc=voc, weights=Path("run"), classes=classes)
    with pytest.raises(ConfigError, match="folder of the truth"):
        evaluate(replace(config, save_predictions=voc / "JPEGImages" / ".." / "SegmentationClass"), Events())
