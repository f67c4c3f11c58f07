"""Figures of a method trained with several seeds, with their uncertainty: over seeds, and over test pictures.

The interval answers how far the average of these very trainings could differ on other pictures. The spread over seeds
answers how far another training would differ on these pictures. Methods are compared in pairs, on the same pictures and
seeds: what makes a picture or a seed hard for both cancels out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from pipelines.metrics.bootstrap import Indices, interval

METRICS = ("ap", "ap50", "ap70", "release_map50", "release_map70")

Scores = dict[str, float]


class Judged(Protocol):
    """What a trained network gave for the test pictures, compared with the truth once."""

    def scores(self, chosen: Indices, /) -> Scores:
        """Return the metrics over chosen pictures."""


def seed_averages(
    methods: Mapping[str, Mapping[int, Judged]],
    chosen: Indices,
    reference: str | None,
    resamples: int = 1000,
    on_resample: Callable[[], object] = lambda: None,
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Score methods on some pictures.

    Args:
        methods: For each method its trainings by seed, at least one.
        chosen: [m] positions of the pictures to score on, at least one.
        reference: The method that the others are compared with, over the seeds that both have.
        resamples: Samples of the pictures behind an interval; each is drawn once and used for all methods.
        on_resample: Called after each sample.
        metrics: Names of the scores.

    Returns:
        For each method and metric {mean, sd, low, high, by_seed, difference}: mean over seeds; standard deviation over
        seeds (n - 1); ends of the 95 % interval over pictures; the value of each seed. `difference` has the same five
        numbers for the method minus the reference; it is None for the reference itself and without a common seed.
        Numbers are fractions, nan where undefined, as the standard deviation of one seed is.
    """

    def scores(positions: Indices) -> dict[str, dict[int, Scores]]:
        pictures = chosen[positions]
        return {name: {seed: net.scores(pictures) for seed, net in nets.items()} for name, nets in methods.items()}

    def sample(positions: Indices) -> dict[str, float]:
        values = _by_seed(scores(positions), reference, metrics)
        on_resample()
        return {key: fmean(seeds) for key, seeds in values.items()}

    values = _by_seed(scores(np.arange(len(chosen))), reference, metrics)
    ends = interval(sample, len(chosen), resamples)
    estimates = {key: _estimate(seeds, ends[key]) for key, seeds in values.items()}
    return {
        name: {
            metric: {**estimates[f"{name} {metric}"], "difference": estimates.get(f"{name} {metric} difference")}
            for metric in metrics
        }
        for name in methods
    }


def _by_seed(
    scores: dict[str, dict[int, Scores]], reference: str | None, metrics: Sequence[str]
) -> dict[str, list[float]]:
    """Return the scores of each method and metric, one a seed, and their differences to the reference."""
    values = {}
    base = scores.get(reference, {}) if reference is not None else {}
    for name, seeds in scores.items():
        common = [] if name == reference else [seed for seed in seeds if seed in base]
        for metric in metrics:
            values[f"{name} {metric}"] = [score[metric] for score in seeds.values()]
            if common:
                differences = [seeds[seed][metric] - base[seed][metric] for seed in common]
                values[f"{name} {metric} difference"] = differences
    return values


def _estimate(seeds: list[float], ends: tuple[float, float]) -> dict[str, Any]:
    sd = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan
    return {"mean": fmean(seeds), "sd": sd, "low": ends[0], "high": ends[1], "by_seed": seeds}
