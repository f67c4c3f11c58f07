"""A stage that is watched for a few items."""

from collections.abc import Iterator

import pytest

from pipelines.engine.rehearsal import Rehearsal, rehearse
from pipelines.errors import InputError, Stopped
from pipelines.events import Events


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def loop(events: Events, clock: Clock, durations: list[float], label: str = "train", done: int = 0) -> Iterator[int]:
    with events.progress(done + len(durations), label, done) as progress:
        for duration in durations:
            clock.now += duration
            progress.advance(loss=1.0)
            yield progress.done


def watched(durations: list[float], most: int | None, seconds: float) -> tuple[int, dict[str, float]]:
    """How many items were done, and the seconds for one."""
    clock = Clock()
    rehearsal = Rehearsal(most, seconds, clock)
    try:
        list(loop(rehearsal, clock, durations, done=100))
    except Exception as error:
        assert type(error).__name__ == "_Enough"
    return rehearsal.marks["train"][-1][1] - 100, rehearsal.seconds_per_item()


@pytest.mark.parametrize(
    ("durations", "most", "seconds", "expected"),
    [
        ([9.0, 1.0, 2.0, 3.0, 50.0], 3, 99.0, (4, {"train": 2.0})),  # the first item is not counted: (1 + 2 + 3) / 3
        ([9.0, 4.0, 4.0], 3, 99.0, (3, {"train": 4.0})),  # the loop ends by itself
        ([30.0, 1.0], 3, 20.0, (1, {"train": 30.0})),  # so slow that one item is enough
        ([5.0, 6.0, 12.0, 1.0], 9, 20.0, (3, {"train": 9.0})),  # enough after 23 s: (6 + 12) / 2
        ([5.0, 1.0, 3.0], None, 0.0, (3, {"train": 3.0})),  # never enough: (5 + 1 + 3) / 3
        ([], 3, 20.0, (0, {})),
    ],
)
def test_the_time_of_an_item(
    durations: list[float], most: int | None, seconds: float, expected: tuple[int, dict[str, float]]
) -> None:
    assert watched(durations, most, seconds) == expected


def test_each_loop_is_timed_and_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def stage(events: Events) -> None:
        events.info("begins")
        for label in ("instances", "labels"):
            with events.progress(2, label) as progress:
                progress.advance()
                progress.advance()

    assert set(rehearse(stage, most=None)) == {"instances", "labels"}
    assert capsys.readouterr() == ("", "")


def test_errors_of_the_stage_go_on_and_a_signal_says_that_nothing_was_written() -> None:
    def failing(error: Exception) -> None:
        raise error

    with pytest.raises(InputError, match="damaged"):
        rehearse(lambda events: failing(InputError("damaged", "image-damaged")))
    with pytest.raises(Stopped, match=r"nothing was written.*\[stopped\]"):
        rehearse(lambda events: failing(Stopped("at step 3; --resume goes on", "stopped")))
