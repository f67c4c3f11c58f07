"""Commands out of stages: every setting of a stage's dataclass becomes an option of its command."""

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
    """Decorator that turns `stage(config, events) -> result` into a command of `group`.

    A positional setting is the settings file, which then takes the place of `--config`. The function's docstring is the
    command's help; its body is where the stage module is imported, so that `--help` stays light.
    """

    def decorate(stage: Stage[Config]) -> click.Command:
        settings = settings_of(config_class).values()
        file_name = next((setting.name for setting in settings if limits_of(setting).positional), "config_file")

        def callback(as_json: bool, **flags: Any) -> None:
            config_file = flags.pop("config_file", None) or flags.get(file_name)
            config = resolve(config_class, config_file, flags)
            run_and_print(config_class.command, lambda events: stage(config, events), as_json)

        general = [json_option()] if file_name != "config_file" else [_config_option(), json_option()]
        # Raw docstrings hold click's mark of a paragraph that keeps its lines as two letters.
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
    """The flag `--json`."""
    return click.Option(["as_json", "--json"], is_flag=True, help="Print the result as one JSON object.")


def _config_option() -> click.Option:
    path = click.Path(path_type=Path)
    config_help = "Take settings from this file, as `s4 config show` prints them; flags override it."
    return click.Option(["config_file", "--config"], type=path, metavar="FILE.toml", help=config_help)


def _option(setting: "Field[Any]") -> click.Parameter:
    """The option of one setting, or the argument of a positional one.

    Its own default is always None, "not given": the true default is applied later, below the TOML file.
    """
    limits, kind, flag = limits_of(setting), type_of(setting), flag_of(setting.name)
    if limits.positional:
        return click.Argument([setting.name], type=_CLICK_TYPES[kind], metavar="FILE.toml")
    text = limits.help + _default_note(setting)
    if kind is bool:
        # The second form switches off what a TOML file switches on.
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
