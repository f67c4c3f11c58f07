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
from pipelines.evaluate import evaluate
from pipelines.events import Events
from pipelines.files import plain
from tests.pipelines.scoring.fake_network import instances, load_instead

COCO_KEYS = {"ap", "ap50", "ap70", "ap75"}
AP_KEYS = COCO_KEYS | {"release_map50", "release_map70"}
KEYS = AP_KEYS | {
    "ci95", "occluded", "occluded_strict", "occluded_instances", "images", "annotations_sha256", "flip", "warnings",
}  # fmt: skip

Square = tuple[int, int, int]  # left, top, side


def score(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    truths: list[list[Square]],
    found: list[list[Square]],
    sources: list[str] | None = None,
) -> dict[str, Any]:
    """Score a network that finds given squares, the surest first, in pictures with true squares."""
    images, annotations = [], []
    for number, squares in enumerate(truths):
        height = 60 + number  # tells the network which picture it sees
        Image.new("RGB", (60, height)).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 60, "height": height})
        if sources is not None:
            images[-1]["source"] = sources[number]
        for x, y, side in squares:
            outline = [x, y, x + side, y, x + side, y + side, x, y + side]
            annotations.append({"id": len(annotations) + 1, "image_id": number, "segmentation": [outline]})
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "salient"}]}
    (folder / "test.json").write_text(json.dumps(data))

    def network(picture: NDArray[np.uint8]) -> SimpleNamespace:
        squares = found[len(picture) - 60]
        masks = np.zeros((len(squares), *picture.shape[:2]), bool)
        for mask, (x, y, side) in zip(masks, squares, strict=True):
            mask[y : y + side, x : x + side] = True
        return instances(masks, np.linspace(0.9, 0.8, len(squares)))

    load_instead(monkeypatch, network)
    config = EvaluateConfig(images=folder, annotations=folder / "test.json", weights=Path("run"))
    result = evaluate(config, Events())
    json.dumps(plain(result), allow_nan=False)
    return result


def test_instances_are_scored_over_all_pictures_and_over_the_occluded_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Picture 0 holds two overlapping squares, picture 1 one; the network finds both in picture 0, nothing in 1.
    pair: list[Square] = [(0, 0, 10), (5, 5, 20)]
    result = score(tmp_path, monkeypatch, truths=[pair, [(0, 0, 10)]], found=[pair, []])
    assert result.keys() == KEYS
    assert result["images"] == 2
    assert result["annotations_sha256"] == hashlib.sha256((tmp_path / "test.json").read_bytes()).hexdigest()
    # All: two of three found, no false one: precision 1 up to recall 2/3, that is 67 of COCO's 101 recall steps.
    # The released metric: mean of 1 and 0.
    assert result["ap50"] == result["ap75"] == pytest.approx(67 / 101)
    assert result["release_map50"] == result["release_map70"] == 0.5
    assert result["occluded"] == pytest.approx(dict.fromkeys(AP_KEYS, 1.0) | {"images": 1})
    assert result["occluded_strict"] == result["occluded"]  # 25 shared pixels of 475: IoU 0.053


def test_occlusion_is_read_in_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Picture 0: a pair that shares a corner pixel of 999 pixels together, and one apart: occluded either way, for the
    # masks touch. Picture 1: two squares side by side share no area: only strictly occluded.
    truths: list[list[Square]] = [[(0, 0, 20), (19, 19, 20), (45, 45, 10)], [(0, 0, 10), (10, 0, 10)]]
    # One of the occluded pair is found, the one apart too, and in picture 1 there is a false alarm of the top score.
    found: list[list[Square]] = [[(0, 0, 20), (45, 45, 10)], [(40, 40, 15)]]
    result = score(tmp_path, monkeypatch, truths, found)
    assert (result["occluded"]["images"], result["occluded_strict"]["images"]) == (1, 2)
    # Picture 0 alone: two of three, no false alarm.
    assert result["occluded"]["ap"] == pytest.approx(67 / 101)
    # The pair alone counts. Scores 0.9 hit, 0.9 false alarm, 0.8 ignored: precision 1 up to recall 1/2, 51 of 101.
    assert result["occluded_instances"] == pytest.approx(dict.fromkeys(COCO_KEYS, 51 / 101) | {"instances": 2})


def test_each_source_has_its_own_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    square: list[Square] = [(0, 0, 10)]
    sources = ["sea", "land", "sea", ""]
    result = score(tmp_path, monkeypatch, truths=[square] * 4, found=[square, [], [], square], sources=sources)
    assert list(result["by_source"]) == ["land", "sea"]
    assert result["by_source"]["land"] == dict.fromkeys(AP_KEYS, 0.0) | {"images": 1}
    # One of two found: 51 of 101 recall steps.
    assert result["by_source"]["sea"]["ap"] == pytest.approx(51 / 101)
    assert (result["by_source"]["sea"]["release_map50"], result["by_source"]["sea"]["images"]) == (0.5, 2)
    assert result["images"] == 4


def test_scores_have_an_interval_over_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten pictures with a square each, five found, none false: a resample with k finds has a released metric of k/10.
    # k follows Binomial(10, 1/2), whose middle 95 % are 2 to 8; COCO's AP is then 21 and 81 of 101 recall steps.
    square: list[Square] = [(0, 0, 10)]
    result = score(tmp_path, monkeypatch, truths=[square] * 10, found=[square, []] * 5)
    assert result["ci95"].keys() == AP_KEYS
    for name in COCO_KEYS:
        assert result["ci95"][name] == pytest.approx([21 / 101, 81 / 101])
    for name in AP_KEYS - COCO_KEYS:
        assert result["ci95"][name] == pytest.approx([0.2, 0.8])
    again = score(tmp_path, monkeypatch, truths=[square] * 10, found=[square, []] * 5)
    assert plain(result) == plain(again)


def test_no_occluded_picture_leaves_scores_undefined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = score(tmp_path, monkeypatch, truths=[[(0, 0, 5)]], found=[[]])
    undefined = pytest.approx({**dict.fromkeys(AP_KEYS, np.nan), "images": 0}, nan_ok=True)
    assert result["occluded"] == undefined
    assert result["occluded_strict"] == undefined
    undefined = pytest.approx({**dict.fromkeys(COCO_KEYS, np.nan), "instances": 0}, nan_ok=True)
    assert result["occluded_instances"] == undefined
    assert result["ap50"] == 0.0
    assert result["ci95"] == {name: [0.0, 0.0] for name in AP_KEYS}


def test_a_file_without_instances_leaves_scores_undefined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = score(tmp_path, monkeypatch, truths=[[]], found=[[(0, 0, 5)]])
    assert np.isnan([result[name] for name in AP_KEYS]).all()
    assert np.isnan([result["ci95"][name] for name in AP_KEYS]).all()
