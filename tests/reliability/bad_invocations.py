"""Bad command lines, made from a seed: flags, types, paths, settings files and modes of every command."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import Field
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.config import STAGES, InitConfig
from pipelines.config.setting import (
    choices_of,
    flag_of,
    is_path,
    limits_of,
    settings_of,
    type_of,
)

COMMANDS = {**STAGES, "init": InitConfig}
_HUGE = (
    "9" * 5000,
    str(10**24),
    str(10**30),
    "1e400",
    "nan",
    "inf",
    "-inf",
    "-1",
    "NaN",
    "Infinity",
    "1_0_",
    "0x10",
    "",
)
_TEXT = ("", "ten", "1,5", "true", "[1]", "\u0663x", "--", "1 2", "%s", "$HOME", "\U0001f408")

NO_DISK = "/proc/none/x"
"""A place where the system makes no folder for anybody."""


class Bad(NamedTuple):
    """A bad command line.

    Attributes:
        kind: What is bad about it.
        arguments: The arguments, without the name of the program.
    """

    kind: str
    arguments: list[str]


def write_world(folder: Path) -> None:
    """Write what the command lines name, good and bad: nothing in it may change."""
    for name in ("i", "l", "voc/JPEGImages", "voc/SegmentationClass", "voc/ImageSets/Segmentation", "empty", "mine"):
        (folder / name).mkdir(parents=True)
    for name in ("w", "t", "a", "i/x.jpg", "l/x.png", "mine/thesis.pdf", "list.txt"):
        (folder / name).write_bytes(b"no such format")
    for name in ("val", "test", "train"):
        (folder / "voc/ImageSets/Segmentation" / f"{name}.txt").write_text("x\n")
    (folder / "a").write_text("[" * 100_000)
    odd = folder.parent / "odd"
    odd.mkdir()
    (odd / "nowhere").symlink_to("gone")
    (odd / "circle").symlink_to("circle")
    os.mkfifo(odd / "fifo")
    for number, text in enumerate(_tomls()):
        (folder / f"bad{number}.toml").write_bytes(text)


def _tomls() -> list[bytes]:
    deep = 5000
    return [
        b"a = " + b"[" * deep + b"]" * deep,
        b"a = " + b"{b = " * deep + b"1" + b"}" * deep,
        b"[train]\nsteps" + b".a" * deep + b" = 1",
        b"\xff\xfe\x00",
        b"steps = " + b"9" * deep,
        b"[train]\nsteps = nan",
        b"[train]\nrun = 'a\\u0000b'",
        b'run = "a\\u0000b"',
        b"[nobody]\nx = 1",
        b"[train]\nstepz = 1",
        b"device = 3\nprecision = []\nworkers = {}",
        b"x" * 100_000,
    ]


BASES: dict[str, list[str]] = {
    "train": ["--images", "i", "--annotations", "a", "--run", "out"],
    "pseudo-label": ["--images", "i", "--weights", "w", "--out", "out"],
    "deeplab-train": ["--images", "i", "--labels", "l", "--run", "out"],
    "evaluate": ["--voc", "voc", "--weights", "w"],
    "predict": ["--images", "i", "--weights", "w", "--out", "out"],
    "convert": ["--to", "csv", "--images", "i", "--out", "out.csv", "--classes", "w"],
    "demo": ["--out", "out", "--precision", "fp8"],
    "ablate": ["--table", "1", "--images", "i", "--annotations", "a", "--test-annotations", "t", "--out", "out"],
    "explain": ["--images", "i", "--annotations", "a", "--weights", "w", "--out", "out"],
    "bench": ["--out", "out", "--weights", "w"],
    "run": ["bad9.toml", "--out", "out"],
    "init": ["empty", "--out", "out.toml"],
}
"""Arguments of which each line has enough: what they name is unusable, so no line can do any work."""


def _places() -> list[str]:
    return [
        "/dev/null", "/dev/null/x", NO_DISK, "../odd/fifo", "w/below", "../odd/nowhere", "../odd/circle",
        "a\0b", "x" * 300,
        "x/" * 2500, "mine", "i", "voc", "caf\udce9/x", "", "/dev/zero", ".", "\ud83d", "~nobody/x", "-", "*.none",
    ]  # fmt: skip


def _value(setting: "Field[Any]", choose: random.Random) -> str:
    """Return a value that the setting cannot use."""
    if is_path(setting):
        return choose.choice(_places())
    if choices_of(setting):
        return choose.choice((*_TEXT, choices_of(setting)[0].upper() + "x"))
    limits, kind = limits_of(setting), type_of(setting)
    if kind in (int, float):
        beyond = [str(limits.at_most * 10 + 1)] if limits.at_most is not None else []
        return choose.choice((*_HUGE, *_TEXT, *beyond, "-0.0x"))
    return choose.choice((*_TEXT, "9" * 5000, "x" * 5000, "a\0b", "1/0", "0/1", "5/4", "1e9", "cuda:" + "9" * 5000))


def _bad_value(command: str, choose: random.Random) -> list[str]:
    settings = [each for each in settings_of(COMMANDS[command]).values() if type_of(each) is not bool]
    setting = choose.choice([each for each in settings if not limits_of(each).positional])
    return [command, *BASES[command], flag_of(setting.name), _value(setting, choose)]


def _bad_text(command: str, choose: random.Random) -> list[str]:
    """Give a text that is the name of something in a data set: most of the other values are numbers."""
    names = [
        name
        for name in ("split", "ids", "trunks", "seeds", "shard", "scales")
        if name in settings_of(COMMANDS[command])
    ]
    if not names:
        return _bad_value(command, choose)
    name = choose.choice(names)
    return [command, *BASES[command], flag_of(name), _value(settings_of(COMMANDS[command])[name], choose)]


def _bad_place(command: str, choose: random.Random) -> list[str]:
    """Put a bad place where a good one was."""
    arguments = [command, *BASES[command]]
    index = choose.choice([at for at in range(1, len(arguments)) if not arguments[at].startswith("--")])
    return [*arguments[:index], choose.choice(_places()), *arguments[index + 1 :]]


def _bad_output(command: str, choose: random.Random) -> list[str]:
    settings = settings_of(COMMANDS[command])
    name = next((name for name, each in settings.items() if limits_of(each).writes), None)
    if name is None:
        return _bad_place(command, choose)
    return [command, *BASES[command], flag_of(name), choose.choice(["/", "~", *_places()])]


def _unknown_flag(command: str, choose: random.Random) -> list[str]:
    names = [
        "--nope",
        "--imagez",
        "-x",
        "--",
        "--json=1",
        "--no-steps",
        "--help=1",
        "-",
        "--steps=",
        "--\0",
        "--\udce9",
    ]
    arguments = [command, *BASES[command]]
    arguments.insert(choose.randrange(len(arguments) + 1), choose.choice(names))
    return arguments


def _left_out(command: str, choose: random.Random) -> list[str]:
    if command == "init":  # it looks at the current folder if none is named
        return [command, "--out"]
    arguments = [command, *BASES[command]]
    del arguments[choose.randrange(len(arguments))]
    return arguments


def _twice(command: str, choose: random.Random) -> list[str]:
    """Give flags of other commands, and modes that exclude each other."""
    other = BASES[choose.choice(sorted(BASES))]
    return [command, *BASES[command], *other]


def _settings_file(command: str, choose: random.Random) -> list[str]:
    file = choose.choice([*(f"bad{number}.toml" for number in range(len(_tomls()))), *_places()])
    if command == "run":
        return ["run", file, "--out", "out"]
    return [command, *BASES[command], "--config", file]


def _resumed(command: str, choose: random.Random) -> list[str]:
    more = choose.sample(["--resume", "--dry-run", "--retry-failed", "--no-config", "--force", "--start-from"], 2)
    return [command, *BASES[command], *more, *(["--run", choose.choice(_places())] if choose.random() < 0.5 else [])]


def _shuffled(command: str, choose: random.Random) -> list[str]:
    arguments = [command, *BASES[command]]
    choose.shuffle(arguments)
    return arguments


KINDS: dict[str, Callable[[str, random.Random], list[str]]] = {
    "value": _bad_value,
    "text": _bad_text,
    "place": _bad_place,
    "output": _bad_output,
    "flag": _unknown_flag,
    "left out": _left_out,
    "twice": _twice,
    "file": _settings_file,
    "mode": _resumed,
    "order": _shuffled,
}


def bad_invocations(count: int, seed: int) -> Iterator[Bad]:
    """Yield bad command lines: every kind with every command, until there are enough; each third asks for JSON."""
    choose = random.Random(seed)
    pairs = [(kind, command) for kind in KINDS for command in BASES]
    for number in range(count):
        if number % len(pairs) == 0:
            choose.shuffle(pairs)
        kind, command = pairs[number % len(pairs)]
        arguments = KINDS[kind](command, choose)
        yield Bad(kind, [*arguments, "--json"] if number % 3 == 0 and "--" not in arguments else arguments)
