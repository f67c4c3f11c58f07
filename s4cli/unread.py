"""What happens where nobody takes what a command prints: behind `s4 check | head -1`, or on a full disk."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pipelines.errors import MachineError

_STREAMS = {1: "stdout", 2: "stderr"}


class Program(click.Group):
    """The group of all commands. An output that nobody reads ends a command as an error of the machine.

    Click would end the program with 1 and without a word after any broken pipe, that of another process included.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the command of a line.

        Raises:
            MachineError: Nobody reads an output any more [output-unread].
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise unread() or RuntimeError(f"a pipe to another process broke ({error})") from error


@contextmanager
def as_far_as_taken(number: int) -> Iterator[None]:
    """Print inside as far as the output takes it: somebody may have ceased to read, or the disk may be full.

    Args:
        number: The output, 1 or 2.
    """
    try:
        yield
    except OSError:
        if unread() is None:
            _lose(number)


def say(text: str) -> None:
    """Print a line on stderr, if somebody reads it."""
    with as_far_as_taken(2):
        click.echo(text, err=True)


def unread() -> MachineError | None:
    """Return the error of outputs that nobody reads any more; None if all are read.

    What is printed to such an output from now on is lost, and no error any more.
    """
    poll = select.poll()
    for number in _STREAMS:
        poll.register(number, 0)
    broken = [number for number, event in poll.poll(0) if event & select.POLLERR]
    for number in broken:
        _lose(number)
    if not broken:
        return None
    names = " and ".join(_STREAMS[number] for number in sorted(broken))
    found = f"{names}: nobody reads it any more, a reader until the end expected"
    return MachineError(
        f"{found}; let the program behind the pipe read everything, or write to a file", "output-unread"
    )


def _lose(number: int) -> None:
    """Let what is printed to an output from now on be lost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
