import threading

import pytest

from pipelines.engine.write_behind import write_behind
from pipelines.events import Events


def test_writes_are_done_in_order_in_another_thread_and_all_of_them():
    done: list[tuple[int, bool]] = []
    main = threading.get_ident()
    with Events().progress(20, "files") as progress:
        with write_behind(progress) as write:
            for number in range(20):
                write(lambda number=number: done.append((number, threading.get_ident() == main)))
        assert progress.done == 20
    assert done == [(number, False) for number in range(20)]


def test_an_error_of_a_write_comes_up():
    def fail() -> None:
        raise OSError("disk is full")

    with Events().progress(1, "files") as progress, pytest.raises(OSError, match="disk is full"):
        with write_behind(progress) as write:
            write(fail)
    assert progress.done == 0


def test_what_was_handed_over_before_an_error_is_written():
    done: list[int] = []
    with Events().progress(3, "files") as progress, pytest.raises(KeyError):
        with write_behind(progress) as write:
            for number in range(3):
                write(lambda number=number: done.append(number))
            raise KeyError
    assert done == [0, 1, 2]
