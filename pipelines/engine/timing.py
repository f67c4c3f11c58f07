"""Times of several pieces of work that are to be compared, on a machine that does other things too.

On a shared machine absolute times mean little, and ratios of times taken minutes apart not much more. So every piece of
work is timed once in every pass, and passes run forwards and backwards by turns (A B C ... C B A). Medians are
compared. Samples during which other processes took more than `MOST_OTHERS` of a core are left out.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

MOST_OTHERS = 0.12
"""Cores that other processes may take during a sample that counts."""

Work = Callable[[], float | None]
"""A piece of work. It returns its seconds if it measures them itself, because it first prepares something."""

_LEAST_KEPT = 3
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; guests count as user already


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        seconds: Seconds of one call; the mean where the calls are short and several make a sample.
        others: Cores that other processes took meanwhile; None where this cannot be known.
    """

    seconds: float
    others: float | None

    @property
    def is_clean(self) -> bool:
        """Whether other processes took little enough."""
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
        """Whether samples had to be kept that other processes disturbed."""
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
        """Mean of the cores that other processes took, over all samples; None where this cannot be known."""
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
        """Set the sources.

        Args:
            stat: File of Linux with counters. Without it nothing is known about other processes.
            own_seconds: Function that returns the processor seconds of this process, over all threads.
            ticks_per_second: Unit of the counters. None: the system's.
        """
        self._stat, self._own_seconds = stat, own_seconds
        self._ticks = ticks_per_second or (float(os.sysconf("SC_CLK_TCK")) if stat.exists() else 1.0)

    def seconds(self) -> float | None:
        """Return the processor seconds of all other processes since some moment in the past.

        Only the difference of two calls means something. None where it cannot be known.
        """
        try:
            fields = self._stat.read_text().splitlines()[0].split()[1:]
            busy = sum(int(fields[index]) for index in _BUSY_FIELDS)
        except (OSError, ValueError, IndexError):
            return None
        return busy / self._ticks - self._own_seconds()


class Stopwatch:
    """A clock for work that also tells what the neighbours did meanwhile."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        neighbours: Neighbours | None = None,
        wait: Callable[[], object] = lambda: None,
    ) -> None:
        """Set the sources.

        Args:
            clock: Function that returns seconds from any origin.
            neighbours: The other processes of this machine.
            wait: Function that returns when all work handed out before is done, as that of a GPU.
        """
        self._clock, self._wait = clock, wait
        self._neighbours = neighbours if neighbours is not None else Neighbours()

    def time(self, work: Work, calls: int) -> Sample:
        """Call `work` several times and return the mean of one call."""
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
    """Time every piece of work once in each of `repeats` passes, every second pass in reverse order.

    A call that is not counted precedes each sample. So the caches of the processor, and what a library remembers of its
    last layers, belong to the work that is timed, as in a process that does nothing else.

    Args:
        works: The pieces of work by name.
        repeats: Number of passes, at least 1.
        stopwatch: Clock of the samples.
        least_seconds: Least seconds of a sample: short work is called several times, because the counters of the
            neighbours are coarse.
        warm_up: Calls before the first pass, besides one that tells how long the work takes.
        after_pass: Function to call after every pass.

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
    """Return the value at a share 0..1 of ordered numbers, linear between neighbours."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
