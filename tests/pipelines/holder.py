"""Another process that holds a folder until its standard input is closed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CODE = """
import sys
from pathlib import Path
from pipelines.folder_lock import sole_writer
folder, number, of, file = sys.argv[1:]
with sole_writer(Path(folder), "s4 test", lambda line: None, (int(number), int(of)), file):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(folder: Path, part: tuple[int, int] = (1, 1), file: str = "") -> "subprocess.Popen[str]":
    """The process; it holds the folder already."""
    arguments = [sys.executable, "-c", _CODE, str(folder), *map(str, part), file]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate()
    assert process.returncode == 0


@contextmanager
def held_by_another(folder: Path, part: tuple[int, int] = (1, 1), file: str = "") -> "Iterator[subprocess.Popen[str]]":
    process = start_holder(folder, part, file)
    try:
        yield process
    finally:
        end(process)
