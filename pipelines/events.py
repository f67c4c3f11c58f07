"""Messages and progress of a stage, written to stderr and, if one is attached, to a log file."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipelines.errors import printable
from pipelines.file_errors import write_error
from pipelines.regular_files import open_to_append

if TYPE_CHECKING:
    from tqdm import tqdm

# Without a terminal, a line is due after this share of the work, or after this time.
_LINE_SHARE = 0.05
_LINE_SECONDS = 60.0


class Loudness(IntEnum):
    """How much of what a command does is told; it is the same for the whole process.

    Errors and the result are always told.
    """

    QUIET = 0
    """Nothing else: no progress, no remarks, no warnings. A log file gets all of them nevertheless."""
    NORMAL = 1
    """Progress, remarks and warnings."""
    VERBOSE = 2
    """Details too: how long each part of the work took, and which files were written."""


_LOUDNESS = "S4_LOUDNESS"  # a variable of the environment, so that processes started by this one take it over


@contextmanager
def speaking(loudness: Loudness) -> Iterator[None]:
    """Set how much is told inside the block, by every `Events` of this process and of those that it starts."""
    before = os.environ.get(_LOUDNESS)
    os.environ[_LOUDNESS] = str(int(loudness))
    try:
        yield
    finally:
        os.environ.pop(_LOUDNESS)
        if before is not None:
            os.environ[_LOUDNESS] = before


def tells(loudness: Loudness) -> bool:
    """Return whether lines of a loudness are told now."""
    given = os.environ.get(_LOUDNESS, "")
    return loudness <= (int(given) if given in ("0", "1", "2") else Loudness.NORMAL)


class Events:
    """The channel from a stage to the user. Stages report through this channel and never print."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Set where to write.

        Args:
            stream: Receives the lines. None means `sys.stderr` at the time of each line.
            clock: Seconds from any origin, never going back.
        """
        self._given_stream = stream
        self._clock = clock
        self._log: Path | None = None

    @property
    def stream(self) -> TextIO:
        """The stream that receives lines now."""
        return self._given_stream if self._given_stream is not None else sys.stderr

    def attach(self, path: Path) -> None:
        """Also append every later line, with the time, to a log file."""
        self._log = path

    def info(self, message: str) -> None:
        """Report something that went as planned."""
        self._write(message)

    def warn(self, message: str) -> None:
        """Report something that the user should look at; the work goes on."""
        self._write(f"warning: {message}")

    def detail(self, message: str) -> None:
        """Report something that is of interest to those alone who ask for details."""
        if tells(Loudness.VERBOSE):
            self._write(message)

    def record(self, message: str) -> None:
        """Report something that is too long for a screen: the line goes into the log file alone."""
        self._write_log(message)

    @contextmanager
    def progress(self, total: int, label: str, done: int = 0) -> Iterator["Progress"]:
        """Show the progress of a loop: a bar on a terminal, elsewhere a line every 5 % or 60 s.

        Args:
            total: Number of items, at least `done`.
            label: Name of the work.
            done: Number of items that an earlier run finished. These items do not count into the rate.
        """
        bar, started = None, self._clock()
        if self.stream.isatty() and tells(Loudness.NORMAL):
            from tqdm import tqdm  # each command imports this module, and those that only tell a fault show no bar

            bar = tqdm(total=total, desc=label, initial=done, file=self.stream, dynamic_ncols=True)
        try:
            yield Progress(total, label, done, bar, self._clock, self._write if bar is None else self._write_log)
        finally:
            if bar is not None:
                bar.close()
            self.detail(f"{label}: took {self._clock() - started:.1f} s")

    def _write(self, line: str) -> None:
        # The names of files need not be UTF-8, and not every stream takes what stands for such a byte.
        line = printable(line).encode("utf-8", "backslashreplace").decode("utf-8")
        if tells(Loudness.NORMAL):
            from tqdm import tqdm

            # tqdm.write does not break a bar on the screen. Without a bar, tqdm.write is a plain print.
            tqdm.write(line, file=self.stream)
            self.stream.flush()
        self._write_log(line)

    def _write_log(self, line: str) -> None:
        if self._log is None:
            return
        line = printable(line)
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with open_to_append(self._log) as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode(errors="backslashreplace"))
        except OSError as error:
            raise write_error(self._log, error) from error


class Progress:
    """The progress of one loop, made by `Events.progress`."""

    def __init__(
        self,
        total: int,
        label: str,
        done: int,
        bar: "tqdm[Any] | None",
        clock: Callable[[], float],
        write: Callable[[str], None],
    ) -> None:
        """Start the clock."""
        self.total, self.label, self.done = total, label, done
        self._bar, self._clock, self._write = bar, clock, write
        self._before, self._start = done, clock()
        self._line_done, self._line_time = done, self._start

    def advance(self, n: int = 1, **shown: float | str) -> None:
        """Count finished items.

        Args:
            n: Number of items that finished since the last call.
            shown: Values to show beside the count, such as a loss.
        """
        self.done += n
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(n)
        now = self._clock()
        share_due = self.done - self._line_done >= _LINE_SHARE * self.total or self.done >= self.total
        if share_due or now - self._line_time >= _LINE_SECONDS:
            self._line_done, self._line_time = self.done, now
            self._write(self._line(now - self._start, shown))

    def _line(self, seconds: float, shown: dict[str, float | str]) -> str:
        finished = self.done - self._before
        rate = finished / seconds if seconds > 0 else 0.0
        parts = [f"{self.label}: {self.done}/{self.total} ({100 * self.done / max(self.total, 1):.0f} %)"]
        if rate > 0:
            parts += [f"{rate:.3g}/s", f"{_duration((self.total - self.done) / rate)} left"]
        parts += [
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
        ]
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    """Return hours, minutes and seconds without leading zeros: 75 -> `1:15`, 3700 -> `1:01:40`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
