"""All faults of a settings file at once, for every command in it."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from pipelines.config import STAGES, RunConfig
from pipelines.config.paths import path_faults, store_faults
from pipelines.config.setting import StageConfig, build, checked, is_path, limits_of, nearest, settings_of
from pipelines.config.toml_file import from_toml, led_from, tables_in, toml_content
from pipelines.errors import ConfigError, S4Error
from pipelines.stores.paths import lies_in, to_path


def file_faults(path: Path) -> list[S4Error]:
    """Return everything that is wrong with a settings file: unknown names, values, and paths that do not exist.

    A path that another table of the file makes need not exist. Settings that a table lacks are no fault: flags may
    give them.

    Args:
        path: The file.
    """
    try:
        content = toml_content(path)
    except ConfigError as error:
        return [error]
    tables = {key.replace("_", "-"): value for key, value in content.items() if isinstance(value, dict)}
    shared = {key: value for key, value in content.items() if not isinstance(value, dict)}
    faults = list(_of_shared(path, shared))
    usable: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        if name not in STAGES:
            message = f"{path}: unknown table [{name}], the name of a command expected; {nearest(name, STAGES)}"
            faults.append(ConfigError(message, "setting-unknown"))
            continue
        values, wrong = _values(STAGES[name], table, f"{path}: [{name}]")
        faults += wrong
        usable[name] = {
            key: led_from(path.parent, settings_of(STAGES[name])[key], value) for key, value in values.items()
        }
        faults += [] if wrong else _together(path, STAGES[name], usable[name])
    # Two settings may lead to the same store.
    return list({str(fault): fault for fault in [*faults, *_paths(path, usable)]}.values())


def tables_of(path: Path) -> list[str]:
    """Return the names of the commands that have a table in a settings file, in the order of the chain.

    Raises:
        ConfigError: The file is missing [toml-missing] or damaged [toml-damaged].
    """
    present = tables_in(path)
    return [name for name in STAGES if name in present]


def settings_in(path: Path) -> dict[str, list[str]]:
    """Return the names of the settings that a file without faults gives to each command of its tables."""
    return {name: sorted(from_toml(STAGES[name], path, STAGES)) for name in tables_of(path)}


def _of_shared(path: Path, shared: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Yield the faults of keys outside the tables: each must be a setting of a command."""
    every = {
        key: setting for cls in STAGES.values() if not cls.table_alone for key, setting in settings_of(cls).items()
    }
    for key, value in shared.items():
        name = key.replace("-", "_")
        if name not in every:
            message = f"{path}: unknown key {key}, a setting of a command expected; {nearest(key, every)}"
            yield ConfigError(message, "setting-unknown")
            continue
        wrong = []
        for cls in STAGES.values():
            setting = settings_of(cls).get(name)
            if setting is not None and not cls.table_alone:
                try:
                    checked(setting, value, f"{path}: {key}")
                except ConfigError as error:
                    wrong.append(error)
        if wrong:
            yield wrong[0]


def _values(cls: type[StageConfig], table: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[ConfigError]]:
    """Return the values of a table that can be used, and an error for each of the others."""
    values, faults, settings = {}, [], settings_of(cls)
    for key, value in table.items():
        name = key.replace("-", "_")
        setting = settings.get(name) or settings.get(f"{name}_")
        if setting is None:
            message = f"{where}: unknown key {key}, a setting of `s4 {cls.command}` expected; {nearest(key, settings)}"
            faults.append(ConfigError(message, "setting-unknown"))
            continue
        try:
            values[setting.name] = checked(setting, value, f"{where}: {key}")
        except ConfigError as error:
            faults.append(error)
    return values, faults


def _together(path: Path, cls: type[StageConfig], values: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Yield the fault of values that exclude each other, where all that is required is there."""
    required = [name for name, setting in settings_of(cls).items() if setting.default is MISSING]
    if all(name in values for name in required):
        try:
            build(cls, values)
        except ConfigError as error:
            if error.rule != "setting-missing":  # a flag may give it
                yield ConfigError(f"{path}: [{cls.command}] {error.message}", error.rule)


def _paths(path: Path, usable: Mapping[str, Mapping[str, Any]]) -> Iterator[S4Error]:
    """Yield the faults of paths that are to be read, and that no table of the file makes; and of stores."""
    made = list(_made(path, usable))
    for name, values in usable.items():
        settings = settings_of(STAGES[name])
        for key, value in values.items():
            limits, where = limits_of(settings[key]), f"{path}: [{name}] {key}"
            unopened = store_faults(value) if is_path(settings[key]) else []
            yield from unopened
            if unopened or limits.must_be is None:
                continue
            for one in value if isinstance(value, tuple) else (value,):
                place = to_path(one)
                if str(one) in (limits.words or ()) or any(lies_in(place, folder) for folder in made):
                    continue
                try:
                    yield from path_faults(where, limits.must_be, place, values.get("split"))
                except S4Error as error:  # a store that does not answer
                    yield error


def _made(path: Path, usable: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
    """Yield the places that the commands of the file write to: those of its tables, the usual ones, and the chain's."""
    given = usable.get(RunConfig.command, {})
    yield RunConfig(file=path, out=given.get("out")).folder.absolute()
    for name, values in usable.items():
        for key, setting in settings_of(STAGES[name]).items():
            place = values.get(key, setting.default)
            if limits_of(setting).writes is not None and isinstance(place, Path):
                yield place.absolute()
