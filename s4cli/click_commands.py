"""Commands from stages: every setting in the dataclass of a stage becomes an option of the command."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import MISSING, Field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from pipelines.config import STAGES, resolve
from pipelines.config.paths import prepared
from pipelines.config.setting import (
    FOLDER_FILE,
    StageConfig,
    choices_of,
    flag_of,
    is_list,
    is_path,
    limits_of,
    settings_of,
    type_of,
)
from pipelines.engine.signals import Watch
from pipelines.stores.paths import to_path
from s4cli.main import GO_ON
from s4cli.output import run_and_print, tell

Config = TypeVar("Config", bound=StageConfig)
Stage = Callable[[Config, Any], dict[str, Any]]


class AnyPath(click.Path):
    """A path as it was given. The checks of settings say what is wrong with one that no system can use.

    Attributes:
        words: Values that are no path. A shell completes them beside the names of files.
        only_folders: Whether a shell completes folders alone.
    """

    def __init__(
        self, words: Sequence[str] = (), only_folders: bool = False, path_type: type[Path] | None = None
    ) -> None:
        """Take what a shell completes, and the type of the value: None for a text."""
        super().__init__(path_type=path_type)
        self.words, self.only_folders = words, only_folders

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that fit, and let the shell complete the names of files or folders."""
        fitting = [CompletionItem(word) for word in self.words if word.startswith(incomplete)]
        # The script for bash forgets what comes before the item that stands for files.
        return [CompletionItem(incomplete, type="dir" if self.only_folders else "file"), *fitting]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, also where no file can have such a name; an empty text is no path."""
        if value == "":  # of a variable of the shell that is not set
            self.fail("an empty text given, a path expected", param, ctx)
        try:
            return super().convert(value, param, ctx)
        except ValueError:  # a zero byte, or half of a character
            return value if self.type is None else Path(value)


_CLICK_TYPES: dict[type, click.ParamType[Any]] = {
    str: click.STRING,
    int: click.INT,
    float: click.FLOAT,
    bool: click.BOOL,
    Path: AnyPath(),  # a text: `Path` would take an address for a path
}
_FOLDERS, _MADE = ("folder", "voc"), ("run", "labels", "predictions", "chain", "demo", "study")  # completed as folders
_ARGUMENT = "argument_"  # begins the name of an argument that stands for the option of the same name


class StageCommand(click.Command):
    """A command in which an argument may stand for an option: `s4 evaluate VOCDIR` for `s4 evaluate --voc VOCDIR`.

    Attributes:
        inputs: The flags that name files and folders to read.
    """

    inputs: Sequence[str] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and give the value of each argument to the option that it stands for."""
        self._refuse_lost_values(ctx, args)
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message or not self.inputs:
                raise
            named = f"{error.message.rstrip('.')}; flags name the inputs: {', '.join(self.inputs)}"
            raise click.UsageError(named, ctx) from error
        for name in [name for name in ctx.params if name.startswith(_ARGUMENT)]:
            value, option = ctx.params.pop(name), name.removeprefix(_ARGUMENT)
            if value and ctx.params[option]:
                message = f"{_in_words(value)} given without a flag and {_in_words(ctx.params[option])} with one"
                raise click.UsageError(f"{message}, expected one of both; leave {flag_of(option)} out", ctx)
            ctx.params[option] = value or ctx.params[option]
        # An option for several values that was not given is an empty tuple for click.
        ctx.params.update({name: None for name, value in ctx.params.items() if value == ()})
        return rest

    def _refuse_lost_values(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse an option whose value was forgotten: click would take the next option for the value."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        takes_value = {name for option in options if not option.is_flag and not option.count for name in option.opts}
        for given, following in pairwise(args):
            if given == "--":
                return
            if given in takes_value and following in known:
                raise click.UsageError(f"{given}: no value given before {following}, one expected", ctx)


def _in_words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def stage_command(group: click.Group, config_class: type[Config]) -> Callable[[Stage[Config]], click.Command]:
    """Return a decorator that turns `stage(config, events) -> result` into a command of `group`.

    The docstring of the function is the help of the command. The body of the function imports the module of the stage,
    so that `--help` is fast. Every path is looked at before that.
    """

    def decorate(stage: Stage[Config]) -> click.Command:
        settings = settings_of(config_class).values()
        file_name = config_class.file_setting
        takes_file = file_name is None and config_class.command in STAGES

        def callback(as_json: bool, **flags: Any) -> None:
            with loudness_of(flags):
                work(as_json, flags)

        def work(as_json: bool, flags: dict[str, Any]) -> None:
            if Watch.running is not None:
                Watch.running.goes_on = config_class.command in GO_ON
            named = flags.get(file_name or "")
            file = _settings_file(flags) if takes_file else None if named is None else to_path(named)
            config = prepared(resolve(config_class, file, flags, tell if takes_file else None), tell)
            run_and_print(config, lambda events: stage(config, events), as_json)

        general = [*(_file_options(config_class.command) if takes_file else ()), *general_options()]
        text = kept_lines(stage.__doc__ or "")
        command = StageCommand(
            config_class.command,
            callback=callback,
            params=[*(part for setting in settings for part in _parameters(setting)), *general],
            help=text,
            short_help=text.partition("\n")[0],
        )
        command.inputs = [
            flag_of(setting.name)
            for setting in settings
            if limits_of(setting).must_be is not None and limits_of(setting).positional is None
        ]
        group.add_command(command)
        return command

    return decorate


def kept_lines(docstring: str) -> str:
    """Return a raw docstring as click reads it.

    A backspace before a paragraph keeps its lines. A raw docstring spells it as two letters.
    """
    return inspect.cleandoc(docstring).replace("\\b\n", "\b\n")


def general_options() -> list[click.Parameter]:
    """Return the flags that every command has: `--json`, `--verbose` and `--quiet`."""
    verbose = "Tell more: how long each part of the work took, and which files were written."
    quiet = "Tell errors and the result alone: no progress, no remarks, no warnings. Log files get all of them."
    return [
        click.Option(["as_json", "--json"], is_flag=True, help="Print the result as one JSON object."),
        click.Option(["-v", "--verbose"], is_flag=True, help=verbose),
        click.Option(["-q", "--quiet"], is_flag=True, help=quiet),
    ]


def loudness_of(flags: dict[str, Any]) -> AbstractContextManager[None]:
    """Take `verbose` and `quiet` out of the flags, and return the block in which as much is told."""
    from pipelines.events import Loudness, speaking  # brings a library

    verbose, quiet = flags.pop("verbose"), flags.pop("quiet")
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet: both given, one of them expected; leave one out")
    return speaking(Loudness.VERBOSE if verbose else Loudness.QUIET if quiet else Loudness.NORMAL)


def _file_options(command: str) -> list[click.Parameter]:
    path = AnyPath(path_type=Path)
    config_help = (
        f"Take settings from this TOML file, and not from {FOLDER_FILE} in the current folder. `s4 config show "
        f"{command}` prints an example. Flags override the file."
    )
    none_help = f"Take no settings from {FOLDER_FILE} in the current folder."
    return [
        click.Option(["config_file", "--config"], type=path, metavar="FILE.toml", help=config_help),
        click.Option(["no_config", "--no-config"], is_flag=True, help=none_help),
    ]


def _settings_file(flags: dict[str, Any]) -> Path | None:
    """Take the general options out of the flags, and return the settings file that they name, if there is one."""
    named: Path | None = flags.pop("config_file")
    unwanted = flags.pop("no_config")
    if named is not None and unwanted:
        raise click.UsageError("--config and --no-config: both given, one of them expected; leave one out")
    usual = Path(FOLDER_FILE)
    return named or (usual if usual.is_file() and not unwanted else None)


def _parameters(setting: "Field[Any]") -> list[click.Parameter]:
    """Return the option of one setting, and the argument that may stand for it; or the argument alone.

    The default of the option is always None, "not given". The true default applies later, after the TOML file.
    """
    limits, flag, kind = limits_of(setting), flag_of(setting.name), _click_type(setting)
    if limits.positional:
        return [click.Argument([setting.name], type=kind, metavar=f"[{limits.positional}]", default=setting.default)]
    text = limits.help + _default_note(setting)
    if type_of(setting) is bool:
        # The second form, --no-..., switches off what a TOML file switches on.
        return [click.Option([setting.name, f"{flag}/--no-{flag[2:]}"], default=None, help=text)]
    choices = choices_of(setting)
    accepted = click.Choice(choices) if choices else kind
    option = click.Option(
        [setting.name, flag], type=accepted, multiple=is_list(setting), help=text, **_completed(setting)
    )
    if limits.argument is None:
        return [option]
    name, many = _ARGUMENT + setting.name, is_list(setting)
    metavar = f"[{limits.argument}]{'...' if many else ''}"
    return [click.Argument([name], type=kind, metavar=metavar, required=False, nargs=-1 if many else 1), option]


def _click_type(setting: "Field[Any]") -> "click.ParamType[Any]":
    """Return the type of an option: a path knows what a shell completes, also where its values may be words."""
    limits = limits_of(setting)
    if not is_path(setting) or type_of(setting) is str:
        return _CLICK_TYPES[type_of(setting)]
    return AnyPath(limits.words or (), limits.must_be in _FOLDERS or limits.writes in _MADE)


def _completed(setting: "Field[Any]") -> dict[str, Any]:
    """Return the argument of an option that lets a shell complete a text that may be the path of a file."""
    limits = limits_of(setting)
    if not is_path(setting) or type_of(setting) is not str:
        return {}
    return {"shell_complete": AnyPath(limits.words or (), limits.must_be in _FOLDERS).shell_complete}


def _default_note(setting: "Field[Any]") -> str:
    default = setting.default
    if default is MISSING:
        return "  [required]"
    if default is None or default is False:
        return ""
    if default is True:
        return "  [default: on]"
    return f"  [default: {f'{default:.4g}' if isinstance(default, float) else default}]"
