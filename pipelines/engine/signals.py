"""Stop when a scheduler or a person asks for it: at the end of a step where there is one, else at once.

The command line watches for signals from its first line on (`Watch`). Work in steps asks after each step whether to
stop (`StopRequest`). A signal that comes outside of such work ends the command at once. So does a second Ctrl-C, within
a second, whatever the program is doing: threads are not waited for, and processes are killed. What is on the disk is
whole at any moment, because files are only ever replaced. A signal after the result changes no exit code.
"""

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Self

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Signals that ask a command to stop."""
STOPPED, INTERRUPTED = 75, 130
"""Exit codes after a signal, and after a second Ctrl-C."""
_PATIENCE = 3.0  # seconds that the main thread has to end after a signal outside of steps, or after the result
_LAST = 0.5  # seconds that the last words and the end of the processes may take
_IMPORTER = "<frozen importlib._bootstrap>"  # the file name of the code that imports modules
_ECHO = 1.0  # seconds in which torchrun hands on a Ctrl-C that its processes had from the terminal too


class Interrupted(BaseException):
    """A signal came where there is no step to finish.

    It is no `Exception`: nothing that tolerates failures may tolerate it.

    Attributes:
        exit_code: The exit code of the process.
    """

    def __init__(self, exit_code: int) -> None:
        """Take the exit code."""
        super().__init__(exit_code)
        self.exit_code = exit_code


class Watch:
    """Ends this process as signals ask, from `start` to the end of the process.

    Python runs a handler in the main thread, which may be waiting in compiled code. So a thread listens too. It counts
    signals, and ends the process where the main thread does not.

    Attributes:
        running: The watch of this process, if it has one.
        asked: Whether a signal has come.
        goes_on: Whether the command, started again, goes on where it was. If not, Ctrl-C ends it like a second one.
        interruption: What was raised in the main thread.
        result: Exit code of the work that is done. A signal does not change it any more. None: the work goes on.
        open: Requests of work in steps.
    """

    running: ClassVar["Watch | None"] = None

    def __init__(self, last_words: Callable[[int], None]) -> None:
        """Watch nothing yet.

        Args:
            last_words: Tells the user that the process ends with this exit code. It runs in a thread, and must not wait
                for the main thread.
        """
        self.asked, self.goes_on = False, True
        self.result: int | None = None
        self.interruption: Interrupted | None = None
        self.open: list[StopRequest] = []
        self._last_words = last_words
        self._ending = threading.Lock()

    def start(self) -> Self:
        """Take over the signals of this process, for good."""
        self._ear, mouth = socket.socketpair()
        mouth.setblocking(False)
        self._mouth = mouth  # kept: a socket without a name is closed
        threading.Thread(target=self._listen, name="signals", daemon=True).start()
        Watch.running = self
        signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        for number in ASKING:
            signal.signal(number, self._handle)
        atexit.register(_ignore_all)  # registered first, so called last
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Hand the wish to the work in steps, or end the work; in the main thread."""
        is_first, self.asked = not self.asked, True
        for request in self.open:
            request.asked = True
        if is_first and not self.open and self.result is None:
            if _imports(frame):
                self.end(self._code(number))
            self.interruption = Interrupted(self._code(number))
            raise self.interruption

    def _code(self, number: int) -> int:
        return INTERRUPTED if number == signal.SIGINT and not self.goes_on else STOPPED

    def _listen(self) -> None:
        """Count signals, and end the process on a second Ctrl-C, or if the main thread does not end it."""
        first, begun = 0, 0.0
        self._ear.settimeout(None)
        while True:
            try:
                numbers = self._ear.recv(64)
            except TimeoutError:
                numbers = b""
            for number in numbers:
                if number in ASKING and not first:
                    first, begun = number, time.monotonic()
                    self._ear.settimeout(0.1)
                elif number == signal.SIGINT and not _is_echo(begun):
                    self.end(INTERRUPTED)
            # Without an answer of the main thread, and without work in steps: the main thread waits for something.
            # After the result, the main thread waits for other threads.
            is_stuck = not self.open and (self.interruption is not None or not self.asked or self.result is not None)
            if first and is_stuck and time.monotonic() - begun > _PATIENCE:
                self.end(self._code(first))

    def end(self, exit_code: int) -> None:
        """End this process and all that it has started, at once and without cleaning up.

        Args:
            exit_code: The exit code of a process whose work is not done. After the result, that of the result counts.
        """
        code = exit_code if self.result is None else self.result
        if not self._ending.acquire(blocking=False):
            time.sleep(2 * _LAST)  # another thread is ending the process already
        # The last words may find the terminal stopped, or a pipe that nobody reads.
        last = threading.Timer(_LAST, os._exit, (code,))
        last.daemon = True
        last.start()
        try:
            _kill_children()
            if self.result is None:
                self._last_words(code)
        finally:
            os._exit(code)


def _ignore_all() -> None:
    """Let no signal end this process any more: Python gives up its handlers while it takes itself down."""
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


def _imports(frame: FrameType | None) -> bool:
    """Return whether a module is being imported: compiled modules may abort the process where Python code raises."""
    while frame is not None and frame.f_code.co_filename != _IMPORTER:
        frame = frame.f_back
    return frame is not None


def _is_echo(begun: float) -> bool:
    """Return whether a Ctrl-C may be one that came before: torchrun hands on what the terminal has sent to all."""
    return "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - begun < _ECHO


def _kill_children() -> None:
    """Kill the processes that this one has started, and remove the semaphores that it shares with them."""
    processes, util = sys.modules.get("multiprocessing"), sys.modules.get("multiprocessing.util")
    if processes is not None:
        for child in processes.active_children():
            child.kill()
    for pid in _children():
        try:
            # The tracker of shared resources ends by itself, and has nothing to complain of after the lines below.
            if b"resource_tracker" not in Path("/proc", str(pid), "cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        except OSError:  # it has ended
            continue
    if util is not None:
        util._run_finalizers(0)


def _children() -> Iterator[int]:
    """Yield the ids of the processes that this one has started, also those that are being started; on Linux alone."""
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            yield from map(int, path.read_text().split())
        except OSError:  # the thread has ended
            continue


class StopRequest:
    """A flag that SIGTERM, SIGUSR1 or Ctrl-C sets while the context is open; a second Ctrl-C stops at once.

    Outside of the command line, where there is no `Watch`, the context has handlers of its own, and a second Ctrl-C
    raises `KeyboardInterrupt`.

    Attributes:
        asked: Whether a signal has come. One that came in work around this work counts. On the command line, one counts
            that earlier work was too far on to obey.
    """

    _nested: ClassVar[list["StopRequest"]] = []  # those with handlers of their own, the outermost first

    def __init__(self) -> None:
        """Start unset."""
        self.asked = False
        self._watch: Watch | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers (in the main thread alone: elsewhere Python allows none)."""
        self._watch = Watch.running
        if self._watch is not None:
            self._watch.open.append(self)
            self.asked = self.asked or self._watch.asked
        elif threading.current_thread() is threading.main_thread():
            self.asked = self.asked or any(around.asked for around in self._nested)
            self._nested.append(self)
            self._before = {number: signal.signal(number, self._handle) for number in ASKING}
        return self

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        if self._watch is not None:
            self._watch.open.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before:
            self._nested.remove(self)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        for request in self._nested:
            request.asked = True
