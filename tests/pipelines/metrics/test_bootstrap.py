import numpy as np
import pytest
from scipy.stats import binom

from pipelines.metrics.bootstrap import Indices, interval


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution() -> None:
    # 5 right of 10: a resample has Binomial(10, 1/2) right ones. P(<= 1) = 11/1024 and P(<= 2) = 56/1024 lie well
    # to both sides of 0.025, so the lower end is 2 of 10 and, by symmetry, the upper end 8 of 10.
    right = np.arange(10) < 5
    assert interval(lambda drawn: {"share": right[drawn].mean()}, 10) == {"share": (0.2, 0.8)}


@pytest.mark.parametrize(("n", "hits", "level"), [(40, 13, 0.95), (300, 240, 0.95), (100, 50, 0.8)])
def test_the_interval_of_a_share_agrees_with_scipys_binomial_quantiles(n: int, hits: int, level: float) -> None:
    right = np.arange(n) < hits
    found = interval(lambda drawn: {"hits": right[drawn].sum()}, n, resamples=4000, level=level)["hits"]
    exact = binom.ppf([(1 - level) / 2, (1 + level) / 2], n, hits / n)
    assert np.abs(np.array(found) - exact).max() <= 1  # one picture: the quantile of 4000 samples is itself random


def test_the_seed_alone_decides() -> None:
    values = np.random.default_rng(3).random(50)

    def scores(drawn: Indices) -> dict[str, float]:
        return {"mean": values[drawn].mean()}

    first = interval(scores, 50, resamples=100)
    assert first == interval(scores, 50, resamples=100)
    assert first != interval(scores, 50, resamples=100, seed=1)
    assert first["mean"][0] < values.mean() < first["mean"][1]


def test_several_scores_are_judged_on_the_same_samples() -> None:
    values = np.random.default_rng(3).random(50)
    both = interval(lambda drawn: {"mean": values[drawn].mean(), "less": 1 - values[drawn].mean()}, 50, resamples=200)
    assert {"mean": both["mean"]} == interval(lambda drawn: {"mean": values[drawn].mean()}, 50, resamples=200)
    assert both["less"] == pytest.approx((1 - both["mean"][1], 1 - both["mean"][0]))


def test_samples_are_as_large_as_the_set_and_drawn_with_replacement() -> None:
    seen: list[Indices] = []

    def collect(drawn: Indices) -> dict[str, float]:
        seen.append(drawn.copy())
        return {"": 0.0}

    assert interval(collect, 6, resamples=200) == {"": (0.0, 0.0)}
    drawn = np.array(seen)
    assert drawn.shape == (200, 6)
    assert set(drawn.ravel()) == set(range(6))
    assert any(len(set(row)) < 6 for row in drawn)


def test_samples_that_cannot_be_judged_are_left_out() -> None:
    values = np.array([0.25, np.nan])
    assert interval(lambda drawn: {"mean": values[drawn].mean()}, 2, resamples=100) == {"mean": (0.25, 0.25)}
    assert np.isnan(interval(lambda drawn: {"mean": float("nan")}, 2, resamples=10)["mean"]).all()


@pytest.mark.parametrize("wrong", [{"n": 0}, {"resamples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_nothing_to_draw_from_and_levels_that_are_no_share_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        interval(lambda drawn: {"score": 0.0}, **{"n": 5, **wrong})  # type: ignore[arg-type]


def test_a_thousand_samples_of_seed_0_are_the_default() -> None:
    values = np.random.default_rng(3).random(50)

    def scores(drawn: Indices) -> dict[str, float]:
        return {"mean": values[drawn].mean()}

    calls: list[int] = []
    found = interval(lambda drawn: calls.append(1) or scores(drawn), 50)
    assert len(calls) == 1000
    assert found == interval(scores, 50, 1000, 0, 0.95) != interval(scores, 50, 1000, 1, 0.95)


def test_one_picture_and_one_sample_are_enough() -> None:
    assert interval(lambda drawn: {"it": float(drawn[0])}, 1) == {"it": (0.0, 0.0)}
    single = np.random.default_rng(0).integers(0, 9, 9).mean()
    assert interval(lambda drawn: {"mean": drawn.mean()}, 9, resamples=1) == {"mean": (single, single)}


def test_nan_is_known_by_its_name_alone() -> None:
    first, second = np.array([0.0, 1.0]), np.array([np.nan, np.nan])
    found = interval(lambda drawn: {"a": first[drawn].mean(), "b": second[drawn].mean()}, 2, resamples=50)
    assert found["a"] == (0.0, 1.0) and np.isnan(found["b"]).all()
