"""How far a score could differ on other pictures of the same kind: percentile bootstrap over pictures."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def interval(
    statistic: Callable[[Indices], Mapping[str, float]],
    n: int,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Return the percentile bootstrap interval (Efron) of each of several scores, all on the same samples.

    Args:
        statistic: Receives the indices [n] of the drawn pictures, some of them more than once, and returns the scores
            on them by name; nan where the sample cannot be judged.
        n: Number of pictures, at least 1.
        resamples: Random samples of n pictures, drawn with replacement.
        seed: Seed of the samples; the same seed gives the same samples.
        level: Share of the samples' scores inside the interval, between 0 and 1.

    Returns:
        The lower and the upper end for each score. Samples that could not be judged are left out; nan when none could.

    Raises:
        ValueError: There is no picture or no sample, or the level is no share.
    """
    scores = [statistic(drawn) for drawn in samples(n, resamples, seed)]
    return {name: percentiles(np.array([score[name] for score in scores], np.float64), level) for name in scores[0]}


def samples(n: int, resamples: int, seed: int) -> Iterator[Indices]:
    """Yield the indices [n] of the pictures of each sample; arguments and errors as for `interval`."""
    if n < 1 or resamples < 1:
        raise ValueError(f"{n} pictures, {resamples} resamples; expected 1 or more of both")
    generator = np.random.default_rng(seed)
    return (generator.integers(0, n, n) for _ in range(resamples))


def percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the range that leaves out equal shares of the values [R] below and above it.

    Args:
        values: [R]; nan does not count.
        level: Share of the values inside the range, between 0 and 1.

    Returns:
        Lower and upper end; nan when every value is nan.

    Raises:
        ValueError: The level is no share.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level}; expected 0 < level < 1")
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
