import os
import queue
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.engine import picture_workers
from pipelines.engine.picture_workers import FEWEST, PictureWorkers
from pipelines.errors import ConfigError, InputError, MachineError
from pipelines.events import Events
from tests.pipelines.engine import light_work
from tests.pipelines.engine.light_work import LightWork

N = 2 * FEWEST + 1
ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("unguarded_script.py")
NUMBERS = [(f"p{number}", number) for number in range(N)]


def answers(step: Callable, processes: int = 2, items: list = NUMBERS) -> tuple[list, LightWork]:
    work = LightWork()
    with PictureWorkers(work, processes, Events()) as workers:
        return list(workers.answers(step, items)), work


def test_processes_give_the_answers_and_notes_of_one_in_the_order_of_the_pictures():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        two, work = answers(light_work.square)
    assert [image_id for image_id, _ in two] == [f"p{number}" for number in range(N)]
    results = dict(two)
    damaged = results.pop("p7")
    assert isinstance(damaged, InputError) and str(damaged).endswith("[image-damaged]")
    assert {name: result[0] for name, result in results.items()} == {
        f"p{number}": number * number for number in range(N) if number != 7
    }
    ids = {result[1] for result in results.values()}
    assert len(ids) <= 2 and os.getpid() not in ids  # on a busy machine, one process may do it all
    assert work.heard == [f"p{number}" for number in range(N)]
    assert [str(one.message) for one in caught] == ["an odd picture"]  # once for two pictures, as in one process


def test_a_process_computes_with_one_thread_and_imports_neither_torch_nor_the_main_module(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(SCRIPT), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    seen, _ = answers(light_work.surroundings, items=[(name, None) for name, _ in NUMBERS])
    assert {answer for _, answer in seen} == {("1", False, False)}
    assert os.environ["OMP_NUM_THREADS"] == "7" and sys.modules["__main__"].__file__ == str(SCRIPT)


@pytest.mark.parametrize(("processes", "pictures"), [(1, N), (0, N), (2, 2 * FEWEST - 1)])
def test_few_pictures_or_one_process_are_worked_on_here(processes: int, pictures: int):
    here, _ = answers(light_work.square, processes, [item for item in NUMBERS[:pictures] if item[1] % 16 != 5])
    assert {answer[1] for _, answer in here if not isinstance(answer, InputError)} == {os.getpid()}


@pytest.mark.parametrize(
    ("step", "kind", "rule"),
    [(light_work.fail, MachineError, "disk-full"), (light_work.refuse, ConfigError, "setting-value")],
)
def test_an_error_of_the_program_keeps_its_rule(step: Callable, kind: type, rule: str):
    with pytest.raises(kind, match=rf"\[{rule}\]"):
        answers(step)


def test_a_bug_shows_where_it_happened():
    with pytest.raises(IndexError) as caught:
        answers(light_work.bug)
    text = "".join(traceback.format_exception(caught.value))
    assert "light_work.py" in text and "return [1][number]" in text


def test_work_that_cannot_be_sent_is_told_before_any_process_starts():
    work = LightWork()
    work.notes = [lambda: None]
    with pytest.raises(AttributeError, match="pickle"), PictureWorkers(work, 2, Events()) as workers:
        list(workers.answers(light_work.square, NUMBERS))


def test_what_cannot_be_opened_is_no_fault_of_a_picture():
    with pytest.raises(InputError, match="weights-missing"), PictureWorkers(LightWork(True), 2, Events()) as workers:
        list(workers.answers(light_work.square, NUMBERS))


@pytest.mark.parametrize(
    ("sent", "kind"), [([LightWork(True)], InputError), ([], queue.Empty)], ids=["unusable", "unreadable"]
)
def test_a_worker_takes_no_more_than_its_own_work(monkeypatch: pytest.MonkeyPatch, sent: list, kind: type):
    class Works:
        calls = 0

        def get(self) -> LightWork:
            self.calls += 1
            if not sent:
                raise queue.Empty
            return sent[0]

    works = Works()
    monkeypatch.setattr(picture_workers, "_prepared", [works, SimpleNamespace(value=0)])
    monkeypatch.setattr(picture_workers, "_came", [])
    for _ in range(3):  # with every picture the same error, which ends the run
        with pytest.raises(kind):
            picture_workers._answer(light_work.square, "p1", 1)
    assert works.calls == 1  # a second one would be that of another worker, which would then wait for ever


@pytest.mark.slow
def test_a_killed_process_is_told_with_its_pictures_after_all_that_was_finished():
    seen = []
    with pytest.raises(MachineError) as caught, PictureWorkers(LightWork(), 2, Events()) as workers:
        for image_id, _ in workers.answers(light_work.die, NUMBERS):
            seen.append(image_id)
    # Up to eight pictures are handed out ahead. The other process has done those behind number 20.
    assert seen == [f"p{number}" for number in range(28) if number != 20]
    assert "--workers 2: a process was killed, perhaps because memory ran out, at work on one of p20;" in str(
        caught.value
    )
    assert caught.value.rule == "worker-died" and caught.value.exit_code == 6


def test_a_process_that_crashes_names_the_signal():
    with pytest.raises(MachineError, match=r"ended with SIGSEGV, at work on one of p20, p21;.*\[worker-died\]"):
        answers(light_work.crash)


@pytest.mark.slow
def test_a_process_killed_in_the_middle_of_a_large_answer_is_told():
    with pytest.raises(MachineError, match=r"was killed, .* at work on one of p20[,;] .*\[worker-died\]"):
        answers(light_work.die_sending)


def test_the_end_does_not_wait_for_the_rest_of_an_answer(tmp_path: Path):
    marker = tmp_path / "marker"
    items = [(name, str(marker)) for name, _ in NUMBERS]
    with pytest.raises(KeyboardInterrupt), PictureWorkers(LightWork(), 2, Events()) as workers:
        for image_id, _ in workers.answers(light_work.hang_sending, items):
            if image_id == "p19":
                marker.mkdir()
                wait_until((marker / "half").exists)
                time.sleep(0.3)  # until the half is read
                raise KeyboardInterrupt


def test_a_later_pass_over_more_pictures_gets_more_processes(tmp_path: Path):
    def processes_of(name: str, pictures: int, count: int) -> set[int]:
        (tmp_path / name).mkdir()
        items = [(f"p{number}", (str(tmp_path / name), count)) for number in range(pictures)]
        return {pid for _, pid in workers.answers(light_work.meet, items)}

    with PictureWorkers(LightWork(), 3, Events()) as workers:
        first = processes_of("first", 2 * FEWEST, 2)
        second = processes_of("second", 4 * FEWEST, 3)
        third = processes_of("third", FEWEST, 1)
    assert (len(first), len(second)) == (2, 3) and not first & second and third <= second


def test_after_a_stop_what_was_begun_is_finished_and_nothing_else_begun(tmp_path: Path):
    seen = []
    items = [(f"p{number}", str(tmp_path)) for number in range(64)]
    with PictureWorkers(LightWork(), 2, Events()) as workers:
        for image_id, _ in workers.answers(light_work.slow, items, lambda: len(seen) >= 5):
            seen.append(image_id)
    # Five, and the one or two that each process had at that moment.
    assert seen == [f"p{number}" for number in range(len(seen))] and 5 <= len(seen) <= 9


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []

    def start(step: str) -> "subprocess.Popen[str]":
        command = [sys.executable, SCRIPT, step, str(tmp_path)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def workers_left(folder: Path) -> list[str]:
    """The workers that still run; one that nobody has waited for yet is dead all the same."""
    states = {path.name: Path("/proc", path.name, "stat") for path in folder.iterdir()}
    return [name for name, state in states.items() if state.exists() and state.read_text().rpartition(")")[2][1] != "Z"]


def test_signals_stop_the_parent_alone_and_no_process_is_left(tmp_path: Path, started):
    process = started("slow")
    for pid in (process.pid, *(int(path.name) for path in tmp_path.iterdir())):
        os.kill(pid, signal.SIGTERM)  # as a scheduler does, to all processes
        os.kill(pid, signal.SIGINT if pid != process.pid else signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert 0 < int(out.split()[0]) < 1000
    assert workers_left(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_second_ctrl_c_or_a_kill_ends_all_processes_at_once(tmp_path: Path, started, number: signal.Signals):
    process = started("sleep")
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -number, errors  # after KeyboardInterrupt, Python ends by the signal
    wait_until(lambda: workers_left(tmp_path) == [])
