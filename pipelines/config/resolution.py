"""Where the settings of a command come from: defaults, a TOML file, flags, and the run that is resumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config.setting import (
    FOLDER_FILE,
    LEFT_TO_COMMAND,
    Config,
    StageConfig,
    Tell,
    build,
    checked,
    flag_of,
    known_values,
    limits_of,
    settings_of,
)
from pipelines.config.toml_file import from_toml
from pipelines.errors import ConfigError
from pipelines.files import read_json


def _require_begun_by(cls: type[StageConfig], run: Path, saved: Any, commands: Mapping[str, type[StageConfig]]) -> None:
    """Refuse to resume a run whose settings are those of another command."""
    keys = {key.replace("-", "_") for key in saved} if isinstance(saved, dict) else set()
    fit = [one.command for one in {cls, *commands.values()} if keys <= set(settings_of(one))]
    others = [name for name in fit if "run" in settings_of(commands[name])] if cls.command not in fit else []
    if len(others) == 1:
        message = f"{run}: begun by `s4 {others[0]}`, a run of `s4 {cls.command}` expected"
        raise ConfigError(f"{message}; resume it with that command, or choose another --run", "resume-differs")


def _frozen(
    cls: type[StageConfig],
    run: Path,
    given: Mapping[str, Any],
    places: Mapping[str, str],
    commands: Mapping[str, type[StageConfig]],
) -> dict[str, Any]:
    """Return the settings of the resumed run; a given value may differ only where the result stays the same."""
    path = run / "config.json"
    saved = read_json(path)
    _require_begun_by(cls, run, saved, commands)
    values = known_values(cls, saved if isinstance(saved, dict) else {}, str(path))
    settings = settings_of(cls)
    for name, value in given.items():
        limits = limits_of(settings[name])
        if limits.may_change:
            values[name] = value
        elif values.get(name) != value and not (limits.settled and value == LEFT_TO_COMMAND):
            message = f"{places[name]}: {value} given, {values.get(name)} expected as in {path}"
            raise ConfigError(f"{message}; leave it out or start a new run", "resume-differs")
    return values


def resolve_with(
    commands: Mapping[str, type[StageConfig]],
    cls: type[Config],
    toml: Path | None,
    flags: Mapping[str, Any],
    tell: Tell | None = None,
) -> Config:
    """Return the settings of a stage; a TOML file overrides defaults, and a flag overrides both.

    With `resume`, the settings saved in the run folder take the place of the defaults. A file or flag that contradicts
    the saved settings is an error.

    Args:
        commands: The settings of every stage by command name; the TOML file may hold a table for each.
        cls: The settings of this stage.
        toml: The file given by `--config`, or the `s4.toml` of the current folder.
        flags: The value of each flag; None means "not given".
        tell: Receives the line that says which settings the file gives.

    Raises:
        ConfigError: A key is unknown, a value does not pass its checks, a setting is missing, or a value contradicts
            the saved settings.
        InputError: The saved settings of the run are damaged.
    """
    settings = settings_of(cls)
    given = from_toml(cls, toml, commands, toml.name == FOLDER_FILE) if toml is not None else {}
    places = {name: f"{toml}: {name}" for name in given}
    by_flag = {
        name: checked(settings[name], value, flag_of(name)) for name, value in flags.items() if value is not None
    }
    taken = [f"{name} = {_in_words(value)}" for name, value in given.items() if name not in by_flag]
    if taken and tell is not None:
        tell(f"{toml} gives {', '.join(taken)}")
    given |= by_flag
    places |= {name: flag_of(name) for name in by_flag}
    run = given.get("run", settings["run"].default if "run" in settings else None)
    if given.get("resume") and run is not None and (run / "config.json").exists():
        given = _frozen(cls, run, given, places, commands) | {"run": run}
    return build(cls, given)


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
