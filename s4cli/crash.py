"""How a command ends: the exit code of every kind of failure, and the crash file of a bug."""

import io
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from pipelines import __version__
from pipelines.engine.signals import INTERRUPTED, Interrupted, Watch
from pipelines.errors import MachineError, S4Error, printable
from pipelines.file_errors import FORBIDDEN, full_disk, write_error
from s4cli.main import SIGNALLED
from s4cli.output import PrintedFailure, print_error
from s4cli.unread import as_far_as_taken, say, unread

OK = 0
FAULT = 1
USAGE = 2
_NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"  # of torch, where a tensor is too large for the machine
_WITHOUT_RULE = (FAULT, INTERRUPTED)  # the user has broken none


def exit_code_of(work: Callable[[], object], as_json: bool = False) -> int:
    """Run `work`, and tell the user on stderr what stopped it.

    Args:
        work: The command.
        as_json: Whether to print the error as a JSON object on stdout too.

    Returns:
        The exit code: 0 done, 2 wrong usage, 6 the machine, 130 interrupted, or the code of the `S4Error`. Any other
        exception gives 1 and a crash file.
    """
    _print_any_name()
    try:
        _require_current_folder()
        work()
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message())
        return USAGE
    except PrintedFailure as error:
        say(f"error: {printable(str(error))}")
        return error.exit_code
    except (Exception, KeyboardInterrupt, Interrupted, SystemExit) as error:
        faults, code = _described(_cause(error))
        for message, rule in faults:
            # Lines are those of a traceback that no file takes; in a message, they are of a name.
            shown = printable(message, "" if isinstance(error, S4Error) else "\n\t")
            say(f"error: {shown}" + (f" [{rule}]" if code not in _WITHOUT_RULE else ""))
        if as_json:
            with as_far_as_taken(1):
                print_error(faults, code)
        return code
    return OK


def _require_current_folder() -> None:
    """Refuse to work in a folder that was removed: no relative path leads anywhere.

    Raises:
        MachineError: The current folder is not there any more [current-folder].
    """
    try:
        os.getcwd()
    except OSError as error:
        message = f"the current folder: {error.strerror}, a folder that is there expected; change into another one"
        raise MachineError(message, "current-folder") from error


def _print_any_name() -> None:
    """Let both streams print names of files that are no text: Linux takes any bytes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _cause(error: BaseException) -> BaseException:
    """Return the signal that ends the work if an error comes of it: libraries may turn what it raised into theirs.

    Click turns a pipe without a reader into the end of the program where it prints help.
    """
    if isinstance(error, SystemExit):
        broken = unread()
        if broken is None:
            raise error
        return broken
    signalled = Watch.running.interruption if Watch.running is not None else None
    return error if signalled is None or isinstance(error, S4Error) else signalled


def _on_one_line(error: click.UsageError) -> str:
    """Return the message of click, which lists choices one a line, or a plainer one."""
    asked = error.param if isinstance(error, click.MissingParameter) else None
    if isinstance(asked, click.Argument) and isinstance(asked.type, click.Choice):
        return f"no {asked.name} given, one of {', '.join(asked.type.choices)} expected"
    return re.sub(r"\s*\n\s*", " ", error.format_message())


def _described(error: BaseException) -> tuple[list[tuple[str, str]], int]:
    """Return the message and the rule of every fault that an error tells, and the exit code."""
    if isinstance(error, S4Error):
        return [(fault.message, fault.rule) for fault in (error, *error.others)], error.exit_code
    if isinstance(error, click.UsageError):
        place = f"{error.ctx.command_path}: " if error.ctx else ""
        return [(place + _on_one_line(error), "usage")], USAGE
    if isinstance(error, Interrupted):
        return [SIGNALLED[error.exit_code]], error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return [SIGNALLED[INTERRUPTED]], INTERRUPTED
    full = full_disk(error)
    if full is not None:
        fault = write_error(Path(full.filename or "an output or a file"), full)
        return [(fault.message, fault.rule)], fault.exit_code
    trouble = _machine_trouble(error)
    if trouble:
        return [(trouble, "machine")], MachineError.exit_code
    place = _write_crash_file(error)
    return [(f"this is a fault of s4 ({type(error).__name__}: {error}); {place}", "fault")], FAULT


def _machine_trouble(error: BaseException) -> str | None:
    """Return a message if the machine is at fault, not the program; else None."""
    if isinstance(error, OSError) and error.errno in FORBIDDEN:
        where = error.filename or "an output or a file"
        return f"{where}: {error.strerror}, room and permission to write expected; make room or choose another folder"
    # Errors of torch are recognised by name and text. Importing it for their types would slow every command.
    says_so = type(error).__name__ == "OutOfMemoryError" or _NO_MEMORY in str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and says_so):
        return "memory: used up, more expected; lower --batch-size, the picture size or --workers"
    return None


def _write_crash_file(error: BaseException) -> str:
    """Write the traceback into the current folder, or else the temporary one; return a clause that names the file."""
    text = "\n".join(
        [
            f"s4 {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"arguments: {sys.argv[1:]}",
            "",
            *traceback.format_exception(error),
        ]
    )
    name = f"s4-crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Path.cwd, tempfile.gettempdir):  # neither has to be there
        try:
            path = Path(folder(), name)
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return f"please report it with {path}"
    return f"no crash file could be written:\n{text}"
