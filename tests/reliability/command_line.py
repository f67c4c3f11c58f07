"""Real processes of the command line, to send signals to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
S4 = "import sys; from s4cli.main import main; sys.exit(main())"
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def start(*arguments: object, cwd: Path, code: str = S4, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what is left of its processes can be found
    )


def wait_until(process: "subprocess.Popen[str]", holds: Callable[[], bool], within: float = 300) -> None:
    limit = time.monotonic() + within
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.002)


def catches(process: "subprocess.Popen[str]") -> bool:
    """Whether the program has taken over all signals that ask it to stop."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return all(caught >> (number - 1) & 1 for number in ASKING)


def of_session(session: int) -> list[int]:
    """The processes of a session that still run; one that nobody has waited for yet is dead all the same."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def ended(process: "subprocess.Popen[str]", timeout: float = 60) -> tuple[int, str, float]:
    """Exit code, stderr, and seconds that the end took; nothing of it is left, and no traceback was shown."""
    begun = time.monotonic()
    try:
        process.wait(timeout)
        seconds = time.monotonic() - begun
        _, errors = process.communicate(timeout=10)
        limit = time.monotonic() + 2
        while (left := of_session(process.pid)) and time.monotonic() < limit:
            time.sleep(0.01)
        assert left == [], "processes are left"
    finally:
        if process.poll() is None or of_session(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in errors and "Exception" not in errors and "leaked" not in errors, errors
    return process.returncode, errors, seconds


def twice(process: "subprocess.Popen[str]", apart: float) -> tuple[int, str, float]:
    """Press Ctrl-C twice; what `ended` returns, from the second time on."""
    process.send_signal(signal.SIGINT)
    time.sleep(apart)
    process.send_signal(signal.SIGINT)
    return ended(process)
