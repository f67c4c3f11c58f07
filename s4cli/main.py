"""The program `s4`: signals first, then the commands.

A signal may come at any moment, and the commands take a moment to import. So this module imports next to nothing, and
`main` takes over the signals before it imports more.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.engine.signals import INTERRUPTED, STOPPED, Watch
from s4cli.error_object import error_object

if TYPE_CHECKING:
    from s4cli.commands import s4 as s4

GO_ON = {"train", "pseudo-label", "deeplab-train", "predict", "run", "demo", "ablate"}
"""Commands that go on where they were when they are started again. Ctrl-C ends the others for good."""
SIGNALLED = {
    STOPPED: ("stopped by a signal; what was saved is intact, start the same command again to go on", "stopped"),
    INTERRUPTED: ("interrupted; what was saved so far is intact", "interrupted"),
}
"""Message and rule by the exit code, where a signal ends a command outside of its work in steps."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments without the name of the program. None: the arguments of the process, whose signals are
            then taken over until it ends.

    Returns:
        The exit code. After a signal this function does not return: the process ends at once with the code.
    """
    if arguments is not None:
        from s4cli.commands import run_line

        return run_line(arguments)
    watch = Watch(_last_words)
    watch.goes_on = "".join(sys.argv[1:2]) in GO_ON  # a signal may come before the line is parsed
    try:
        watch.start()
        from s4cli.commands import run_line

        code = watch.result = run_line(sys.argv[1:])
    except BaseException:
        if watch.interruption is None:
            raise
        # During the imports above, where Python may turn it into an error of its own, or while another error was told.
        code = watch.interruption.exit_code
        _last_words(code)
    watch.result = code
    if watch.asked:
        # Threads that still read pictures are not waited for, and libraries do not take themselves down.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        watch.end(code)
    return code


def _last_words(code: int) -> None:
    """Tell that a signal ends this process, without the streams, which the main thread may hold."""
    message, rule = SIGNALLED[code]
    line = f"error: {message}" + (f" [{rule}]" if code == STOPPED else "")
    os.write(2, f"\n{line}\n".encode())
    if "--json" in sys.argv[1:] and os.environ.get("RANK", "0") == "0":
        os.write(1, f"{json.dumps(error_object([(message, rule)], code))}\n".encode())


def __getattr__(name: str) -> Any:
    """Import the group of commands on first use (PEP 562)."""
    if name != "s4":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from s4cli.commands import s4

    return s4
