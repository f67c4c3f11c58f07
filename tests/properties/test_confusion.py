"""Confusion matrices and their scores against plain Python, on random maps: absent classes, open and ignored pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.metrics.confusion import ConfusionMatrix, confusion, overlap, quotients
from pipelines.metrics.label_quality import label_quality

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8], int]


def random_maps(seed: int) -> Maps:
    """Truth and prediction with classes that are absent, rare, only true, only predicted, or judged nowhere."""
    generator = np.random.default_rng(seed)
    n = int(generator.choice([1, 2, 3, 7, 21, 255]))
    shape = tuple(generator.integers(1, 9, 2))
    shown = generator.choice(n, int(generator.integers(1, n + 1)), replace=False)
    truth = generator.choice(shown, shape).astype(np.uint8)
    truth[generator.random(shape) < generator.choice([0, 0.3, 1])] = 255
    prediction = generator.integers(0, 256 if seed % 2 else n, shape).astype(np.uint8)
    agree = (generator.random(shape) < generator.choice([0, 0.5, 1])) & (truth != 255)
    prediction[agree] = truth[agree]
    return truth, prediction, n


def scores_by_pixels(pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], n: int) -> dict[str, object]:
    """All scores from the pixels themselves, one at a time."""
    pixels = [
        pair for true, found in pictures for pair in zip(true.ravel().tolist(), found.ravel().tolist(), strict=True)
    ]
    judged = [(true, found) for true, found in pixels if true != 255]
    kept = [(true, found) for true, found in judged if found < n]

    def iou(some: list[tuple[int, int]]) -> list[float]:
        values = []
        for index in range(n):
            both = sum(true == found == index for true, found in some)
            either = sum(index in (true, found) for true, found in some)
            values.append(both / either if either else math.nan)
        return values

    def mean(values: list[float]) -> float:
        known = [value for value in values if not math.isnan(value)]
        return math.fsum(known) / len(known) if known else math.nan

    def share(some: int, all_: int) -> float:
        return some / all_ if all_ else math.nan

    right = sum(true == found for true, found in judged)
    return {
        "matrix": [
            [*(sum(pair == (i, j) for pair in judged) for j in range(n)), sum(t == i and f >= n for t, f in judged)]
            for i in range(n)
        ] if n < 30 else None,
        "iou": iou(judged),
        "miou": mean(iou(judged)),
        "iou_kept": iou(kept),
        "miou_kept": mean(iou(kept)),
        "pixel_accuracy": share(right, len(judged)),
        "coverage": share(len(kept), len(judged)),
        "precision_kept": share(right, len(kept)),
    }  # fmt: skip


def check(pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], n: int) -> None:
    matrix = ConfusionMatrix(n)
    for true, found in pictures:
        matrix.update(true, found)
    expected = scores_by_pixels(pictures, n)
    if expected["matrix"] is not None:
        assert matrix.matrix.tolist() == expected["matrix"]
    quality = label_quality(matrix)
    found = {
        "iou": matrix.iou(), "miou": matrix.miou(), "iou_kept": matrix.iou_kept(), "miou_kept": quality.miou_kept,
        "pixel_accuracy": matrix.pixel_accuracy(), "coverage": matrix.coverage(),
        "precision_kept": matrix.precision_kept(),
    }  # fmt: skip
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=0, abs=1e-12, nan_ok=True), name
    assert quality.miou == pytest.approx(expected["miou"], rel=0, abs=1e-12, nan_ok=True)
    assert (quality.coverage, quality.precision_kept) == pytest.approx(
        (expected["coverage"], expected["precision_kept"]), rel=0, abs=1e-12, nan_ok=True
    )


def test_a_thousand_random_cases_have_the_scores_of_a_loop_over_pixels() -> None:
    ignored = absent = 0
    for seed in range(1000):
        truth, prediction, n = random_maps(seed)
        ignored += bool((truth == 255).all())
        absent += len(np.unique(truth[truth != 255])) < n
        check([(truth, prediction)], n)
    assert ignored > 50 and absent > 500  # the corners are among the cases


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=5), st.integers(1, 12))
def test_scores_of_several_pictures_come_from_all_their_pixels(seeds: list[int], n: int) -> None:
    pictures = []
    for seed in seeds:
        truth, prediction, _ = random_maps(seed)
        truth = np.where(truth == 255, 255, truth % n).astype(np.uint8)
        pictures.append((truth, prediction))
    check(pictures, n)


@given(st.integers(0, 10_000))
def test_what_can_be_added_over_pictures_gives_the_iou(seed: int) -> None:
    truth, prediction, n = random_maps(seed)
    counts = confusion(truth, prediction, n)
    matrix = ConfusionMatrix(n)
    matrix.add(counts)
    both, either = overlap(counts)
    np.testing.assert_array_equal(quotients(both, either), matrix.iou())
    assert (both <= either).all() and (both >= 0).all()
