import io
from pathlib import Path

import pytest

from pipelines.errors import MachineError
from pipelines.events import Events


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_go_to_stderr_and_never_to_stdout(capsys) -> None:
    events = Events()
    events.info("loading")
    events.warn("odd")
    output = capsys.readouterr()
    assert output.err == "loading\nwarning: odd\n"
    assert output.out == ""


def test_off_a_terminal_there_is_a_line_every_five_percent() -> None:
    stream = io.StringIO()
    with Events(stream).progress(1000, "labelling") as progress:
        for _ in range(1000):
            progress.advance()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("labelling: 50/1000 (5 %)")
    assert lines[-1].startswith("labelling: 1000/1000 (100 %)")


def test_a_line_gives_rate_time_left_and_shown_values() -> None:
    stream, clock = io.StringIO(), Clock()
    with Events(stream, clock).progress(100, "training") as progress:
        clock.now = 10.0
        progress.advance(5, loss=0.123456, state="warm")
    # 5 items in 10 s: half an item per second, so that 95 more take 190 s
    assert stream.getvalue() == "training: 5/100 (5 %), 0.5/s, 3:10 left, loss 0.1235, state warm\n"


def test_slow_work_still_gives_a_line_every_minute() -> None:
    stream, clock = io.StringIO(), Clock()
    with Events(stream, clock).progress(1000, "training") as progress:
        for second in range(1, 151):
            clock.now = float(second)
            if second % 10 == 0:
                progress.advance()
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["training: 6/1000 (1 %)", "training: 12/1000 (1 %)"]


def test_resumed_work_does_not_count_into_the_rate() -> None:
    stream, clock = io.StringIO(), Clock()
    with Events(stream, clock).progress(100, "training", done=90) as progress:
        clock.now = 5.0
        progress.advance(5)
    assert stream.getvalue() == "training: 95/100 (95 %), 1/s, 0:05 left\n"


def test_hours_are_written_when_there_are_some() -> None:
    stream, clock = io.StringIO(), Clock()
    with Events(stream, clock).progress(20, "training") as progress:
        clock.now = 200.0
        progress.advance()
    assert "1:03:20 left" in stream.getvalue()  # 19 x 200 s = 3800 s


def test_no_work_at_all_is_no_error() -> None:
    stream = io.StringIO()
    with Events(stream).progress(0, "labelling"):
        pass
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_and_the_log_file_gets_lines(tmp_path: Path) -> None:
    stream = Terminal()
    events = Events(stream)
    events.attach(tmp_path / "run" / "log.txt")
    with events.progress(10, "labelling") as progress:
        for _ in range(10):
            progress.advance(loss=1.0)
            events.info("between")
    assert "labelling: 100%" in stream.getvalue()
    assert "10/10 (100 %)" not in stream.getvalue()
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "labelling: 10/10 (100 %)" in log
    assert log.count("between") == 10


def test_the_log_file_repeats_every_line_with_its_time(tmp_path: Path) -> None:
    events = Events(io.StringIO())
    events.info("before")
    events.attach(tmp_path / "log.txt")
    events.info("bild\udcff.jpg")  # a file name that is not UTF-8
    (line,) = (tmp_path / "log.txt").read_text().splitlines()
    assert line[4] == line[7] == "-"
    assert line.endswith(" bild\\udcff.jpg")


def test_a_long_line_can_go_into_the_log_file_alone(tmp_path: Path) -> None:
    stream = io.StringIO()
    events = Events(stream)
    events.record("lost: no log file yet")
    events.attach(tmp_path / "log.txt")
    events.record("a long line")
    assert (tmp_path / "log.txt").read_text().endswith(" a long line\n")
    assert stream.getvalue() == ""


def test_a_log_file_that_cannot_grow_is_a_machine_error(tmp_path: Path) -> None:
    events = Events(io.StringIO())
    events.attach(tmp_path)
    with pytest.raises(MachineError, match="write-failed"):
        events.info("x")


def test_the_bar_is_closed_when_the_loop_fails() -> None:
    stream = Terminal()
    with pytest.raises(RuntimeError), Events(stream).progress(10, "labelling"):
        raise RuntimeError
    assert stream.getvalue().endswith("\n")
