import numpy as np
import pytest

from pipelines.metrics.instance_ap import PictureMatches
from pipelines.metrics.judged_pictures import JudgedPictures
from pipelines.metrics.seed_averages import METRICS, seed_averages

PICTURES = np.arange(8)


def network(hits: list[int], release50: list[float]) -> JudgedPictures:
    """Pictures with one true instance and one detection each, which is a hit at every threshold or at none."""
    matches = [
        PictureMatches(np.array([0.9]), np.full((10, 1), bool(hit)), np.ones((10, 1), bool), n_truths=1) for hit in hits
    ]
    values = np.array(release50)
    return JudgedPictures(matches, values, values / 2)


def found_all(release50: list[float]) -> JudgedPictures:
    return network([1] * len(release50), release50)


EASY, HARD = [0.9, 0.8, 0.7, 0.9, 0.1, 0.2, 0.0, 0.4], [0.5] * 8


def test_means_and_spreads_are_those_of_the_seeds() -> None:
    # Seeds score 0.4, 0.6 and 0.8: mean 0.6, deviations 0.2, 0 and 0.2, so sd = sqrt(0.08 / 2) = 0.2.
    nets = {seed: found_all([value] * 8) for seed, value in enumerate((0.4, 0.6, 0.8))}
    figure = seed_averages({"a": nets}, PICTURES, None, resamples=5)["a"]["release_map50"]
    assert figure["mean"] == pytest.approx(0.6)
    assert figure["sd"] == pytest.approx(0.2)
    assert figure["by_seed"] == pytest.approx([0.4, 0.6, 0.8])
    # Every picture has the same score, so other pictures of this kind would change nothing.
    assert (figure["low"], figure["high"]) == (pytest.approx(0.6), pytest.approx(0.6))
    assert figure["difference"] is None


def test_one_seed_has_no_spread() -> None:
    figure = seed_averages({"a": {7: found_all(EASY)}}, PICTURES, "a", resamples=5)["a"]["release_map70"]
    assert np.isnan(figure["sd"])
    assert figure["mean"] == pytest.approx(0.25)


def test_differences_are_paired_so_that_hard_pictures_cancel_out() -> None:
    better = [value + 0.05 for value in EASY]
    result = seed_averages(
        {"base": {0: found_all(EASY)}, "new": {0: found_all(better)}}, PICTURES, "base", resamples=200
    )
    own, difference = result["new"]["release_map50"], result["new"]["release_map50"]["difference"]
    assert own["high"] - own["low"] > 0.3
    assert [difference[name] for name in ("mean", "low", "high")] == pytest.approx([0.05] * 3)
    assert result["base"]["release_map50"]["difference"] is None


def test_differences_are_taken_over_the_seeds_that_both_have() -> None:
    base = {0: found_all([0.5] * 8), 1: found_all([0.1] * 8)}
    new = {1: found_all([0.3] * 8), 2: found_all([0.9] * 8)}
    result = seed_averages({"base": base, "new": new, "other": {5: found_all(HARD)}}, PICTURES, "base", resamples=5)
    assert result["new"]["release_map50"]["mean"] == pytest.approx(0.6)
    assert result["new"]["release_map50"]["difference"]["by_seed"] == pytest.approx([0.2])
    assert result["other"]["release_map50"]["difference"] is None


def test_coco_scores_are_pooled_over_the_chosen_pictures() -> None:
    # Equal scores rank in the order of the pictures: over the first two pictures the hit comes first and one of two
    # instances is found, at precision 1 up to recall 0.5, which is 51 of 101 steps; over the last two nothing is.
    nets = {"a": {0: network([1, 0, 0, 0], [0.5] * 4)}}
    first = seed_averages(nets, np.array([0, 1]), None, resamples=5)["a"]
    last = seed_averages(nets, np.array([2, 3]), None, resamples=5)["a"]
    assert [first[metric]["mean"] for metric in ("ap", "ap50", "ap70")] == pytest.approx([51 / 101] * 3)
    assert last["ap"]["mean"] == 0
    assert set(first) == set(METRICS)


def test_samples_are_the_same_for_all_methods_and_counted() -> None:
    calls: list[int] = []
    nets = {"a": {0: found_all(EASY)}, "b": {0: found_all(EASY)}}
    result = seed_averages(nets, PICTURES, "a", resamples=30, on_resample=lambda: calls.append(1))
    assert len(calls) == 30
    difference = result["b"]["ap50"]["difference"]
    assert (difference["low"], difference["high"]) == (0, 0)
