"""Scripts with which shells complete the command line, made by click."""

import click
from click.shell_completion import ShellComplete, get_completion_class

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_S4_COMPLETE"  # click asks for this name, made of the program's


def script_for(shell: str, command: click.Command) -> str:
    """Return the script of a shell.

    Args:
        shell: One of `SHELLS`.
        command: The whole command line.
    """
    made = get_completion_class(shell)
    if made is None:
        raise ValueError(f"click completes for no shell {shell}")
    source: str = ShellComplete.source(
        made(command, {}, "s4", _VARIABLE)
    )  # without the look for a bash on this machine
    return source
