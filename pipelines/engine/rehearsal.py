"""How fast a stage works here: the stage itself is begun, watched over a few items, and ended."""

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from pipelines.engine.distributed import choose_device
from pipelines.errors import Stopped
from pipelines.events import Events, Progress


@dataclass(frozen=True)
class Pace:
    """How fast a stage works.

    Attributes:
        seconds: Seconds for one unit.
        unit: What is counted: `step` or `picture`.
        pictures: Pictures in a unit.
        device: Where it was measured, in words.
    """

    seconds: float
    unit: str
    pictures: int
    device: str


class _Enough(Exception):
    """Ends a stage that was watched for long enough."""


class Rehearsal(Events):
    """Events that time the loops of a stage and tell nothing.

    Attributes:
        marks: For each loop, times and numbers of items done: at its start, and after each item.
    """

    def __init__(self, most: int | None, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Set when it is enough.

        Args:
            most: Items of a loop after the first. None: every loop runs to its end.
            seconds: Time after which one more item is the last.
            clock: Seconds from any origin.
        """
        super().__init__(io.StringIO(), clock)
        self.most, self.seconds, self.clock = most, seconds, clock
        self.marks: dict[str, list[tuple[float, int]]] = {}

    def attach(self, path: Path) -> None:
        """Keep no log."""

    @contextmanager
    def progress(self, total: int, label: str, done: int = 0) -> Iterator[Progress]:
        """Time a loop; see `Events.progress`."""
        yield _Watch(self, total, label, done)

    def is_enough(self, label: str) -> bool:
        """Return whether a loop was watched for long enough."""
        marks = self.marks[label]
        if self.most is None:
            return False
        return len(marks) - 2 >= self.most or marks[-1][0] - marks[0][0] >= self.seconds

    def seconds_per_item(self) -> dict[str, float]:
        """Return the seconds for an item of each loop.

        Of a loop that is ended early, the first item is left out where others follow: it waits for batches, memory and
        compiled code. Of a whole loop every item counts: what is written behind the work is counted late.
        """
        result = {}
        for label, marks in self.marks.items():
            first = 1 if self.most is not None and len(marks) > 2 else 0
            (begin, done), (end, last) = marks[first], marks[-1]
            if last > done:
                result[label] = (end - begin) / (last - done)
        return result


class _Watch(Progress):
    def __init__(self, rehearsal: Rehearsal, total: int, label: str, done: int) -> None:
        super().__init__(total, label, done, None, rehearsal.clock, lambda line: None)
        self._rehearsal = rehearsal
        rehearsal.marks[label] = [(rehearsal.clock(), done)]

    def advance(self, n: int = 1, **shown: float | str) -> None:
        self.done += n
        self._rehearsal.marks[self.label].append((self._rehearsal.clock(), self.done))
        if self._rehearsal.is_enough(self.label):
            raise _Enough


def rehearse(work: Callable[[Events], object], most: int | None = 4, seconds: float = 20.0) -> dict[str, float]:
    """Begin a stage and return the seconds that it takes for an item of each of its loops.

    Args:
        work: The stage; it has to write into a place that is removed afterwards.
        most: Items of a loop to watch after the first. None: every loop runs to its end.
        seconds: Time after which one more item is the last.

    Raises:
        Stopped: A signal came.
        S4Error: The stage raised it.
    """
    events = Rehearsal(most, seconds)
    try:
        work(events)
    except _Enough:
        pass
    except Stopped as error:
        raise Stopped(
            "dry run: stopped by a signal, nothing was written; start the command again", "stopped"
        ) from error
    return events.seconds_per_item()


def is_alone() -> bool:
    """Return whether this process works without others; of several, all have to end together."""
    return os.environ.get("WORLD_SIZE", "1") == "1"


def device_in_words(device: str) -> str:
    """Return where `--device` computes: the name of a GPU, or the threads of the processor."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'' if threads == 1 else 's'}"
