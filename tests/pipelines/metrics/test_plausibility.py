"""What is said of results that cannot be right, on both sides of each threshold."""

from typing import Any

import numpy as np
import pytest

from pipelines.metrics.confusion import ConfusionMatrix
from pipelines.metrics.plausibility import (
    EMPTY_SHARE,
    LEAST_AP50,
    LEAST_FOUND,
    empty_labels,
    lost_classes,
    poor_instances,
    unlabelled_classes,
)

NAMES = ("cat", "dog", "cow")


def matrix(*rows: list[int]) -> ConfusionMatrix:
    """Counts by true class (background, cat, dog, cow) and by called class; the last column is no class."""
    made = ConfusionMatrix(4)
    made.add(np.array(rows, np.int64))
    return made


def rules(warnings: list[dict[str, str]]) -> list[str]:
    assert all(set(warning) == {"rule", "message"} for warning in warnings)
    return [warning["rule"] for warning in warnings]


def test_the_thresholds_are_those_of_the_documents() -> None:
    assert (LEAST_FOUND, EMPTY_SHARE, LEAST_AP50) == (0.001, pytest.approx(1 / 3), 0.3)


def test_background_alone_is_told_until_one_pixel_is_called_something_else() -> None:
    only = [90, 0, 0, 0, 0], [5000, 0, 0, 0, 0], [20, 0, 0, 0, 0], [0, 0, 0, 0, 0]
    (warning,) = lost_classes("runs/x", matrix(*only), NAMES)
    assert warning["rule"] == "only-background"
    assert warning["message"].startswith("runs/x: finds no class but background, though the truth shows cat, dog; ")
    assert "trained too short, or its labels are empty" in warning["message"]
    wrong = matrix([90, 1, 0, 0, 0], *only[1:])
    assert rules(lost_classes("runs/x", wrong, NAMES)) == ["class-not-found"]
    found = matrix(only[0], [4995, 5, 0, 0, 0], [19, 0, 1, 0, 0], only[3])
    assert lost_classes("runs/x", found, NAMES) == []


@pytest.mark.parametrize(("found", "is_lost"), [(0, True), (4, True), (5, False), (5000, False)])
def test_a_class_is_found_from_a_thousandth_of_its_pixels_on(found: int, is_lost: bool) -> None:
    counts = matrix([90, 0, 0, 0, 0], [5000 - found, found, 0, 0, 0], [0, 0, 20, 0, 0], [0, 0, 0, 0, 0])
    told = lost_classes("p", counts, NAMES)
    assert rules(told) == (["class-not-found"] if is_lost else [])
    assert not is_lost or "hardly a pixel of cat (1 of the 2 classes in the truth)" in told[0]["message"]


def test_a_class_that_is_called_and_never_right_is_lost() -> None:
    counts = matrix([90, 0, 0, 0, 0], [0, 0, 30, 0, 0], [0, 0, 20, 0, 0], [0, 0, 0, 0, 0])
    assert rules(lost_classes("p", counts, NAMES)) == ["class-not-found"]


def test_without_a_class_in_the_truth_nothing_is_lost() -> None:
    assert lost_classes("p", matrix([90, 0, 0, 0, 0], *[[0] * 5] * 3), NAMES) == []
    assert lost_classes("p", matrix(*[[0] * 5] * 4), NAMES) == []


def test_labels_get_advice_on_labels() -> None:
    empty = matrix([0, 0, 0, 0, 90], [0, 0, 0, 0, 50], [0] * 5, [0] * 5)
    (warning,) = lost_classes("labels", empty, NAMES, labels=True)
    assert warning["rule"] == "only-background" and "--steps" not in warning["message"]
    assert "check the keywords of these classes, or lower --min-score" in warning["message"]


def counts(labelled: int, empty: int, **rejected: int) -> dict[str, Any]:
    reasons = {reason.replace("_", "-"): count for reason, count in rejected.items()}
    return {"images": 99, "labelled": labelled, "empty": empty, "failed": 7, "rejected": reasons}


@pytest.mark.parametrize(
    ("labelled", "empty", "is_told"),
    [(20, 10, True), (20, 9, False), (19, 10, True), (2, 1, True), (0, 1, True), (30, 0, False), (0, 0, False)],
)
def test_labels_are_in_doubt_from_a_third_of_empty_ones_on(labelled: int, empty: int, is_told: bool) -> None:
    told = empty_labels("labels", counts(labelled, empty, nothing_found=empty))
    assert rules(told) == (["labels-empty-third"] if is_told else [])


def test_every_number_of_pictures_has_its_third() -> None:
    for third in range(1, 2000):
        assert empty_labels("l", counts(2 * third, third)) and not empty_labels("l", counts(2 * third + 1, third))


def test_the_advice_follows_the_reasons() -> None:
    (both,) = empty_labels("labels", counts(1, 11, nothing_found=9, too_little_foreground=2))
    assert both["message"] == (
        "labels: 11 of 12 pictures have no label (nothing-found 9, too-little-foreground 2), fewer than a third "
        "expected; lower --min-score, take other --weights, or check the keywords; lower --least-foreground"
    )
    (large,) = empty_labels("labels", counts(1, 1, too_much_foreground=1))
    assert large["message"].endswith("; raise --most-foreground")
    (strange,) = empty_labels("labels", counts(1, 1))
    assert "(unknown why)" in strange["message"]


def test_a_manifest_of_another_program_tells_nothing() -> None:
    assert empty_labels("labels", {}) == []
    assert empty_labels("labels", {"labelled": "3", "empty": None}) == []


@pytest.mark.parametrize(
    ("ap50", "is_poor"), [(0.0, True), (0.2999, True), (0.3, False), (0.8, False), (None, False), (float("nan"), False)]
)
def test_a_network_is_poor_under_three_tenths(ap50: float | None, is_poor: bool) -> None:
    told = poor_instances("runs/s4net", ap50)
    assert rules(told) == (["s4net-poor"] if is_poor else [])
    assert not is_poor or f"AP50 is {ap50:g}, 0.3 or more expected; labels from it will be poor" in told[0]["message"]


def test_a_class_without_a_label_is_told_until_one_picture_shows_it() -> None:
    assert unlabelled_classes("labels", {"cat": 3, "dog": 1}) == []
    (warning,) = unlabelled_classes("labels", {"cat": 3, "dog": 0, "cow": 0})
    assert warning["rule"] == "class-unlabelled"
    assert warning["message"].startswith("labels: no label map shows dog, cow (2 of 3 classes); no network can learn")
