"""Figures of saliency maps beside the union of true instances, with hand-derived values."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.saliency import compared, scores
from pipelines.data.coco import CocoPicture
from pipelines.data.rle import boxes_of, encode_masks

TRUTH = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)


def test_scores_of_a_map() -> None:
    # Above a half: 4 pixels, of which 3 are among the 4 true ones. Exactly a half is not above it.
    found = np.array([[1, 0.75, 0.5, 0], [1, 0.5, 0, 1]], np.float32)
    iou, f, error = scores(found, TRUTH)
    assert iou == pytest.approx(3 / 5)
    # Precision 3 / 4 and recall 3 / 4, so F is 3 / 4 whatever its weight.
    assert f == pytest.approx(3 / 4)
    assert error == pytest.approx((0.25 + 0.5 + 0.5 + 1) / 8)


def test_precision_counts_more_than_recall() -> None:
    half = np.zeros((2, 4), np.float32)
    half[0, :2] = 1  # precision 1, recall 1/2: F = 1.3 * 0.5 / (0.3 * 1 + 0.5)
    assert scores(half, TRUTH)[1] == pytest.approx(0.65 / 0.8)
    double = np.ones((2, 4), np.float32)  # precision 1/2, recall 1: F = 1.3 * 0.5 / (0.3 * 0.5 + 1)
    assert scores(double, TRUTH)[1] == pytest.approx(0.65 / 1.15)


def test_without_truth_the_error_alone_is_known() -> None:
    iou, f, error = scores(np.full((2, 4), 0.25, np.float32), np.zeros((2, 4), bool))
    assert np.isnan(iou) and np.isnan(f) and error == 0.25


def test_means_over_the_pictures_of_each_source(tmp_path: Path) -> None:
    pictures = []
    for name, source, truth in (("a", "one", TRUTH), ("b", "one", ~TRUTH), ("c", "two", TRUTH)):
        Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(tmp_path / f"{name}.png")
        rles = encode_masks(truth[None].astype(np.uint8))
        pictures.append(CocoPicture(name, tmp_path / f"{name}.png", 2, 4, source, boxes_of(rles), tuple(rles)))
    result = compared(pictures, {"net": lambda picture: TRUTH.astype(np.float32)})
    assert list(result) == ["all", "one", "two"]
    assert result["one"] == {"images": 2, "net": {"iou": 0.5, "f": 0.5, "mae": 0.5}}
    assert result["two"] == {"images": 1, "net": {"iou": 1.0, "f": 1.0, "mae": 0.0}}
    assert result["all"]["images"] == 3 and result["all"]["net"]["iou"] == pytest.approx(2 / 3)
