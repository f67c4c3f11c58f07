"""Stop at the end of a step when a scheduler or a person asks for it."""

import signal
import threading
from types import FrameType
from typing import Any, Self

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Signals that ask a command to stop."""


class StopRequest:
    """A flag that SIGTERM, SIGUSR1 or Ctrl-C sets while the context is open; a second Ctrl-C stops at once.

    Attributes:
        asked: Whether a signal has come.
    """

    def __init__(self) -> None:
        """Start unset."""
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers (in the main thread alone: elsewhere Python allows none)."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in ASKING}
        return self

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
