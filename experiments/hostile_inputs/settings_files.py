"""Hostile settings files."""

import random
from collections.abc import Iterator

from experiments.hostile_inputs.commands import encoded, scene
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest

_DEEP = 5000
TOMLS: dict[str, bytes] = {
    "a BOM": b"\xef\xbb\xbf[train]\nsteps = 3\n",
    "mixed lines": b"[train]\r\nsteps = 3\rlr = 1\n",
    "carriage returns": b"[train]\rsteps = 3\r",
    "doubled keys": b"[train]\nsteps = 3\nsteps = 4\n",
    "doubled tables": b"[train]\nsteps = 3\n[train]\nlr = 1.0\n",
    "UTF-16": "[train]\nsteps = 3\n".encode("utf-16"),
    "latin": b'[train]\nrun = "caf\xe9"\n',
    "deep": b"[train]\nsteps = " + b"[" * _DEEP + b"]" * _DEEP,
    "deep tables": b"[" + b".".join([b"a"] * _DEEP) + b"]\nx = 1\n",
    "dotted": b"train" + b".a" * _DEEP + b" = 1\n",
    "long number": b"[train]\nsteps = " + b"9" * 100_000,
    "numbers": b"[train]\nsteps = 0x7fffffffffffffffffff\nlr = inf\nalpha = nan\nseed = -0\n",
    "dates": b"[train]\nsteps = 2026-01-01\nlr = 07:32:00\nimages = 1979-05-27T07:32:00Z\n",
    "arrays": b"[train]\nimages = [[], {}, 1, 'a']\nsteps = [1]\n[pseudo-label]\nimages = []\nkeywords = [1]\n",
    "arrays of tables": b"[[train]]\nsteps = 1\n[[train]]\nsteps = 2\n",
    "a table for a value": b"[train.steps]\nx = 1\n[train.images]\n",
    "no quotes": b"[train]\nimages = data\n",
    "an escape": b'[train]\nimages = "\\x41\\u0000\\ud800"\n',
    "nul": b'[train]\nimages = "a\\u0000b"\nannotations = "\\u0000"\n',
    "control": b"[train]\nimages = 'a\x07b'\n",
    "a comment of megabytes": b"#" + b"x" * 5_000_000 + b"\n[train]\nsteps = 0\n",
    "many tables": b"".join(b"[t%d]\nx = 1\n" % number for number in range(20_000)),
    "many keys": b"[train]\n" + b"".join(b"k%d = 1\n" % number for number in range(20_000)),
    "odd names": b'["train"]\n"steps" = 1\n"" = 2\n"\\n" = 3\n[""]\n["\xf0\x9f\x90\x88"]\nx = 1\n',
    "other types": b'device = 3\nprecision = ["fp32"]\nworkers = "two"\n[train]\nresume = "yes"\nsteps = 3.0\n',
    "all tables": b"[train]\n[pseudo-label]\n[deeplab-train]\n[evaluate]\n[run]\n",
    "run rounds": b"[run]\nrounds = 99999999999999999999\n[pseudo-label]\n",
    "paths": b'[train]\nimages = "~nobody/x"\nannotations = "$HOME"\nrun = "/proc/self/x"\n',
    "addresses": b'[train]\nimages = "s3:/x"\nrun = "memory://x"\n'
    b'[pseudo-label]\nimages = ["nope://x", "file://"]\nweights = "http://"\n',
    "JSON": b'{"train": {"steps": 1}}\n',
    "YAML": b"train:\n  steps: 1\n",
    "zeros": bytes(5000),
    "nothing": b"",
    "a picture": encoded(scene(1), "PNG"),
    "evaluate": b'[evaluate]\nscales = [0, -1, nan]\nvoc = ""\nsplit = "../../x"\n',
    "circle": b'[run]\nout = "."\n[train]\nrun = "."\nimages = "."\n',
    "escape": b'[run]\nout = "../../../../escaped"\n[train]\nrun = "../../../../escaped2"\n',
}


LINES = {
    "config": "config check {file} --json",
    "run": "run {file} --dry-run",
    "train": "train --config {file} DRAWN --run {out} S4NET --dry-run",
    "check": "check {file}",
    "folder": "predict {voc}/JPEGImages --weights {net} --out {out} PLAIN",
    "no pictures": "predict --dry-run --weights {net} --out {out} PLAIN",
}


def hostile_settings_files(choose: random.Random) -> Iterator[Rest]:
    """Yield settings files, each for two commands."""
    for name in TOMLS:
        for command in choose.sample(["config", "run", "train", "check", "folder"], 2):
            yield f"{name}, {command}", _toml(name, command)


def _toml(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        file = place.given / "s4.toml"
        file.write_bytes(TOMLS[name])
        if command == "folder":
            (place.cwd / "s4.toml").write_bytes(TOMLS[name])
        empty = command == "folder" and place.choose.random() < 0.1
        return filled(LINES["no pictures" if empty else command], place, file=file)

    return build
