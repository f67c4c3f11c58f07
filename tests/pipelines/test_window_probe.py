import numpy as np
import pytest

from pipelines.window_probe import WindowProbe, fit_windows


def table(*cells: tuple[int, float, int], classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(label, log-odds of the first class, how often) -> what `fit_windows` learns from."""
    log_odds = np.full((sum(count for *_, count in cells), classes), np.nan, np.float32)
    log_odds[:, 0] = np.concatenate([np.full(count, value) for _, value, count in cells])
    return log_odds, np.concatenate([np.full(count, label, np.uint8) for label, _, count in cells])


def test_windows_are_worth_how_much_oftener_they_look_so_on_the_keyword():
    # 0.8 of the keyword's windows show 1, and 0.2 of the background's, of which there are three times as many: however
    # many there are, 1 is 4 times as frequent on the keyword, and -1 a quarter.
    cells = (1, 1.0, 800), (1, -1.0, 200), (0, 1.0, 600), (0, -1.0, 2400)
    probe = fit_windows(*table(*cells), 2)
    assert probe.slopes[0] == pytest.approx(np.log(4), rel=0.03)
    assert probe.offsets[0] == pytest.approx(0, abs=0.03)
    # What is open, or of the other class, changes nothing; of that class nothing is known.
    more = fit_windows(*table(*cells, (255, 1.0, 500), (2, 1.0, 500)), 2)
    assert more.slopes.tolist() == [probe.slopes[0], 0] and more.offsets.tolist() == [probe.offsets[0], 0]


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
def test_where_too_little_is_known_they_are_worth_nothing(cells: tuple[tuple[int, float, int], ...]):
    probe = fit_windows(*table(*cells), 2)
    assert probe.slopes.tolist() == [0, 0] and probe.offsets.tolist() == [0, 0]


def test_likelihoods_are_interpolated_between_windows_and_unknown_keywords_stay_out():
    probe = WindowProbe(np.float32([2, 0.5, 0]), np.float32([0.1, -1, 0]))
    windows = np.float32([[[0, 4]], [[np.nan, np.nan]]])  # of the second class, and of the third
    likelihood = probe(windows, [1, 2], (1, 4))
    assert likelihood.shape == (3, 1, 4)
    assert likelihood[[0, 2]].tolist() == [[[1] * 4]] * 2
    # The middles of the windows are at 1 and 3: 0, 1, 3 and 4 at those of the pixels, times 0.5, less 1.
    assert np.log(likelihood[1, 0]) == pytest.approx([-1, -0.5, 0.5, 1], abs=1e-6)
