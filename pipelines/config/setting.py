"""What a setting is: its default, its help, its limits, and the ways to give it a value.

The other modules of this package declare the settings of one command each, with the parts of this module. A value
passes the same checks whether it comes from a flag, a TOML file, a saved run or Python.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pipelines.errors import ConfigError
from pipelines.files import read_json

REQUIRED: Any = MISSING
"""Default of a setting that has none. Leaving such a setting out is an error that names the flag."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a setting accepts beyond its type.

    Attributes:
        help: Sentences for `--help`. The first one says what the setting is.
        at_least: Smallest accepted number.
        at_most: Largest accepted number.
        above: The number must be greater than this.
        form: A regular expression for the whole text, and a description of it in words.
        may_change: Whether a resumed run accepts another value. True where the value does not alter the result.
        positional: Whether the command line takes the value without a flag. True for the settings file alone, which
            then replaces `--config`.
    """

    help: str
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    form: tuple[str, str] | None = None
    may_change: bool = False
    positional: bool = False


def opt(default: Any, help: str, **limits: Any) -> Any:
    """Declare a dataclass field that is a flag, a TOML key and an attribute of the same name.

    The annotation of the field gives the type. A `Literal` names the only accepted words.

    Args:
        default: The default, or `REQUIRED`.
        help: Sentences for `--help`. The first one says what the setting is.
        **limits: Further fields of `Limits`.
    """
    return field(default=default, metadata={"limits": Limits(help=help, **limits)})


def limits_of(setting: "Field[Any]") -> Limits:
    """Return the limits that `opt` attached to a field."""
    limits: Limits = setting.metadata["limits"]
    return limits


def type_of(setting: "Field[Any]") -> type:
    """Return the type of a setting without its `| None`: str, int, float, bool or Path; str for a `Literal`."""
    kind: type = str if choices_of(setting) else _given_kind(setting)
    return kind


def choices_of(setting: "Field[Any]") -> tuple[str, ...]:
    """Return the only accepted words of a setting whose type is a `Literal`; none for any other type."""
    kind = _given_kind(setting)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _given_kind(setting: "Field[Any]") -> Any:
    """Return the annotation of a setting without its `| None`."""
    kinds = get_args(setting.type)
    return kinds[0] if NoneType in kinds else setting.type


def flag_of(name: str) -> str:
    """`min_score` -> `--min-score`."""
    return "--" + name.replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a clause that proposes the known word closest to `word`, however far it is."""
    # A cutoff of 0 always finds a word. Even a far guess shows what the names look like.
    return f"did you mean {difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)[0]}?"


_TYPE_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


def _converted(kind: type, value: Any) -> Any:
    """Return `value` as `kind` if that loses nothing; None if the value has another type."""
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, bool):  # bool is a subclass of int, but `steps = true` is a slip
        return None
    return value if isinstance(value, kind) else None


def _expectation(limits: Limits, choices: tuple[str, ...], value: Any) -> str | None:
    """Return in words what was expected if `value` is outside the limits; None if the value is within."""
    if choices and value not in choices:
        return f"one of {', '.join(choices)}"
    if limits.form and not re.fullmatch(limits.form[0], value):
        return limits.form[1]
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if limits.above is not None and not value > limits.above:
        return f"a number above {limits.above:g}"
    if limits.at_least is not None and limits.at_most is not None:
        inside = limits.at_least <= value <= limits.at_most
        return None if inside else f"{limits.at_least:g} to {limits.at_most:g}"
    if limits.at_least is not None and value < limits.at_least:
        return f"{limits.at_least:g} or more"
    return None


def checked(setting: "Field[Any]", value: Any, where: str) -> Any:
    """Return one value, converted to the type of its setting.

    Args:
        setting: Field made by `opt`.
        value: The value that was given. None means "not set", where the setting allows that.
        where: The name of the place in a message: a flag, or a file and its key.

    Raises:
        ConfigError: The value has the wrong type [setting-type], is outside the limits [setting-value], or is missing
            [setting-missing].
    """
    limits, kind, choices = limits_of(setting), type_of(setting), choices_of(setting)
    if value is None:
        if NoneType in get_args(setting.type):
            return None
        purpose = limits.help.split(". ")[0].removesuffix(".")
        raise ConfigError(f"{where}: not given, {_TYPE_WORDS[kind]} expected; add it ({purpose})", "setting-missing")
    result = _converted(kind, value)
    if result is None:
        raise ConfigError(f"{where}: {value!r} given, {_TYPE_WORDS[kind]} expected; change it", "setting-type")
    expected = _expectation(limits, choices, result)
    if expected is not None:
        hint = nearest(value, choices) if choices else "change it"
        raise ConfigError(f"{where}: {value!r} given, {expected} expected; {hint}", "setting-value")
    return result


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Base of the settings of every stage: construction checks and converts each value.

    Attributes:
        command: Name of the command, and of its table in a TOML file.
        table_alone: Whether the stage takes nothing from a TOML file but its own table.
    """

    command: ClassVar[str]
    table_alone: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check and convert each field.

        Raises:
            ConfigError: A value has the wrong type or is outside its limits.
        """
        for setting in fields(self):
            value = checked(setting, getattr(self, setting.name), flag_of(setting.name))
            object.__setattr__(self, setting.name, value)


Config = TypeVar("Config", bound=StageConfig)


def settings_of(cls: type[StageConfig]) -> "dict[str, Field[Any]]":
    """Return the settings of a stage by name, in the order of `--help`: its own first, then those of every stage."""
    shared = {setting.name for base in cls.__mro__[1:] if base is not object for setting in _own_fields(base)}
    ordered = sorted(fields(cls), key=lambda setting: setting.name in shared)
    return {setting.name: setting for setting in ordered}


def _own_fields(base: type) -> "tuple[Field[Any], ...]":
    return fields(base) if hasattr(base, "__dataclass_fields__") else ()


def build(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Build an instance from named values.

    Raises:
        ConfigError: A setting without default is missing [setting-missing], or as `checked`.
    """
    for name, setting in settings_of(cls).items():
        if setting.default is MISSING:
            checked(setting, values.get(name), flag_of(name))
    return cls(**values)


def to_json(config: StageConfig) -> dict[str, Any]:
    """Return the settings as JSON values; paths become texts."""
    values = {setting.name: getattr(config, setting.name) for setting in fields(config)}
    return {name: value.as_posix() if isinstance(value, Path) else value for name, value in values.items()}


def from_json(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Build the settings that `to_json` described.

    Raises:
        ConfigError: A key is unknown [setting-unknown], or a value does not pass its checks.
    """
    return build(cls, _known(cls, values, "saved settings"))


def _known(cls: type[StageConfig], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `values` by field name, each one checked; an unknown key is an error."""
    settings = settings_of(cls)
    result = {}
    for key, value in values.items():
        setting = settings.get(key.replace("-", "_"))
        if setting is None:
            message = f"{where}: unknown key {key}, a setting of `s4 {cls.command}` expected; {nearest(key, settings)}"
            raise ConfigError(message, "setting-unknown")
        result[setting.name] = checked(setting, value, f"{where}: {key}")
    return result


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}, a TOML file expected; check the path", "toml-missing") from error
    except ValueError as error:  # broken syntax or not UTF-8
        raise ConfigError(f"{path}: {error}, a TOML file expected; repair it", "toml-damaged") from error


def tables_in(path: Path) -> set[str]:
    """Return the names of the commands that have a table of their own in a TOML file.

    Raises:
        ConfigError: The file is missing [toml-missing] or damaged [toml-damaged].
    """
    return {key.replace("_", "-") for key, value in _read_toml(path).items() if isinstance(value, dict)}


def from_toml(cls: type[StageConfig], path: Path, commands: Mapping[str, type[StageConfig]]) -> dict[str, Any]:
    """Return the settings that a TOML file gives to one stage, each value checked; defaults are not filled in.

    A table named after a command belongs to that command. A key outside the tables belongs to every command with such a
    setting, except to a command that takes its table alone. A key in the command's table wins over a key outside.
    Relative paths lead from the current folder, as in flags.

    Raises:
        ConfigError: The file cannot be read, a table or key is unknown [setting-unknown], or as `checked`.
    """
    shared, tables = {}, {}
    for key, value in _read_toml(path).items():
        if isinstance(value, dict):
            tables[key.replace("_", "-")] = value
        else:
            shared[key] = value
    for name in tables:
        if name not in commands:
            message = f"{path}: unknown table [{name}], the name of a command expected; {nearest(name, commands)}"
            raise ConfigError(message, "setting-unknown")
    if tables:
        # A file for several commands may hold a shared key that this command lacks. A key that every command lacks is
        # an error.
        elsewhere = {name for other in commands.values() for name in settings_of(other)} - set(settings_of(cls))
        shared = {key: value for key, value in shared.items() if key.replace("-", "_") not in elsewhere}
    own = _known(cls, tables.get(cls.command, {}), f"{path}: [{cls.command}]")
    return own if cls.table_alone else {**_known(cls, shared, str(path)), **own}


def _frozen(cls: type[StageConfig], run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the resumed run; a given value may differ only where the result stays the same."""
    path = run / "config.json"
    saved = read_json(path)
    values = _known(cls, saved if isinstance(saved, dict) else {}, str(path))
    settings = settings_of(cls)
    for name, value in given.items():
        if not limits_of(settings[name]).may_change and values.get(name) != value:
            message = f"{flag_of(name)}: {value} given, {values.get(name)} expected as in {path}"
            raise ConfigError(f"{message}; leave it out or start a new run", "resume-differs")
    return {**values, **given}


def resolve_with(
    commands: Mapping[str, type[StageConfig]], cls: type[Config], toml: Path | None, flags: Mapping[str, Any]
) -> Config:
    """Return the settings of a stage; a TOML file overrides defaults, and a flag overrides both.

    With `resume`, the settings saved in the run folder take the place of the defaults. A file or flag that contradicts
    the saved settings is an error.

    Args:
        commands: The settings of every stage by command name; the TOML file may hold a table for each.
        cls: The settings of this stage.
        toml: The file given by `--config`.
        flags: The value of each flag; None means "not given".

    Raises:
        ConfigError: A key is unknown, a value does not pass its checks, a setting is missing, or a value contradicts
            the saved settings.
        InputError: The saved settings of the run are damaged.
    """
    given = from_toml(cls, toml, commands) if toml is not None else {}
    settings = settings_of(cls)
    given |= {name: checked(settings[name], value, flag_of(name)) for name, value in flags.items() if value is not None}
    run = given.get("run")
    if given.get("resume") and run is not None and (run / "config.json").exists():
        given = _frozen(cls, run, given)
    return build(cls, given)


def to_toml(cls: type[StageConfig]) -> str:
    """Return the defaults of a stage as a commented TOML table to edit; a setting without default is a comment."""
    lines = [f"[{cls.command}]"]
    for name, setting in settings_of(cls).items():
        limits, kind = limits_of(setting), type_of(setting)
        if limits.positional:
            continue  # the file cannot name itself
        accepts = " | ".join(choices_of(setting)) or (limits.form[1] if limits.form else _TYPE_WORDS[kind])
        lines += ["", f"# {limits.help} ({accepts})"]
        unset = setting.default is MISSING or setting.default is None
        note = "required" if setting.default is MISSING else "not set"
        lines.append(f"# {name} =    # {note}" if unset else f"{name} = {_toml_value(setting.default)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value) + "'"  # a literal string: no escapes needed, and no default holds a quote
