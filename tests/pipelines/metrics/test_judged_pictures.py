import numpy as np
import pytest

from pipelines.metrics.bootstrap import interval
from pipelines.metrics.instance_ap import PictureDetections, PictureMatches
from pipelines.metrics.judged_pictures import JudgedPictures, judge
from tests.pipelines.metrics.block_pictures import block, picture, rle


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


def test_the_two_released_scores_are_at_a_half_and_at_seven_tenths() -> None:
    # 60 of 100 pixels: an IoU of 0.6 is above 0.5 and not above 0.7. 80 of 100 are above both.
    truths = [picture(name, block(0, 0, 10, 10)) for name in "ab"]
    found = [
        PictureDetections("a", np.array([0.9]), [rle(block(0, 0, 10, 6))]),
        PictureDetections("b", np.array([0.9]), [rle(block(0, 0, 10, 8))]),
    ]
    judged = judge(truths, found)
    assert (judged.release50.tolist(), judged.release70.tolist()) == ([1.0, 1.0], [0.0, 1.0])


def test_intervals_are_those_of_a_thousand_samples_of_seed_0() -> None:
    values = np.random.default_rng(1).random((2, 30))  # no two samples have the same mean
    judged = JudgedPictures([outcome(True)] * 30, *values)
    assert judged.intervals() == interval(judged.scores, 30, 1000, 0)
    assert judged.intervals() != interval(judged.scores, 30, 1001, 0)
    assert judged.intervals() != interval(judged.scores, 30, 1000, 1)
