"""Surroundings of a command that are odd, and outputs that are taken."""

import json
import os
import random
from collections.abc import Callable, Iterator

from experiments.hostile_inputs.commands import (
    OVER_LABELS,
    OVER_WEIGHTS,
    over_labels,
    over_weights,
)
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest

LINES = {
    "doctor": "doctor --offline --json",
    "doctor, shown": "doctor --offline",
    **{f"completion {shell}": f"completion {shell}" for shell in ("bash", "zsh", "fish", "x")},
    "help": "help train x",
    "config show": "config show train",
    "predict": OVER_WEIGHTS["predict"].replace("{given}", "{net}"),
    "report": OVER_LABELS["report"].replace("{given}", "{world}/labels"),
    "check": "check {voc}",
    "init": "init {voc} --out {out}/s4.toml",
    "evaluate": OVER_LABELS["evaluate"].replace("{given}", "{world}/labels"),
    "export": OVER_WEIGHTS["export"].replace("{given}", "{net}"),
}
"""Lines that work."""


def hostile_surroundings(choose: random.Random) -> Iterator[Rest]:
    """Yield commands in surroundings that are odd: streams, current folder, environment, limits."""
    for name in SURROUNDINGS:
        for line in choose.sample(list(LINES), 3):
            yield f"{name}, {line}", _plain(line), None, SURROUNDINGS[name]
    for line in (*OVER_WEIGHTS, *(name for name in OVER_LABELS if name != "review")):
        yield f"output taken, {line}", _taken(line)


def _plain(line: str) -> Build:
    return lambda place: filled(LINES[line], place)


def _stream(number: int, path: str) -> Callable[[Place], None]:
    return lambda place: os.dup2(os.open(path, os.O_RDWR), number) and None


def _pipe_closed(place: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)


def _gone(place: Place) -> None:
    folder = place.root / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()


def _set(**values: str) -> Callable[[Place], None]:
    return lambda place: os.environ.update(values)


def _limited(kind: int, most: int) -> Callable[[Place], None]:
    import resource

    return lambda place: resource.setrlimit(kind, (most, most))


SURROUNDINGS: dict[str, Callable[[Place], None]] = {
    "stdout full": _stream(1, "/dev/full"),
    "stdout closed": lambda place: os.close(1),
    "stdout a closed pipe": _pipe_closed,
    "stdin closed": lambda place: os.close(0),
    "current folder gone": _gone,
    "no home": lambda place: os.environ.pop("HOME", None) and None,
    "home a file": _set(HOME="/dev/null"),
    "no temporary folder": _set(TMPDIR="/nowhere"),
    "columns": _set(COLUMNS="0", LINES="-5"),
    "columns a text": _set(COLUMNS="x", TERM="\x1b", NO_COLOR="1"),
    "language": _set(LANG="xx_YY.UTF-9", LC_ALL="nope", PYTHONIOENCODING="ascii"),
    "time zone": _set(TZ="Nowhere/x\n"),
    "user": _set(USER="", LOGNAME="\udcff", SOURCE_DATE_EPOCH="x"),
    "threads": _set(OMP_NUM_THREADS="x", MKL_NUM_THREADS="-1"),
    "ranks": _set(RANK="x", WORLD_SIZE="-1"),
    "rank 7": _set(RANK="7", WORLD_SIZE="2", LOCAL_RANK="99"),
    "proxy": _set(http_proxy="x", HTTPS_PROXY="socks9://x", HF_HOME="/dev/null"),
    "GPUs": _set(CUDA_VISIBLE_DEVICES="x,y", S4_NONE="1"),
    "few files": _limited(7, 40),
    "mask of rights": lambda place: os.umask(0o777) and None,
}


def _taken(line: str) -> Build:
    """Return a line whose output is a file, or a folder with something of somebody else."""

    def build(place: Place) -> list[str]:
        if place.choose.random() < 0.4:
            place.out.write_text("somebody's")
        else:
            place.out.mkdir()
            (place.out / "thesis.pdf").write_text("somebody's")
            os.symlink("loop", place.out / "loop")
            (place.out / "config.json").write_text(json.dumps({"x": 1}))
        if line in OVER_WEIGHTS:
            kind = "runs/deeplab" if place.choose.random() < 0.5 else "net.pt"
            return over_weights(line, place, place.world / kind)
        labels = place.copied("labels")
        return over_labels("report" if line == "again" else line, place, labels)

    return build
