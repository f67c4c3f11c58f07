"""Commands from stages: every setting in the dataclass of a stage becomes an option of the command."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.config import resolve
from pipelines.config.setting import StageConfig, choices_of, flag_of, limits_of, settings_of, type_of
from s4cli.output import run_and_print

Config = TypeVar("Config", bound=StageConfig)
Stage = Callable[[Config, Any], dict[str, Any]]

_CLICK_TYPES: dict[type, click.ParamType[Any]] = {
    str: click.STRING,
    int: click.INT,
    float: click.FLOAT,
    Path: click.Path(path_type=Path),
}


def stage_command(group: click.Group, config_class: type[Config]) -> Callable[[Stage[Config]], click.Command]:
    """Return a decorator that turns `stage(config, events) -> result` into a command of `group`.

    A positional setting is the settings file, which then replaces `--config`. The docstring of the function is the help
    of the command. The body of the function imports the module of the stage, so that `--help` is fast.
    """

    def decorate(stage: Stage[Config]) -> click.Command:
        settings = settings_of(config_class).values()
        file_name = next((setting.name for setting in settings if limits_of(setting).positional), "config_file")

        def callback(as_json: bool, **flags: Any) -> None:
            config_file = flags.pop("config_file", None) or flags.get(file_name)
            config = resolve(config_class, config_file, flags)
            run_and_print(config_class.command, lambda events: stage(config, events), as_json)

        general = [json_option()] if file_name != "config_file" else [_config_option(), json_option()]
        # click keeps the lines of a paragraph after a backspace, which a raw docstring spells as two letters.
        text = inspect.cleandoc(stage.__doc__ or "").replace("\\b\n", "\b\n")
        command = click.Command(
            config_class.command,
            callback=callback,
            params=[*map(_option, settings), *general],
            help=text,
            short_help=text.partition("\n")[0],
        )
        group.add_command(command)
        return command

    return decorate


def json_option() -> click.Option:
    """Return the flag `--json`."""
    return click.Option(["as_json", "--json"], is_flag=True, help="Print the result as one JSON object.")


def _config_option() -> click.Option:
    path = click.Path(path_type=Path)
    config_help = "Take settings from this TOML file. `s4 config show` prints an example. Flags override the file."
    return click.Option(["config_file", "--config"], type=path, metavar="FILE.toml", help=config_help)


def _option(setting: "Field[Any]") -> click.Parameter:
    """Return the option of one setting, or the argument of a positional one.

    The default of the option is always None, "not given". The true default applies later, after the TOML file.
    """
    limits, kind, flag = limits_of(setting), type_of(setting), flag_of(setting.name)
    if limits.positional:
        return click.Argument([setting.name], type=_CLICK_TYPES[kind], metavar="FILE.toml")
    text = limits.help + _default_note(setting)
    if kind is bool:
        # The second form, --no-..., switches off what a TOML file switches on.
        return click.Option([setting.name, f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    choices = choices_of(setting)
    accepted = click.Choice(choices) if choices else _CLICK_TYPES[kind]
    return click.Option([setting.name, flag], type=accepted, help=text)


def _default_note(setting: "Field[Any]") -> str:
    default = setting.default
    if default is MISSING:
        return "  [required]"
    if default is None or isinstance(default, bool):
        return ""
    return f"  [default: {f'{default:.4g}' if isinstance(default, float) else default}]"
