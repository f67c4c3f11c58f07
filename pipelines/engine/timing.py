"""Times of several pieces of work that are to be compared: taken in turn, beside whatever else the machine does.

Absolute times on a shared machine mean little, and ratios of times taken minutes apart not much more. So every piece of
work is timed once in every pass, passes run forwards and backwards by turns (A B C ... C B A), medians are compared,
and samples during which other processes took more than `MOST_OTHERS` of a core are left out.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

MOST_OTHERS = 0.12
"""Cores that others may take during a sample that counts."""

Work = Callable[[], float | None]
"""A piece of work; it returns its seconds if it measures them itself, because it prepares something before."""

_LEAST_KEPT = 3
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; guests count as user already


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        seconds: of one call; the mean where the calls are short and several make a sample.
        others: cores that other processes took meanwhile; None where that cannot be known.
    """

    seconds: float
    others: float | None

    @property
    def is_clean(self) -> bool:
        """Whether others took little enough."""
        return self.others is None or self.others <= MOST_OTHERS


@dataclass(frozen=True)
class Timing:
    """The measurements of one piece of work, in the order in which they were taken; at least one."""

    samples: tuple[Sample, ...]

    @property
    def kept(self) -> tuple[Sample, ...]:
        """The clean samples; all of them where fewer than three, or less than a third, are clean."""
        clean = tuple(sample for sample in self.samples if sample.is_clean)
        return clean if len(clean) >= max(_LEAST_KEPT, len(self.samples) / 3) else self.samples

    @property
    def is_noisy(self) -> bool:
        """Whether samples had to be kept that others disturbed."""
        return not all(sample.is_clean for sample in self.kept)

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the seconds of a call, over the kept samples."""
        seconds = sorted(sample.seconds for sample in self.kept)
        return _quantile(seconds, 0.25), median(seconds), _quantile(seconds, 0.75)

    @property
    def seconds(self) -> float:
        """Median of the kept samples."""
        return self.quartiles[1]

    @property
    def others(self) -> float | None:
        """Mean of the cores that others took, over all samples; None where that cannot be known."""
        known = [sample.others for sample in self.samples if sample.others is not None]
        return fmean(known) if known else None


class Neighbours:
    """How much processor time the other processes of the machine take."""

    def __init__(
        self,
        stat: Path = Path("/proc/stat"),
        own_seconds: Callable[[], float] = time.process_time,
        ticks_per_second: float | None = None,
    ) -> None:
        """Names the sources.

        Args:
            stat: Linux' counters; where the file is missing nothing is known about others.
            own_seconds: Processor seconds of this process, all threads.
            ticks_per_second: Unit of the counters; None asks the system.
        """
        self._stat, self._own_seconds = stat, own_seconds
        self._ticks = ticks_per_second or (float(os.sysconf("SC_CLK_TCK")) if stat.exists() else 1.0)

    def seconds(self) -> float | None:
        """Processor seconds of all others since some moment in the past; differences of two calls mean something."""
        try:
            fields = self._stat.read_text().splitlines()[0].split()[1:]
            busy = sum(int(fields[index]) for index in _BUSY_FIELDS)
        except (OSError, ValueError, IndexError):
            return None
        return busy / self._ticks - self._own_seconds()


class Stopwatch:
    """Times work together with what the neighbours do meanwhile."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        neighbours: Neighbours | None = None,
        wait: Callable[[], object] = lambda: None,
    ) -> None:
        """Sets the sources.

        Args:
            clock: Seconds from any origin.
            neighbours: The others on this machine.
            wait: Returns when all work handed out before is done, as that of a GPU.
        """
        self._clock, self._wait = clock, wait
        self._neighbours = neighbours if neighbours is not None else Neighbours()

    def time(self, work: Work, calls: int) -> Sample:
        """Calls `work` several times and returns the mean of one call."""
        self._wait()
        before, started = self._neighbours.seconds(), self._clock()
        reported = [work() for _ in range(calls)]
        self._wait()
        wall, after = self._clock() - started, self._neighbours.seconds()
        own = [seconds for seconds in reported if seconds is not None]
        others = None
        if before is not None and after is not None and wall > 0:
            # The counters move in steps of a hundredth of a second, so that a difference may be a little below zero.
            others = max(0.0, (after - before) / wall)
        return Sample(sum(own) / calls if own else wall / calls, others)


def interleave(
    works: Mapping[str, Work],
    repeats: int,
    *,
    stopwatch: Stopwatch | None = None,
    least_seconds: float = 0.25,
    warm_up: int = 1,
    after_pass: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Times every piece of work once in each of `repeats` passes, every second pass in reverse order.

    A call that is not counted precedes each sample: what a library remembers of its last layers, and the caches of the
    processor, are then this work's own, as in a process that does nothing else.

    Args:
        works: The pieces of work by name.
        repeats: Passes, at least 1.
        stopwatch: What measures.
        least_seconds: Short work is called several times for a sample, until it should last this long: the counters
            of the neighbours are coarse.
        warm_up: Calls before the first pass, besides one that tells how long the work takes.
        after_pass: Called after every pass.

    Returns:
        The measurements by name.
    """
    watch = stopwatch if stopwatch is not None else Stopwatch()
    calls = {}
    for name, work in works.items():
        for _ in range(warm_up):
            work()
        calls[name] = max(1, math.ceil(least_seconds / max(watch.time(work, 1).seconds, 1e-6)))
    samples: dict[str, list[Sample]] = {name: [] for name in works}
    order = list(works)
    for number in range(repeats):
        for name in reversed(order) if number % 2 else order:
            works[name]()
            samples[name].append(watch.time(works[name], calls[name]))
        after_pass()
    return {name: Timing(tuple(own)) for name, own in samples.items()}


def _quantile(ordered: list[float], share: float) -> float:
    """Value at a share 0..1 of ordered numbers, linear between neighbours."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
