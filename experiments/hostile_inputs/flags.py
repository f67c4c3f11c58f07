"""Hostile values of every flag."""

import random
from collections.abc import Iterator
from dataclasses import Field
from typing import Any

from experiments.hostile_inputs.commands import (
    encoded,
    over_pictures,
    scene,
    write_pictures,
)
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest
from pipelines.config import STAGES, CheckConfig, ExportConfig, InitConfig, ReportConfig
from pipelines.config.setting import choices_of, flag_of, is_path, limits_of, settings_of, type_of

_NUMBERS = (
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "1e-300",
    "0.999999",
    "1.0000001",
    "1e18",
    "65536",
    "99999999999999999999",
    "nan",
    "inf",
    "-inf",
    "1_000",
    "\u0661",
    " 5",
    "5 ",
    "+5",
    "0x5",
    "",
    "1e5",
    "2147483648",
    "-0.0",
    "1/2",
)
_MANY = ("65536", "1_000", "2147483648", "99999999999999999999")
_TEXTS = (
    "",
    " ",
    "\n",
    "a\nb",
    "%s",
    "{0}",
    "../x",
    "voc",
    "auto",
    "none",
    "x,y",
    ",",
    "1,1",
    "0",
    "-1",
    "1/1",
    "2/1",
    "1/999999",
    "0/0",
    "1/2/3",
    "\u202e",
    "\U0001f408",
    "$x^$",
    "<b>",
    "x" * 4000,
    "timm/resnet18",
    "timm/",
    "timm/x",
    "1.0,",
    "0.5,0.5",
    "1e9",
    "nan",
    "1.0;2.0",
    "cuda",
    "cuda:99",
    "mps",
    "meta",
    "CPU",
    "train_00000",
    "disc",
)
_PLACES = (
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/full",
    "/proc/self/fd/0",
    "~",
    "~nobody",
    "nowhere",
    "nowhere/x",
    "//",
    "x\ny",
    "caf\udce9",
    "x" * 256,
    "-",
    "--",
    "*",
    "[x]",
    "memory://x",
    "\u202ex",
    "$HOME",
    "%00",
)
_SETTINGS = {**STAGES, "check": CheckConfig, "export": ExportConfig, "init": InitConfig, "report": ReportConfig}
_BY_PICTURES = {
    "predict": "predict-deeplab",
    "pseudo-label": "from-masks",
    "deeplab-train": "deeplab-train",
    "train": "train",
    "explain": "explain",
    "evaluate": "evaluate-masks",
    "convert": "voc",
    "ablate": "ablate",
    "check": "check",
}


OTHERS = {
    "export": "export {deeplab} --out {out}/n.onnx",
    "report": "report {world}/labels --out {out}/page.html",
    "init": "init {voc} --out {out}/s4.toml",
}
"""Lines of commands that read no pictures."""


def hostile_flags(choose: random.Random) -> Iterator[Rest]:
    """Yield every flag of every command with two values, on a command line that works."""
    for command in _BY_PICTURES:
        for name, setting in settings_of(_SETTINGS[command]).items():
            if limits_of(setting).positional:
                continue
            for value in choose.sample(_values(setting), min(2, len(_values(setting)))):
                yield f"{command} {flag_of(name)} {value!r}"[:90], _flag(command, setting, value)
    for command in OTHERS:
        for name, setting in settings_of(_SETTINGS[command]).items():
            for value in choose.sample(_values(setting), min(4, len(_values(setting)))):
                yield f"{command} {flag_of(name)} {value!r}"[:90], _other_flag(command, setting, value)


def _values(setting: "Field[Any]") -> tuple[str, ...]:
    if type_of(setting) is bool:
        # A dry run that is taken back is a whole training, and nothing is wrong with it.
        return ("yes",) if setting.name == "dry_run" else ("yes", "no")
    if is_path(setting):
        # All pictures of the machine are much work, and nothing is wrong with them.
        return _PLACES if limits_of(setting).writes else tuple(place for place in _PLACES if place not in ("/", "//"))
    if choices_of(setting):
        return (*choices_of(setting), "", choices_of(setting)[0].upper(), "x")
    if setting.name in ("steps", "batch_size"):  # more of them are work, and nothing is wrong with them
        return tuple(value for value in _NUMBERS if value not in _MANY)
    return _NUMBERS if type_of(setting) in (int, float) else _TEXTS


def _given(setting: "Field[Any]", value: str) -> list[str]:
    flag = flag_of(setting.name)
    if type_of(setting) is bool:
        return [flag if value == "yes" else f"--no-{flag[2:]}"]
    return [f"{flag}={value}"]


def _flag(command: str, setting: "Field[Any]", value: str) -> Build:
    def build(place: Place) -> list[str]:
        write_pictures(place, {"x.jpg": encoded(scene(3), "JPEG")})
        line = over_pictures(_BY_PICTURES[command], place)
        # What a place in the current folder gets is an output.
        return [*line, *_given(setting, _moved(setting, value, place))]

    return build


def _moved(setting: "Field[Any]", value: str, place: Place) -> str:
    """Return a relative output inside of `out`, where it may be written."""
    relative = limits_of(setting).writes and value and value[0] not in "/~" and "://" not in value and value != ".."
    return f"{place.out}/{value}" if relative else value


def _other_flag(command: str, setting: "Field[Any]", value: str) -> Build:
    def build(place: Place) -> list[str]:
        moved = _moved(setting, value, place)
        own = [moved] if limits_of(setting).positional else _given(setting, moved)
        return [*filled(OTHERS[command], place), *own]

    return build
