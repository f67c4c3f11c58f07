"""The errors that a user can cause or repair, each kind with the exit code of the command line.

Anything that is not an `S4Error` is a fault of the program itself (exit code 1).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import ClassVar

# Control characters, bytes that are no text (see PEP 383), and separators of lines. A terminal obeys some of them.
_OBEYED = {"Cc", "Cs", "Zl", "Zp"}
_TURNS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # change the direction of text
# `user:password@` in an address, and the query of a signed link.
_PASSWORD = re.compile(r"(?<=://)[^/@\s:]*:[^/\s]*@")
_QUERY = re.compile(r"(?<=://)([^\s?]*\?)[^\s'\"]*(?:[Ss]ignature|[Tt]oken|sig|[Kk]ey)=[^\s'\"]*")


def masked(text: str) -> str:
    """Return a text with `***` for the passwords and signatures of the addresses in it."""
    return _QUERY.sub(r"\1***", _PASSWORD.sub("***@", text)) if "://" in text else text


class S4Error(Exception):
    """An expected failure, told to the user in one line without a traceback.

    The message reads `<file or flag>: <what was found>, <what was expected>; <what to do>`.

    Attributes:
        exit_code: The exit code of the process.
        message: The line without the rule.
        rule: A short stable id of the rule that was broken, for users to search for and for tests.
        others: Further faults that were found at the same time.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, rule: str) -> None:
        """Store both parts; `str(error)` is `message [rule]`."""
        message = masked(message)
        # Both parts go to `args`, so that pickling keeps them when a worker process raises the error.
        super().__init__(message, rule)
        self.message = message
        self.rule = rule
        self.others: tuple[S4Error, ...] = ()

    def __str__(self) -> str:
        """Return the line that the user sees."""
        return f"{self.message} [{self.rule}]"


class ConfigError(S4Error):
    """A flag, a configuration key or a combination of them cannot be used."""

    exit_code: ClassVar[int] = 2


class InputError(S4Error):
    """A file or folder of the user is missing, damaged or not what it should be. Nothing was done."""

    exit_code: ClassVar[int] = 3


class PartialFailure(S4Error):
    """The work is finished, but some items failed. A failures file lists these items."""

    exit_code: ClassVar[int] = 4


class DivergedError(S4Error):
    """A training produced values that no further step can repair."""

    exit_code: ClassVar[int] = 5


class MachineError(S4Error):
    """The machine is at fault: the disk is full, a permission is missing, or a device does not exist."""

    exit_code: ClassVar[int] = 6


class Stopped(S4Error):
    """A signal ended the work early. The state is saved, and the same command can go on."""

    exit_code: ClassVar[int] = 75


def printable(text: str, keep: str = "") -> str:
    r"""Return a text for a terminal, a log, a page or a chart.

    Names of files and classes may hold line breaks, escape sequences of terminals, and marks that turn the direction of
    what follows. Each such character is written as Python writes it, such as `\x1b`. Addresses lose their passwords.

    Args:
        text: The text.
        keep: Characters that are left as they are.
    """
    text = masked(text)
    if text.isprintable():
        return text
    return "".join(one if one in keep or not _is_obeyed(one) else repr(one)[1:-1] for one in text)


def _is_obeyed(one: str) -> bool:
    return one in _TURNS or unicodedata.category(one) in _OBEYED


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to a misspelt one, or None if no name is close; case does not matter."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def raise_all(faults: Sequence[S4Error]) -> None:
    """Raise the first of several faults, which tells the others too; do nothing if there is none."""
    if faults:
        first, *others = faults
        first.others = tuple(others)
        raise first
