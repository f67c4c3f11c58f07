import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.metrics import miou_bootstrap
from pipelines.metrics.bootstrap import Indices, interval
from pipelines.metrics.confusion import ConfusionMatrix, confusion, overlap
from pipelines.metrics.miou_bootstrap import JudgedMaps, compare_miou, miou_interval
from pipelines.metrics.seed_averages import seed_averages

N = 4


def pictures(count: int, seed: int, errors: float = 0.3) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts [N, n, n + 1] and overlaps of pictures of two classes each, with random mistakes and open pixels."""
    generator = np.random.default_rng(seed)
    counts = []
    for _ in range(count):
        truth = generator.choice([0, int(generator.integers(1, N)), 255], size=(8, 9)).astype(np.uint8)
        other = generator.choice([*range(N), 255], size=truth.shape).astype(np.uint8)
        counts.append(confusion(truth, np.where(generator.random(truth.shape) < errors, other, truth), N))
    return np.stack(counts), np.stack([overlap(each) for each in counts])


def miou_of(counts: NDArray[np.int64], drawn: Indices) -> float:
    """The mIoU of drawn pictures, one at a time."""
    matrix = ConfusionMatrix(N)
    for index in drawn:
        matrix.add(counts[index])
    return matrix.miou()


def test_overlap_of_a_picture_as_counted_by_hand() -> None:
    # class 0: 2 right, 1 called 1, 1 open -> 4 of it, 3 called so (one is of class 1): 4 + 3 - 2 = 5
    # class 1: 3 right, 1 called 0 -> 4 of it, 4 called so: 4 + 4 - 3 = 5
    assert overlap(np.array([[2, 1, 1], [1, 3, 0]])).tolist() == [[2, 3], [5, 5]]


def test_the_interval_is_that_of_the_same_samples_scored_one_by_one() -> None:
    counts, overlaps = pictures(30, seed=1)
    slow = interval(lambda drawn: {"miou": miou_of(counts, drawn)}, 30, resamples=200, seed=5)
    assert miou_interval(overlaps, resamples=200, seed=5) == pytest.approx(slow["miou"], abs=1e-12)
    assert miou_interval(overlaps, resamples=200, seed=6) != miou_interval(overlaps, resamples=200, seed=5)


def test_few_samples_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _, overlaps = pictures(30, seed=1)
    whole = miou_interval(overlaps, resamples=50)
    monkeypatch.setattr(miou_bootstrap, "_AT_ONCE", 7 * 30)  # 50 = 7 times 7 and 1
    assert miou_interval(overlaps, resamples=50) == whole


def test_two_pictures_can_be_drawn_in_three_ways() -> None:
    # One class. Alone the pictures have IoU 1/2 and 1/4, together 2/6; each alone is a quarter of the samples.
    overlaps = np.array([[[1], [2]], [[1], [4]]])
    assert miou_interval(overlaps) == (0.25, 0.5)


def test_a_class_counts_in_the_samples_that_show_it() -> None:
    # The second class is in the first picture alone: 1 right of 1; the first class 1 of 2 in both.
    # First alone (1/2 + 1) / 2, both the same, second alone 1/2.
    overlaps = np.array([[[1, 1], [2, 1]], [[1, 0], [2, 0]]])
    assert miou_interval(overlaps) == (0.5, 0.75)


def test_a_comparison_draws_the_same_pictures_for_both() -> None:
    # One class of 8 pixels a picture, none of them called wrongly: IoU 4/8 and 2/8 beside 2/8 and 1/8. Whatever is
    # drawn, the first is twice the second; minus it, it is 1/4 for the first picture, 1/8 for the second.
    compared = compare_miou(np.array([[[4], [8]], [[2], [8]]]), np.array([[[2], [8]], [[1], [8]]]))
    assert (compared.ratio, compared.ratio_interval) == (2.0, (2.0, 2.0))
    assert compared.difference == 6 / 16 - 3 / 16
    assert compared.difference_interval == (1 / 8, 1 / 4)


def test_a_comparison_is_that_of_the_samples_scored_one_by_one() -> None:
    counts, overlaps = pictures(25, seed=2)
    others, other_overlaps = pictures(25, seed=3, errors=0.5)
    compared = compare_miou(overlaps, other_overlaps, resamples=200)
    drawn = np.arange(25)
    assert compared.ratio == pytest.approx(miou_of(counts, drawn) / miou_of(others, drawn))
    assert compared.difference == pytest.approx(miou_of(counts, drawn) - miou_of(others, drawn))

    def scores(drawn: Indices) -> dict[str, float]:
        own, other = miou_of(counts, drawn), miou_of(others, drawn)
        return {"ratio": own / other, "difference": own - other}

    slow = interval(scores, 25, resamples=200)
    assert compared.ratio_interval == pytest.approx(slow["ratio"], abs=1e-12)
    assert compared.difference_interval == pytest.approx(slow["difference"], abs=1e-12)


def test_what_was_not_judged_has_no_interval() -> None:
    nothing, wrong = np.zeros((3, 2, N), np.int64), np.tile([[0], [5]], (3, 1, N))
    assert all(math.isnan(end) for end in miou_interval(nothing))
    compared = compare_miou(wrong, wrong)
    assert math.isnan(compared.ratio) and all(math.isnan(end) for end in compared.ratio_interval)
    assert (compared.difference, compared.difference_interval) == (0, (0, 0))


def test_predictions_for_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        compare_miou(np.ones((3, 2, N), np.int64), np.ones((2, 2, N), np.int64))
    with pytest.raises(ValueError, match="1 or more"):
        miou_interval(np.ones((0, 2, N), np.int64))


def test_judged_maps_score_chosen_pictures_as_the_sum_of_their_counts() -> None:
    counts, overlaps = pictures(12, seed=3)
    maps = JudgedMaps(overlaps)
    for drawn in ([0, 1, 2], [5, 5, 7, 11], list(range(12))):
        chosen = np.array(drawn)
        assert maps.scores(chosen)["miou"] == pytest.approx(miou_of(counts, chosen), abs=1e-12)


def test_judged_maps_know_the_iou_of_each_class() -> None:
    # Over both pictures: 2 of 4, 1 of 4, and a class that occurs nowhere.
    maps = JudgedMaps(np.array([[[1, 1, 0], [2, 3, 0]], [[1, 0, 0], [2, 1, 0]]]))
    assert maps.iou()[:2].tolist() == [0.5, 0.25] and math.isnan(maps.iou()[2])


def test_seed_averages_of_one_seed_are_the_paired_comparison() -> None:
    (_, own), (_, other) = pictures(25, seed=1, errors=0.2), pictures(25, seed=1, errors=0.4)
    rows = {"own": {0: JudgedMaps(own)}, "other": {0: JudgedMaps(other)}}
    figure = seed_averages(rows, np.arange(25), "other", resamples=100, metrics=("miou",))["own"]["miou"]
    compared = compare_miou(own, other, resamples=100)
    ends = figure["difference"]["low"], figure["difference"]["high"]
    assert figure["difference"]["mean"] == pytest.approx(compared.difference, abs=1e-12)
    assert ends == pytest.approx(compared.difference_interval, abs=1e-12)
    assert (figure["low"], figure["high"]) == pytest.approx(miou_interval(own, resamples=100), abs=1e-12)
