"""Bad command lines: each ends soon, with a message and a code that says whose fault it is."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s4cli.main import main
from tests.reliability.bad_invocations import BASES, KINDS, NO_DISK, Bad, bad_invocations, write_world

ROOT = Path(__file__).parents[2]
SEED = 25
FAST, ALL = 240, 600  # twice and five times every kind with every command
LONGEST = 10.0  # seconds that an answer may take, with the import of torch
CODES = {2, 3}
_S4 = [sys.executable, "-c", "import sys; from s4cli.main import main; sys.exit(main())"]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What lies below a folder, with the content of every regular file; a lock that came and went changes nothing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        regular = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, path.read_bytes() if regular else b"")
    return found


def judge(bad: Bad, code: int, out: str, err: str) -> None:
    """Check how a bad command line ended; help that was asked for is no failure."""
    assert code in ({*CODES, 6} if NO_DISK in bad.arguments else CODES), (bad, code, err[-2000:])
    assert "Traceback" not in err
    assert "this is a fault of s4" not in err
    assert "error: " in err or "Usage: " in err
    if "--json" in bad.arguments and "error: " in err:
        (line,) = out.splitlines()
        error = json.loads(line)["error"]
        assert error["exit_code"] == code
        assert error["rule"]
        assert error["message"]
    else:
        assert out == ""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "world"
    folder.mkdir()
    (tmp_path / "home").mkdir()  # libraries keep their caches there
    write_world(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RANK", raising=False)
    return folder


def test_the_lines_are_many_and_of_all_kinds() -> None:
    lines = list(bad_invocations(ALL, SEED))
    assert len(lines) >= 500
    assert {bad.kind for bad in lines} == set(KINDS)
    assert len({tuple(bad.arguments) for bad in lines}) > 0.75 * len(lines)
    assert {command for bad in lines for command in bad.arguments} >= set(BASES)


def test_bad_command_lines_in_this_process(
    world: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    before, outside = tree(world), sorted(os.listdir(world.parent))
    for bad in bad_invocations(FAST, SEED):
        start = time.process_time()  # neighbours of the test take time too
        code = main(bad.arguments)
        seconds = time.process_time() - start
        captured = capsys.readouterr()
        judge(bad, code, captured.out, captured.err)
        assert seconds < LONGEST, bad
        assert tree(world) == before, bad
    assert sorted(os.listdir(world.parent)) == outside


@pytest.mark.stress
def test_bad_command_lines_in_processes_of_their_own(world: Path) -> None:
    before, outside = tree(world), sorted(os.listdir(world.parent))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for bad in bad_invocations(ALL, SEED + 1):
        if any("\0" in argument or "\ud83d" in argument for argument in bad.arguments):
            continue  # no system passes such an argument on
        done = subprocess.run(
            [*_S4, *bad.arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
        judge(bad, done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))
        assert tree(world) == before, bad
    assert sorted(os.listdir(world.parent)) == outside
