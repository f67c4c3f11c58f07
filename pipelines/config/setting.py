"""What a setting is: its default, its help, its limits, and the ways to give it a value.

The other modules of this package declare the settings of one command each, with the parts of this module. A value
passes the same checks whether it comes from a flag, a TOML file, a saved run or Python.
"""

import difflib
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pipelines.errors import ConfigError
from pipelines.files import plain
from pipelines.stores.paths import is_address, to_path

REQUIRED: Any = MISSING
"""Default of a setting that has none. Leaving such a setting out is an error that names the flag."""
FOLDER_FILE = "s4.toml"
"""Name of the file that gives the settings of every command started in its folder."""
LEFT_TO_COMMAND = "auto"
"""Value with which a setting leaves the choice to the command."""
Existing = Literal["folder", "file", "path", "pictures", "shards", "tensors", "voc", "weights"]
"""What a path has to lead to: see `pipelines.config.paths`."""
Output = Literal[
    "run", "labels", "predictions", "maps", "chain", "demo", "study", "figures", "timings", "conversion", "file"
]
"""What a command writes to a path: see `pipelines.config.outputs`."""
Tell = Callable[[str], None]
"""Receives a line for the user."""


_LONGEST_PATH, _LONGEST_NAME = 4000, 255  # bytes; Linux takes 4,095, and names of files are to fit behind
_FAR = 1000  # from here on an upper limit only keeps slips out, and is told to those alone who exceed it
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlong = 40


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
        positional: Name under which the command line takes the value without a flag, and with none. None: with a flag.
        argument: Name under which the command line takes the value without its flag too. None: with its flag alone.
        words: Values that are no path. Every other value of the setting is the path of a file. None: for a text, that
            no value is a path; for a path, that every value is one.
        must_be: What the path has to lead to before the work starts.
        writes: What the command writes to the path.
        found: Whether `StageConfig.located`, or else the command, finds the value where it is left out. The setting is
            None until then.
        to_begin: Whether the value is only needed to begin a run. A run that has a checkpoint goes on without it.
        settled: Whether a run keeps what the command chose for `auto`. A resumed run then accepts `auto`.
        elsewhere: Whether a path may be an address, see `pipelines.stores`.
        check: Function that raises a `ConfigError` for a value that cannot be used; None if no other check is needed.
    """

    help: str
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    form: tuple[str, str] | None = None
    may_change: bool = False
    positional: str | None = None
    argument: str | None = None
    words: tuple[str, ...] | None = None
    must_be: Existing | None = None
    writes: Output | None = None
    found: bool = False
    to_begin: bool = False
    settled: bool = False
    elsewhere: bool = False
    check: Callable[[Any], None] | None = None


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
    """Return the type of one value of a setting: str, int, float, bool or Path; str for a `Literal`."""
    kind: type = str if choices_of(setting) else _given_kind(setting)
    return get_args(kind)[0] if is_list(setting) else kind


def is_list(setting: "Field[Any]") -> bool:
    """Return whether a setting takes several values, as a `tuple[Path, ...]` does."""
    return get_origin(_given_kind(setting)) is tuple


def is_path(setting: "Field[Any]") -> bool:
    """Return whether a value of the setting can be the path of a file or folder."""
    return type_of(setting) is Path or limits_of(setting).words is not None


def choices_of(setting: "Field[Any]") -> tuple[str, ...]:
    """Return the only accepted words of a setting whose type is a `Literal`; none for any other type."""
    kind = _given_kind(setting)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _given_kind(setting: "Field[Any]") -> Any:
    """Return the annotation of a setting without its `| None`."""
    kinds = get_args(setting.type)
    return kinds[0] if NoneType in kinds else setting.type


def flag_of(name: str) -> str:
    """`min_score` -> `--min-score`; `from_` -> `--from`, since a word of Python cannot be the name of a field."""
    return "--" + name.rstrip("_").replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a clause that proposes the known word closest to `word`, however far it is."""
    # A cutoff of 0 always finds a word. Even a far guess shows what the names look like.
    return f"did you mean {difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)[0]}?"


TYPE_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


def _converted(kind: type, value: Any) -> Any:
    """Return `value` as `kind` if that loses nothing; None if the value has another type."""
    if kind is Path and isinstance(value, str | Path) and str(value):
        return to_path(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) + 0.0  # without the sign of a negative zero
        except OverflowError:
            return math.inf if value > 0 else -math.inf
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
    return _outside(limits, value)


def _outside(limits: Limits, value: Any) -> str | None:
    """Return in words what numbers are accepted if `value` is none of them; None if it is, or if all are."""
    least, above, most = limits.at_least, limits.above, limits.at_most
    too_small = (least is not None and value < least) or (above is not None and value <= above)
    too_large = most is not None and value > most
    if not too_small and not too_large:
        return None
    if most is not None and (least is None or most >= _FAR):  # no range that one would choose from
        if too_large:
            return f"at most {_number(most)}"
        return f"a number above {_number(above)}" if above is not None else f"{_number(least or 0)} or more"
    if above is not None:
        return f"a number above {_number(above)}"
    return f"{_number(least or 0)} or more" if most is None else f"{_number(least or 0)} to {_number(most)}"


def _number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def path_fault(value: str | Path, is_path: bool = True) -> str | None:
    """Return in words what was expected if no system can use a path, or another text; None if systems can."""
    try:
        text = str(value).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "a text that can be written in UTF-8"
    if b"\0" in text:
        return "a text without a zero byte"
    if not is_path:
        return None
    if len(text) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in text.split(b"/")):
        return f"a path of at most {_LONGEST_PATH:,} bytes, and {_LONGEST_NAME} for each name in it,"
    return None


def shown(value: Any) -> str:
    """Return a value as a message shows it; a long or nested one is shortened."""
    return _SHORT.repr(value)


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
    if is_list(setting) and isinstance(value, list | tuple):
        value = tuple(_checked_one(setting, one, where) for one in value) or None
    elif is_list(setting) and value is not None:
        value = (_checked_one(setting, value, where),)
    elif value is not None:
        value = _checked_one(setting, value, where)
    if value is None and NoneType not in get_args(setting.type) and not limits_of(setting).found:
        message = f"{where}: not given, {TYPE_WORDS[type_of(setting)]} expected; add it ({_purpose(setting)})"
        raise ConfigError(message, "setting-missing")
    return value


def _checked_one(setting: "Field[Any]", value: Any, where: str) -> Any:
    limits, kind, choices = limits_of(setting), type_of(setting), choices_of(setting)
    if is_path(setting) and is_address(value) and not limits.elsewhere:
        message = f"{where}: the address {value} given, a path on this machine expected; copy the files to this machine"
        raise ConfigError(message, "address-unsupported")
    result = _converted(kind, value)
    if result is None:
        raise ConfigError(f"{where}: {shown(value)} given, {TYPE_WORDS[kind]} expected; change it", "setting-type")
    expected = path_fault(result, is_path(setting)) if isinstance(result, str | Path) and not choices else None
    expected = expected or _expectation(limits, choices, result)
    if expected is not None:
        hint = nearest(value, choices) if choices else "change it"
        raise ConfigError(f"{where}: {shown(value)} given, {expected} expected; {hint}", "setting-value")
    if limits.check is not None:
        limits.check(result)
    return _as_path(kind, result) if is_path(setting) else result


def _as_path(kind: type, value: Any) -> Any:
    """Return a path of this machine from its root where it begins with `~`; an address as it is, if it can be used."""
    found = to_path(value)
    return (value if kind is str else found) if is_address(found) else kind(os.path.expanduser(found))


def _purpose(setting: "Field[Any]") -> str:
    """Return the first sentence of the help without its full stop."""
    return limits_of(setting).help.split(". ")[0].removesuffix(".")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Base of the settings of every stage: construction checks and converts each value.

    Attributes:
        command: Name of the command, and of its table in a TOML file.
        example: A command line that has all that is required.
        table_alone: Whether the stage takes nothing from a TOML file but its own table.
        file_setting: Name of the setting that is the settings file, in place of `--config`; None for most commands.
    """

    command: ClassVar[str]
    example: ClassVar[str]
    table_alone: ClassVar[bool] = False
    file_setting: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        """Check and convert each field.

        Raises:
            ConfigError: A value has the wrong type or is outside its limits.
        """
        for setting in fields(self):
            value = checked(setting, getattr(self, setting.name), flag_of(setting.name))
            object.__setattr__(self, setting.name, value)

    @classmethod
    def needed(cls, values: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
        """Return the names of settings that these values make necessary, and a command line that has all of them."""
        return (), cls.example

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings, with every path that was left out found in the current folder.

        Args:
            tell: Receives a line for each path that was found.

        Raises:
            ConfigError: Nothing of the kind is there [setting-missing].
        """
        return self


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
        ConfigError: Settings without default are missing [setting-missing]; the message names all of them. Or as
            `checked`.
    """
    require_all(cls, values)
    return cls(**values)


def require_all(cls: type[StageConfig], values: Mapping[str, Any]) -> None:
    """Check that no setting is missing that has no default, or that other settings make necessary.

    Raises:
        ConfigError: Some are missing [setting-missing]; the message names all of them.
    """
    names, example = cls.needed(values)
    settings = [setting for name, setting in settings_of(cls).items() if values.get(name) is None]
    missing = [setting for setting in settings if setting.default is MISSING or setting.name in names]
    if missing:
        flags = [flag_of(setting.name) for setting in missing]
        listed = " and ".join([", ".join(flags[:-1]), flags[-1]] if flags[1:] else flags)
        expected = TYPE_WORDS[type_of(missing[0])] if len(missing) == 1 else "a value for each"
        purposes = "; ".join(map(_purpose, missing))
        message = f"{listed}: not given, {expected} expected ({purposes}); as in: {example}"
        raise ConfigError(message, "setting-missing")


def to_json(config: StageConfig) -> dict[str, Any]:
    """Return the settings as JSON values; paths become texts, and a list of one value becomes that value."""
    values = {setting.name: getattr(config, setting.name) for setting in fields(config)}
    single = {name: value[0] for name, value in values.items() if isinstance(value, tuple) and len(value) == 1}
    return {name: plain(single.get(name, value)) for name, value in values.items()}


def without_places(config: StageConfig) -> dict[str, Any]:
    """Return the settings that bear on a result, as JSON values: no path, and nothing that a resumed run may change.

    So the same training says the same of itself in any folder, and however often it was stopped.
    """
    values = to_json(config)
    for setting in fields(config):
        given = getattr(config, setting.name)
        words = limits_of(setting).words or ()
        if limits_of(setting).may_change or (is_path(setting) and str(given) not in words):
            del values[setting.name]
    return values


def from_json(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Build the settings that `to_json` described.

    Raises:
        ConfigError: A key is unknown [setting-unknown], or a value does not pass its checks.
    """
    return build(cls, known_values(cls, values, "saved settings"))


def known_values(cls: type[StageConfig], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `values` by field name, each one checked; an unknown key is an error."""
    settings = settings_of(cls)
    result = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        setting = settings.get(name) or settings.get(f"{name}_")
        if setting is None:
            message = f"{where}: unknown key {key}, a setting of `s4 {cls.command}` expected; {nearest(key, settings)}"
            raise ConfigError(message, "setting-unknown")
        result[setting.name] = checked(setting, value, f"{where}: {key}")
    return result
