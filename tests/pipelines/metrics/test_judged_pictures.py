import numpy as np
import pytest

from pipelines.metrics.instance_ap import PictureMatches
from pipelines.metrics.judged_pictures import JudgedPictures


def outcome(is_hit: bool) -> PictureMatches:
    """A picture with one instance and one detection of score 0.5."""
    return PictureMatches(np.array([0.5]), np.full((10, 1), is_hit), np.ones((10, 1), bool), 1)


def test_pictures_drawn_twice_weigh_twice_in_both_metrics() -> None:
    judged = JudgedPictures([outcome(True), outcome(False)], np.array([1.0, 0.0]), np.array([0.5, np.nan]))
    scores = judged.scores(np.array([0, 0, 1]))
    assert (scores["release_map50"], scores["release_map70"]) == (pytest.approx(2 / 3), 0.5)
    # Hit, hit, false alarm: precision 1 up to recall 2/3, 67 of 101 recall steps.
    assert scores["ap"] == pytest.approx(67 / 101)
    assert judged.scores(np.array([0]))["ap"] == 1.0


def test_intervals_hold_the_score_and_follow_the_seed() -> None:
    judged = JudgedPictures([outcome(True), outcome(False)] * 5, np.array([1.0, 0.0] * 5), np.array([1.0, 0.0] * 5))
    scores, intervals = judged.scores(np.arange(10)), judged.intervals(resamples=100)
    assert scores.keys() == intervals.keys()
    assert all(low < scores[name] < high for name, (low, high) in intervals.items())
    assert intervals == judged.intervals(resamples=100)
