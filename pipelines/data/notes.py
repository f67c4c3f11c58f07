"""What readers of files left out or decided: counted while they read, and told once for each kind."""

from collections.abc import Sequence
from typing import Any

from pipelines.events import Events

Cases = dict[tuple[str, bool], dict[str, None]]
"""(kind, whether it is a warning) -> names of the cases, each once."""


class Notes:
    """Collects what should be told about files that are read.

    A reader adds a note for each case. `tell` writes one line for each kind, with the number of cases and some names.
    """

    def __init__(self, events: Events | None = None) -> None:
        """Start without notes.

        Args:
            events: Receives the lines; None keeps everything quiet.
        """
        self._events = events
        self._cases: Cases = {}
        self._told: set[str] = set()

    def left_out(self, what: str, case: str) -> None:
        """Note something that is not used, as a warning: `what` is the kind, `case` the name of this one."""
        self._cases.setdefault((what, True), {})[case] = None

    def decided(self, what: str, case: str) -> None:
        """Note how something was understood: `what` is the kind, `case` the name of this one."""
        self._cases.setdefault((what, False), {})[case] = None

    def say(self, line: str, warn: bool = False) -> None:
        """Tell a whole line at once; the same line is told once."""
        if self._events is None or line in self._told:
            return
        self._told.add(line)
        (self._events.warn if warn else self._events.info)(line)

    def count_left_out(self, apart: str) -> int:
        """Return the number of cases left out that nobody was told of, without the kinds that begin with `apart`."""
        return sum(len(names) for (what, warn), names in self._cases.items() if warn and not what.startswith(apart))

    def taken(self) -> Cases:
        """Return all that was noted since the last time, for the notes of another process."""
        cases, self._cases = self._cases, {}
        return cases

    def add(self, cases: Cases) -> None:
        """Note what the notes of another process have `taken`."""
        for kind, names in cases.items():
            self._cases.setdefault(kind, {}).update(names)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process gets: notes without cases, and without anybody to tell."""
        return {"_events": None, "_cases": {}, "_told": set()}

    def tell(self) -> None:
        """Tell all that was noted since the last time."""
        for (what, warn), names in self.taken().items():
            self.say(f"{what}: {len(names)} ({first_names(list(names))})", warn)


def first_names(names: Sequence[str], shown: int = 5) -> str:
    """Return the first names of a list with commas, and dots where there are more."""
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
