import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.metrics.confusion import ConfusionMatrix, confusion, mean_of_known
from pipelines.metrics.label_quality import label_quality

Map = NDArray[np.uint8]


def label_map(*rows: list[int]) -> Map:
    return np.array(rows, dtype=np.uint8)


# Truth and labels of six pixels, one ignored and one left open, counted by hand:
#   truth   0 0 1 1 1 255      rows: truth 0 -> [1, 1, 0]   (one right, one called 1)
#   labels  0 1 1 1 255 0            truth 1 -> [0, 2, 1]   (two right, one open)
TRUTH = label_map([0, 0, 1], [1, 1, 255])
LABELS = label_map([0, 1, 1], [1, 255, 0])


def by_loops(truth: Map, prediction: Map, n: int) -> list[list[int]]:
    counts = [[0] * (n + 1) for _ in range(n)]
    for row in range(truth.shape[0]):
        for column in range(truth.shape[1]):
            true, predicted = int(truth[row, column]), int(prediction[row, column])
            if true != 255:
                counts[true][predicted if predicted < n else n] += 1
    return counts


def iou_by_sets(truth: Map, prediction: Map, n: int) -> list[float]:
    judged = [
        (place, int(true), int(found))
        for place, (true, found) in enumerate(zip(truth.ravel(), prediction.ravel(), strict=True))
        if true != 255
    ]
    values = []
    for index in range(n):
        is_true = {place for place, true, _ in judged if true == index}
        is_found = {place for place, _, found in judged if found == index}
        values.append(len(is_true & is_found) / len(is_true | is_found) if is_true | is_found else math.nan)
    return values


def test_counts_of_six_pixels_are_those_counted_by_hand() -> None:
    assert confusion(TRUTH, LABELS, 2).tolist() == [[1, 1, 0], [0, 2, 1]]


def test_scores_of_six_pixels_are_those_derived_by_hand() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(TRUTH, LABELS)
    # class 0: 1 right, union 1 + 1 = 2 (one called 1); class 1: 2 right, union 2 + 1 false + 1 open = 4
    assert matrix.iou().tolist() == [1 / 2, 2 / 4]
    assert matrix.miou() == 0.5
    assert matrix.pixel_accuracy() == 3 / 5
    assert matrix.coverage() == 4 / 5
    assert matrix.precision_kept() == 3 / 4
    # without the open pixel the union of class 1 is 3
    assert matrix.iou_kept().tolist() == [1 / 2, 2 / 3]


def test_label_quality_counts_open_pixels_as_errors_and_reports_the_kept_ones_apart() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(TRUTH, LABELS)
    quality = label_quality(matrix)
    assert (quality.miou, quality.coverage, quality.precision_kept) == (0.5, 0.8, 0.75)
    assert quality.miou_kept == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert quality.iou.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("n", [1, 2, 7, 21, 255])
def test_counts_and_iou_agree_with_a_loop_over_pixels(n: int) -> None:
    generator = np.random.default_rng(n)
    truth = generator.integers(0, n, (23, 17)).astype(np.uint8)
    truth[generator.random(truth.shape) < 0.2] = 255
    prediction = generator.integers(0, 256, truth.shape).astype(np.uint8)
    agree = generator.random(truth.shape) < 0.5
    prediction[agree] = truth[agree]
    matrix = ConfusionMatrix(n)
    matrix.update(truth, prediction)
    assert matrix.matrix.tolist() == by_loops(truth, prediction, n)
    np.testing.assert_allclose(matrix.iou(), iou_by_sets(truth, prediction, n), rtol=1e-12)


def test_one_matrix_over_all_pictures_differs_from_a_mean_over_pictures() -> None:
    # One pixel wrong in a picture of 1 and none in a picture of 9: 9 of 10 together, but (0 + 1) / 2 by picture.
    matrix = ConfusionMatrix(1)
    matrix.update(np.zeros((1, 1), np.uint8), np.full((1, 1), 255, np.uint8))
    matrix.update(np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint8))
    assert matrix.miou() == 0.9


def test_class_in_neither_truth_nor_prediction_is_nan_and_left_out_of_the_mean() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(label_map([0, 1]), label_map([0, 0]))
    # class 0: 1 of 2; class 1: missed, 0 of 1; class 2: nowhere
    np.testing.assert_array_equal(matrix.iou(), [0.5, 0.0, np.nan])
    assert matrix.miou() == 0.25


def test_class_that_is_only_predicted_counts_as_zero() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(label_map([0, 0]), label_map([0, 1]))
    np.testing.assert_array_equal(matrix.iou(), [0.5, 0.0])


def test_nothing_judged_gives_nan_without_a_warning() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(label_map([255, 255]), label_map([0, 1]))
    assert matrix.matrix.sum() == 0
    for value in (matrix.miou(), matrix.pixel_accuracy(), matrix.coverage(), matrix.precision_kept()):
        assert math.isnan(value)
    assert math.isnan(mean_of_known(np.array([np.nan])))


def test_adding_counts_equals_updating() -> None:
    updated, added = ConfusionMatrix(2), ConfusionMatrix(2)
    updated.update(TRUTH, LABELS)
    added.add(confusion(TRUTH, LABELS, 2))
    assert updated.matrix.dtype == added.matrix.dtype == np.int64
    assert (updated.matrix == added.matrix).all()


def test_truth_outside_the_classes_is_refused_with_its_values() -> None:
    with pytest.raises(ValueError, match=r"holds \[2, 254\], expected 0..1 or 255"):
        confusion(label_map([0, 2, 254, 255]), label_map([0, 0, 0, 0]), 2)


def test_maps_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        confusion(label_map([0, 1]), label_map([0], [1]), 2)


def test_dominating_counts_stay_exact_in_int64() -> None:
    matrix = ConfusionMatrix(1)
    matrix.add(np.array([[2**40, 1]], dtype=np.int64))
    matrix.add(np.array([[2**40, 0]], dtype=np.int64))
    assert matrix.matrix.tolist() == [[2**41, 1]]
