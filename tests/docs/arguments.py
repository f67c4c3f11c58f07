"""Command lines judged by the parser and the settings of `s4`; no command is run."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import click

from pipelines.config import STAGES, resolve
from pipelines.config.setting import checked, settings_of
from pipelines.errors import ConfigError
from s4cli.main import s4

_PLACEHOLDER = re.compile(r".*[$<].*|[A-Z][A-Z0-9_]*(?:\.\w+|/[A-Z]+)?", re.DOTALL)
_LEFT_OUT = {"...", "…"}


@dataclass
class Filled:
    """Arguments for the parser, without placeholders.

    Attributes:
        words: The possible words of each place; `a|b` has two.
        guessed: Parameters whose value is a placeholder, such as DIR, `$seed` or `<file>`.
        complete: True where nothing was left out, so that every required flag must be there.
    """

    words: list[list[str]] = field(default_factory=list)
    guessed: set[str] = field(default_factory=set)
    complete: bool = True


def wrong_usage(arguments: Sequence[str], complete: bool) -> str | None:
    """Return the error message of `s4` for a command line; None where `s4` accepts the line.

    Args:
        arguments: The words behind `s4`. `[--flag]` is optional, `a|b` is a choice, `...` stands for further words.
        complete: Whether every required flag must be there. Otherwise a flag may also lack its value.
    """
    words = [word.strip("[]") for word in arguments if word not in _LEFT_OUT]
    complete = complete and len(words) == len(arguments)
    context = click.Context(s4, info_name="s4", **s4.context_settings)  # click keeps the help option it first makes
    try:
        while isinstance(context.command, click.Group):
            # The parser alone, since a context of `--version` would print it.
            _, words, _ = context.command.make_parser(context).parse_args(words)
            if not words or _PLACEHOLDER.fullmatch(words[0]):
                return None
            name, command, words = context.command.resolve_command(context, words)
            assert command
            context = click.Context(command, parent=context, info_name=name)
        _use(context, words, complete)
    except click.UsageError as error:
        return error.format_message()
    except ConfigError as error:
        return str(error)
    return None


def _use(context: click.Context, words: list[str], complete: bool) -> None:
    """Parse the arguments of one command with its own parser, and build its settings.

    Raises:
        click.UsageError: The parser refuses the arguments.
        ConfigError: A value is outside its limits, or a required setting is missing.
    """
    asks_for_help = {"-h", "--help"} & set(words)
    filled = _filled(context.command, [word for word in words if word not in asks_for_help], complete)
    for choice in product(*filled.words):
        try:
            parsed = context.command.make_context(context.info_name, list(choice), context.parent)
        except click.MissingParameter:
            if filled.complete and not asks_for_help:
                raise
            return
        _settle(str(context.info_name), parsed.params, filled, required=filled.complete and not asks_for_help)


def _settle(name: str, params: dict[str, Any], filled: Filled, required: bool) -> None:
    if name not in STAGES:
        return
    settings = settings_of(STAGES[name])
    given = {}
    for key, value in params.items():
        if key in settings and value is not None:
            try:
                given[key] = checked(settings[key], value, f"--{key.replace('_', '-')}")
            except ConfigError:
                if key not in filled.guessed:
                    raise
    # Settings may also come from a file, or from the run that is resumed.
    if required and not params.get("config_file") and not given.get("resume"):
        try:
            resolve(STAGES[name], None, given)
        except ConfigError as error:
            if error.message.split(":")[0].removeprefix("--").replace("-", "_") not in filled.guessed:
                raise


def _filled(command: click.Command, words: Sequence[str], complete: bool) -> Filled:
    """Put a value in the place of each placeholder."""
    options = {
        flag: param
        for param in command.params
        if isinstance(param, click.Option)
        for flag in (*param.opts, *param.secondary_opts)
    }
    positional = deque(param for param in command.params if isinstance(param, click.Argument))
    filled = Filled(complete=complete)
    queue = deque(words)
    while queue:
        word = queue.popleft()
        flag, equals, value = word.partition("=")
        option = options.get(flag)
        if option is not None and not option.is_flag:
            filled.words.append([flag])
            if not equals and queue and (complete or not queue[0].startswith("--")):
                value = queue.popleft()
            elif not equals and not complete:
                value = "VALUE"
            elif not equals:
                continue
            filled.words.append(list(_values(option, value, filled)))
        elif not word.startswith("-") and positional:
            filled.words.append(list(_values(positional.popleft(), word, filled)))
        elif "$" in word:
            filled.complete = False  # it may hold any number of flags
        else:
            filled.words.append([word])
    return filled


def _values(param: click.Parameter, text: str, filled: Filled) -> Iterator[str]:
    for value in text.split("|"):
        if not _PLACEHOLDER.fullmatch(value):
            yield value
            continue
        filled.guessed.add(str(param.name))
        if isinstance(param.type, click.Choice):
            yield str(param.type.choices[0])
        else:
            yield "1" if isinstance(param.type, click.types.IntParamType | click.types.FloatParamType) else value
