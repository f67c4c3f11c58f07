import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import EvaluateConfig
from pipelines.errors import InputError
from pipelines.evaluate import evaluate
from pipelines.events import Events
from pipelines.files import plain
from tests.pipelines.scoring.fake_network import instances, load_instead

# Two rows of pixels; whatever is neither 0 nor 255 is foreground, classes outside of VOC's list included.
Rows = list[list[int]]


def score(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    truths: list[Rows],
    found: list[list[tuple[float, Rows]]],
    **settings: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the result for a network that finds given masks with given scores, and the options it was loaded with."""
    for folder in ("ImageSets/Segmentation", "SegmentationClass", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("".join(f"{n}\n" for n in range(len(truths))))
    for number, rows in enumerate(truths):
        truth = Image.fromarray(np.array(rows, np.uint8))
        truth.save(root / "SegmentationClass" / f"{number}.png")
        Image.new("RGB", (3, 2), (100 * number,) * 3).save(root / "JPEGImages" / f"{number}.png")

    def network(picture: NDArray[np.uint8]) -> SimpleNamespace:
        pairs = found[int(picture[0, 0, 0]) // 100]  # the picture's colour tells its number
        return instances(np.array([rows for _, rows in pairs], bool).reshape(-1, 2, 3), [value for value, _ in pairs])

    options = load_instead(monkeypatch, network)
    config = EvaluateConfig(voc=root, weights=Path("run"), foreground=True, **settings)
    result = evaluate(config, Events())
    json.dumps(plain(result), allow_nan=False)
    return result, options


TRUTHS = [[[0, 8, 255], [77, 0, 0]], [[0, 12, 12], [0, 0, 0]]]
FOUND: list[list[tuple[float, Rows]]] = [
    [(0.9, [[0, 1, 1], [0, 0, 0]]), (0.5, [[0, 1, 0], [0, 1, 0]]), (0.4, [[1, 1, 1], [1, 1, 1]])],
    [(0.8, [[0, 1, 1], [0, 0, 0]])],
]


def test_the_union_of_sure_instances_is_compared_with_all_classes_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, options = score(tmp_path / "voc", monkeypatch, TRUTHS, FOUND)
    # Picture 0: found with 0.5 or more are the middle of both rows and the pixel not judged; true are the upper middle
    # and the lower left: 1 shared of 3. Picture 1: 2 of 2.
    assert result == {
        "foreground_iou": pytest.approx((1 / 3 + 1) / 2),
        "foreground_iou_pooled": pytest.approx(3 / 5),
        "images": 2,
        "min_score": 0.5,
        "flip": False,
        "split": "val",
        "list_sha256": hashlib.sha256(b"0\n1\n").hexdigest(),
        "source": "run",
        "warnings": [],
    }
    assert options == [{"min_score": 0.5, "flip": False, "device": "auto", "precision": "auto"}]


def test_the_score_that_makes_an_instance_sure_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Picture 0: at 0.6 one shared of 2, at 0.4 all 5 judged pixels are found, 2 of them true.
    assert score(tmp_path / "a", monkeypatch, TRUTHS, FOUND, min_score=0.6)[0]["foreground_iou"] == pytest.approx(0.75)
    assert score(tmp_path / "b", monkeypatch, TRUTHS, FOUND, min_score=0.4)[0]["foreground_iou"] == pytest.approx(0.7)


def test_a_picture_without_any_foreground_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = [[0, 0, 0], [0, 255, 0]]
    result, _ = score(tmp_path / "a", monkeypatch, [TRUTHS[0], empty], [FOUND[0], []])
    assert (result["foreground_iou"], result["images"]) == (pytest.approx(1 / 3), 2)
    assert result["foreground_iou_pooled"] == pytest.approx(1 / 3)
    missed, _ = score(tmp_path / "b", monkeypatch, TRUTHS, [FOUND[0], []])
    assert missed["foreground_iou"] == pytest.approx(1 / 6)
    nothing, _ = score(tmp_path / "c", monkeypatch, [[[0, 0, 0], [0, 0, 0]]], [[]])
    assert np.isnan([nothing["foreground_iou"], nothing["foreground_iou_pooled"]]).all()
    with pytest.raises(InputError, match="truth-binary"):  # masks of 0 and 255, where 255 was meant for the object
        score(tmp_path / "d", monkeypatch, [empty], [[]])


def test_a_label_map_of_another_size_is_an_error_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"0\.png is 2x3, 0\.png is 3x2") as caught:
        score(tmp_path / "voc", monkeypatch, [[[0, 1], [0, 1], [0, 1]]], [[]])
    assert caught.value.rule == "label-size"
