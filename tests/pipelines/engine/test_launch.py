"""Several processes of one training: one result, one error, and an end for all."""

import io
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.engine.launch import _Ended, _result, launch, own_batch_size
from pipelines.errors import ConfigError, DivergedError, InputError, MachineError, Stopped
from pipelines.events import Events
from tests.pipelines.engine import launched_stages

QUIET = SimpleNamespace(asked=False)


def test_processes_divide_a_batch_without_rest() -> None:
    assert own_batch_size(8, 1) == 8 and own_batch_size(8, 4) == 2
    with pytest.raises(ConfigError, match=r"--devices 3: a batch of 8 .* --batch-size 6, .*\[batch-uneven\]"):
        own_batch_size(8, 3)
    with pytest.raises(ConfigError, match="--batch-size 4,"):
        own_batch_size(2, 4)


def test_torchrun_and_one_gpu_for_several_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="devices-given"):
        launch(launched_stages.add, tmp_path, 2, "cuda:1", Events(io.StringIO()))
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match="devices-given"):
        launch(launched_stages.add, tmp_path, 2, "cpu", Events(io.StringIO()))


ended = _Ended
PEER = RuntimeError("Connection closed by peer [127.0.0.1]:4")
FULL, BAD = MachineError("full", "disk-full"), InputError("bad", "image-damaged")


@pytest.mark.parametrize(
    ("ends", "expected", "text"),
    [
        ([ended(0, error=PEER), ended(1, error=FULL)], MachineError, "full"),
        ([ended(0, error=BAD), ended(1, error=BAD)], InputError, "bad"),
        ([ended(0, error=PEER), ended(1, code=-9)], MachineError, "process 1 was killed, perhaps because memory"),
        ([ended(0, code=-9, killed_here=True), ended(1, code=-11)], MachineError, "process 1 ended with -11"),
        ([ended(0, error=PEER), ended(1, error=ZeroDivisionError("x"))], ZeroDivisionError, "x"),
        ([ended(0, error=Stopped("a", "stopped")), ended(1, error=Stopped("b", "stopped"))], Stopped, "a"),
        ([ended(0, error=PEER), ended(1, code=75)], Stopped, "before the first step"),
        ([ended(0, code=-9, killed_here=True), ended(1, code=75)], Stopped, "before the first step"),
    ],
)
def test_the_error_that_says_most_speaks_for_all(ends, expected, text: str) -> None:
    with pytest.raises(expected, match=text):
        _result(ends, QUIET)
    assert _result([ended(0, {"rank": 0}), ended(1, {"rank": 1})], QUIET) == {"rank": 0}


@pytest.mark.slow
def test_processes_work_together_and_the_first_one_speaks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = io.StringIO()
    result = launch(launched_stages.add, tmp_path, 3, "cpu", Events(told))
    assert result == {"rank": 0, "world": 3, "sum": 111.0, "threads": 1}
    assert told.getvalue().startswith("3 processes, 1 thread each")
    out, err = capfd.readouterr()
    assert (out, err.splitlines()) == ("", ["said by 0"])
    assert "RANK" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "error", "text"),
    [
        (launched_stages.diverge, DivergedError, "not finite"),
        (launched_stages.fill_the_disk_of_one, MachineError, "disk-full"),
        (launched_stages.fault, ZeroDivisionError, "in process one"),
        (launched_stages.die, MachineError, "process 1 was killed"),
    ],
)
def test_an_error_of_any_process_ends_all(stage, error, text: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=text) as caught:
        launch(stage, tmp_path, 2, "cpu", Events(io.StringIO()))
    if error is ZeroDivisionError:
        assert "launched_stages.py" in str(caught.value.__cause__)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("stage", [launched_stages.step, launched_stages.wait_alone])
def test_a_signal_stops_all_of_them_without_a_hang(stage, number: signal.Signals, tmp_path: Path) -> None:
    def ask() -> None:
        while not all((tmp_path / f"begun{rank}").exists() for rank in (0, 1)):
            time.sleep(0.02)
        asked.append(time.monotonic())
        os.kill(os.getpid(), number)

    asked: list[float] = []
    threading.Thread(target=ask, daemon=True).start()
    with pytest.raises(Stopped) as caught:
        launch(stage, tmp_path, 2, "cpu", Events(io.StringIO()))
    assert time.monotonic() - asked[0] < 20
    assert ("told by 0" in str(caught.value)) is (stage is launched_stages.step)
