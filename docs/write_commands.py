"""Write docs/commands.md: every command with all of its flags, from the settings that the command line is made of.

Run `python docs/write_commands.py` after a change of a setting or of a help text. With `--check` nothing is written:
the exit code is 1 if the page is out of date.
"""

import inspect
import re
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.config import STAGES
from s4cli.main import s4

PAGE = Path(__file__).parent / "commands.md"
_INTRODUCTION = """\
# Commands

This page lists every command with all of its flags. `python docs/write_commands.py` writes it.

The flag `--min-score` is the key `min_score` in a settings file for `--config`. `s4 config show train` prints
such a file for `s4 train`. A flag without a default is not set unless you give it. A flag with two forms is a switch,
off where the column of defaults says nothing.
"""
_TYPES = {"text": "text", "integer": "whole number", "float": "number", "path": "path"}
_DEFAULT = re.compile(r"\s*\[default: (?P<default>.*)\]$|\s*\[(?P<required>required)\]$")


def page() -> str:
    """Return the whole page: `s4` itself, the commands in the order of the chain, then those without settings."""
    commands = dict(_commands(s4, "s4"))
    chain = [f"s4 {name}" for name in STAGES]
    names = [*chain, *(name for name in commands if name not in chain)]
    return _INTRODUCTION + _section("s4", s4) + "".join(_section(name, commands[name]) for name in names)


def _commands(group: click.Group, name: str) -> list[tuple[str, click.Command]]:
    """Return every command of a group and of the groups in it, by its full name."""
    found: list[tuple[str, click.Command]] = []
    for word, command in group.commands.items():
        inner = f"{name} {word}"
        found += _commands(command, inner) if isinstance(command, click.Group) else [(inner, command)]
    return found


def _section(name: str, command: click.Command) -> str:
    """Return the part of the page about one command."""
    context = click.Context(command, info_name=name, **s4.context_settings)
    paragraphs = [_paragraph(text) for text in inspect.cleandoc(command.help or "").split("\n\n")]
    lines = ["", f"## {name}", "", *"\n\n".join(paragraphs).split("\n"), ""]
    lines += ["| flag | value | default | what it does |", "|---|---|---|---|"]
    lines += [_row(parameter) for parameter in command.get_params(context)]
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> str:
    """Return a paragraph of a help text; one that keeps its lines, marked for click by a backspace, is a code block."""
    if text.startswith("\b\n"):
        return "```\n" + text.removeprefix("\b\n") + "\n```"
    return text


def _row(parameter: click.Parameter) -> str:
    """Return the line of a table about one flag or argument."""
    if not isinstance(parameter, click.Option):
        option = (parameter.name or "").removeprefix("argument_")
        text = "Given without a flag." if option == parameter.name else f"Stands for `--{option}`."
        return _cells(f"`{_argument(parameter)}`", _value(parameter), _default(parameter), text)
    note = _DEFAULT.search(parameter.help or "")
    default = "" if note is None else note["required"] or f"`{note['default']}`"
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else _value(parameter)
    return _cells(flags, value, default, _DEFAULT.sub("", parameter.help or ""))


def _argument(parameter: click.Parameter) -> str:
    return parameter.metavar or (parameter.name or "").upper()


def _default(parameter: click.Parameter) -> str:
    """Return the default of an argument; nothing where it may be left out without one."""
    if isinstance(parameter.default, Path):
        return f"`{parameter.default}`"
    return "required" if parameter.required else ""


def _value(parameter: click.Parameter) -> str:
    """Return what may stand behind a flag, in words."""
    if isinstance(parameter.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in parameter.type.choices)
    return _TYPES.get(parameter.type.name, parameter.type.name)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the page, or compare it with what is there."""
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE.name}: out of date; run docs/write_commands.py")


if __name__ == "__main__":
    main()
