"""Command lines, each in a process that has imported the command line and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.s4cli.stages import ROOT

# One interpreter is started. Each line runs in a copy of it, which is made before any line has run.
_SCRIPT = """
import json, os, sys, tempfile
from s4cli.main import main

lines, heavy = json.load(sys.stdin)
answers = []
for line in lines:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if child == 0:
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                code = main(line)
                json.dump([code, sorted({*heavy} & {*sys.modules})], told)
            finally:
                for stream in (sys.stdout, sys.stderr, told):
                    stream.flush()
                os._exit(0)
        os.waitpid(child, 0)
        for stream in (out, err, told):
            stream.seek(0)
        code, imported = json.load(told)
        answers.append([code, out.read(), err.read(), imported])
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """What a command line said, and those of the heavy packages that its process has imported at its end."""

    code: int
    out: str
    err: str
    imported: list[str]


def answers(lines: Sequence[Sequence[str]], heavy: set[str], cwd: Path) -> list[Answer]:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input=json.dumps([lines, sorted(heavy)]),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [Answer(*answer) for answer in json.loads(done.stdout)]
    assert len(found) == len(lines)
    return found
