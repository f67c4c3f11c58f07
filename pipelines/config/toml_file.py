"""Settings from a TOML file."""

import errno
import tomllib
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from pipelines.config.setting import (
    StageConfig,
    is_path,
    known_values,
    limits_of,
    nearest,
    path_fault,
    settings_of,
    shown,
    type_of,
)
from pipelines.errors import ConfigError
from pipelines.stores.paths import is_address


def toml_content(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        ConfigError: The file is missing [toml-missing] or damaged [toml-damaged].
    """
    fault = path_fault(path)
    if fault is not None:
        raise ConfigError(f"{shown(str(path))}: not found, {fault} expected; check the path", "toml-missing")
    try:
        if path.exists() and not path.is_file():  # reading a device or FIFO would never end
            raise OSError(errno.EINVAL, "no regular file")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        message = f"{path}: {error.strerror}, a TOML file expected; check the path, or let s4 init write one"
        raise ConfigError(message, "toml-missing") from error
    except ValueError as error:  # broken syntax or not UTF-8
        raise ConfigError(f"{path}: {error}, a TOML file expected; repair it", "toml-damaged") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deep, a TOML file expected; repair it", "toml-damaged") from error


def tables_in(path: Path) -> set[str]:
    """Return the names of the commands that have a table of their own in a TOML file.

    Raises:
        ConfigError: The file is missing [toml-missing] or damaged [toml-damaged].
    """
    return {key.replace("_", "-") for key, value in toml_content(path).items() if isinstance(value, dict)}


def from_toml(
    cls: type[StageConfig], path: Path, commands: Mapping[str, type[StageConfig]], common: bool = False
) -> dict[str, Any]:
    """Return the settings that a TOML file gives to one stage, each value checked; defaults are not filled in.

    A table named after a command belongs to that command. A key outside the tables belongs to every command with such a
    setting, except to a command that takes its table alone. A key in the command's table wins over a key outside.
    Relative paths lead from the folder of the file.

    Args:
        cls: The settings of the stage.
        path: The file.
        commands: The settings of every stage by command name.
        common: Whether the file is for several commands although it has no table.

    Raises:
        ConfigError: The file cannot be read, a table or key is unknown [setting-unknown], or as `checked`.
    """
    shared, tables = {}, {}
    for key, value in toml_content(path).items():
        if isinstance(value, dict):
            tables[key.replace("_", "-")] = value
        else:
            shared[key] = value
    for name in tables:
        if name not in commands:
            message = f"{path}: unknown table [{name}], the name of a command expected; {nearest(name, commands)}"
            raise ConfigError(message, "setting-unknown")
    if tables or common:
        # A file for several commands may hold a shared key that this command lacks. A key that every command lacks is
        # an error.
        elsewhere = {name for other in commands.values() for name in settings_of(other)} - set(settings_of(cls))
        shared = {key: value for key, value in shared.items() if key.replace("-", "_") not in elsewhere}
    given = known_values(cls, tables.get(cls.command, {}), f"{path}: [{cls.command}]")
    if not cls.table_alone:
        given = {**known_values(cls, shared, str(path)), **given}
    settings = settings_of(cls)
    return {name: led_from(path.parent, settings[name], value) for name, value in given.items()}


def led_from(folder: Path, setting: "Field[Any]", value: Any) -> Any:
    """Return a value in which every relative path leads from `folder`."""
    if isinstance(value, tuple):
        return tuple(led_from(folder, setting, one) for one in value)
    if not is_path(setting) or is_address(value) or str(value) in (limits_of(setting).words or ()):
        return value
    return type_of(setting)(folder / value)
