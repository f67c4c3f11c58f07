"""Causes of missed and false pixels, counted by hand."""

import numpy as np

from benchmarks.label_causes import Covers, causes


def _row(text: str) -> np.ndarray:
    return np.array([[int(cell) for cell in text.split()]], np.uint8)


def _covers(own: str, others: str) -> Covers:
    return Covers(_row(own).astype(bool), _row(others).astype(bool))


def test_each_missed_pixel_has_one_cause() -> None:
    # Two regions of class 1, parted by background. Only the first is touched by an instance of the keyword.
    truth = _row("1 1 1 1 1 1 1 0 1 1 255")
    label = _row("1 1 2 255 0 0 0 0 0 0 1")
    counts = causes(truth, label, 1, _covers("1 1 1 1 1 0 0 0 0 0 0", "0 0 0 0 0 1 0 0 0 0 0"), named=True)
    expected = {"true": 9, "right": 2, "other": 1, "open": 1, "overruled": 1, "misnamed": 1, "part": 1, "unfound": 2}
    assert counts == expected  # the last pixel is unknown: neither true nor false


def test_false_pixels_are_counted_by_what_they_truly_are() -> None:
    counts = causes(_row("0 0 2 1"), _row("1 1 1 1"), 1, _covers("1 1 1 1", "0 0 0 0"), named=True)
    assert counts == {"true": 1, "right": 1, "false 0": 2, "false 2": 1}


def test_pixels_of_a_class_without_keyword_are_unnamed() -> None:
    counts = causes(_row("1 1"), _row("0 2"), 1, _covers("0 0", "1 1"), named=False)
    assert counts == {"true": 2, "unnamed": 2}
