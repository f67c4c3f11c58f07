"""Settings as the text of a TOML file."""

from dataclasses import MISSING
from typing import Any

from pipelines.config.setting import TYPE_WORDS, StageConfig, choices_of, limits_of, settings_of, type_of


def to_toml(cls: type[StageConfig]) -> str:
    """Return the defaults of a stage as a commented TOML table to edit; a setting without default is a comment."""
    lines = [f"[{cls.command}]"]
    for field, setting in settings_of(cls).items():
        name = field.rstrip("_")
        limits, kind = limits_of(setting), type_of(setting)
        if limits.positional:
            continue  # the file cannot name itself
        accepts = " | ".join(choices_of(setting)) or (limits.form[1] if limits.form else TYPE_WORDS[kind])
        lines += ["", f"# {limits.help} ({accepts})"]
        unset = setting.default is MISSING or setting.default is None
        note = "required" if setting.default is MISSING else "not set"
        lines.append(f"# {name} =    # {note}" if unset else f"{name} = {toml_value(setting.default)}")
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """Return a value as TOML spells it; a text must not hold a single quote."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value) + "'"  # a literal string: no escapes needed, and no default holds a quote
