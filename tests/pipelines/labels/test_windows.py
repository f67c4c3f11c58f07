import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.windows import WindowProbe, fit_windows

Learned = tuple[np.ndarray, np.ndarray, np.ndarray]


def windows_of(keyword: int, *cells: tuple[int, float, int]) -> Learned:
    """Turn cells (label, log-odds, how often) into log-odds, keywords and labels of all windows."""
    counts = [count for *_, count in cells]
    log_odds = np.repeat(np.float32([value for _, value, _ in cells]), counts)
    labels = np.repeat(np.uint8([label for label, *_ in cells]), counts)
    return log_odds, np.full(len(labels), keyword, np.int32), labels


def test_windows_are_worth_how_much_oftener_they_look_so_on_the_keyword():
    # Of the keyword's windows 0.8 show 1, of the background's 0.2. So 1 is 4 times as frequent on the keyword, and -1 a
    # quarter as frequent. That background has three times as many windows does not matter.
    cells = (1, 1.0, 800), (1, -1.0, 200), (0, 1.0, 600), (0, -1.0, 2400)
    probe = fit_windows(*windows_of(1, *cells), 2)
    assert probe is not None
    assert probe.slopes[1] == pytest.approx(np.log(4), rel=0.03)
    assert probe.offsets[1] == pytest.approx(0, abs=0.03)
    # Windows of label 255, of the other class, or of log-odds NaN change nothing. The other class has no slope.
    more = fit_windows(*windows_of(1, *cells, (255, 1.0, 500), (2, 1.0, 500), (0, float("nan"), 500)), 2)
    assert more is not None
    assert more.slopes.tolist() == [0, probe.slopes[1], 0] and more.offsets.tolist() == [0, probe.offsets[1], 0]
    both = [np.concatenate(pair) for pair in zip(windows_of(1, *cells), windows_of(2, (2, 1.0, 9)), strict=True)]
    assert fit_windows(*both, 2).slopes.tolist() == [0, probe.slopes[1], 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "cells",
    [
        ((1, 1.0, 9), (0, -1.0, 500)),
        ((1, 1.0, 500), (0, -1.0, 9)),
        ((1, -1.0, 50), (0, 1.0, 50)),  # the keyword looks less like itself than background does
        ((1, 1.0, 50), (0, 1.0, 50)),
    ],
    ids=["few", "little-background", "against", "alike"],
)
def test_where_too_little_is_known_there_is_no_probe(cells: tuple[tuple[int, float, int], ...]):
    assert fit_windows(*windows_of(1, *cells), 2) is None


def test_likelihoods_are_interpolated_between_windows_and_unknown_keywords_stay_out():
    probe = WindowProbe(np.float32([0, 2, 0.5, 0]), np.float32([0, 0.1, -1, 0]))
    windows = np.float32([[[0, 4]], [[np.nan, np.nan]]])  # of the second class, and of the third
    likelihood = probe(windows, Keywords(("b", "c"), (2, 3)), (1, 4))
    assert likelihood.shape == (3, 1, 4)
    assert likelihood[[0, 2]].tolist() == [[[1] * 4]] * 2
    # The middles of the windows are at 1 and 3. At the middles of the pixels they say 0, 1, 3 and 4. The slope of the
    # second class is 0.5, its offset -1.
    assert np.log(likelihood[1, 0]) == pytest.approx([-1, -0.5, 0.5, 1], abs=1e-6)


def test_what_cannot_tell_two_keywords_apart_does_not():
    probe = WindowProbe(np.float32([0, 1, 0.5, 3]), np.float32([0, 0, -1, 0]))
    windows = np.float32([[[2]], [[2]], [[1]]])  # cat and dog look like any animal, the third is of another kind
    # 2 and 0 for the animals, 1 in the mean; 3 for the third.
    assert np.log(probe(windows, Keywords(("a", "b", "c"), (1, 2, 3)), (1, 1)))[:, 0, 0] == pytest.approx([0, 1, 1, 3])


def test_no_window_rules_anything_out():
    probe = WindowProbe(np.float32([0, 1]), np.float32([0, 0]))
    likelihood = probe(np.float32([[[-1000, 1000]]]), Keywords(("a",), (1,)), (1, 2))
    assert np.log(likelihood[1, 0]) == pytest.approx([-8, 8])
