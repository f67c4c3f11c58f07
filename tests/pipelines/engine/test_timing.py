from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.engine.timing import Neighbours, Sample, Stopwatch, Timing, interleave


class FakeClock:
    """Moves on when told; work on it takes exact times."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float, reported: float | None = None) -> Callable[[], float | None]:
        def run() -> float | None:
            self.log.append(name)
            self.now += seconds
            return reported

        return run


class FakeNeighbours(Neighbours):
    """Others take a constant number of cores."""

    def __init__(self, clock: FakeClock, cores: float | None) -> None:
        super().__init__(Path("absent"))
        self.clock, self.cores = clock, cores

    def seconds(self) -> float | None:
        return None if self.cores is None else 100 + self.cores * self.clock.now


def timing(*samples: tuple[float, float | None]) -> Timing:
    return Timing(tuple(Sample(seconds, others) for seconds, others in samples))


def test_works_take_turns_and_every_second_pass_runs_backwards() -> None:
    clock = FakeClock()
    works = {name: clock.work(name, 1.0) for name in "ABC"}
    passes: list[int] = []
    interleave(
        works,
        3,
        stopwatch=Stopwatch(clock, FakeNeighbours(clock, 0)),
        after_pass=lambda: passes.append(len(clock.log)),
    )
    warm_up, measured = "".join(clock.log[:6]), "".join(clock.log[6:])
    assert warm_up == "AABBCC"
    assert measured == "AABBCC" + "CCBBAA" + "AABBCC"  # the first of each pair is not counted
    assert passes == [12, 18, 24]


def test_what_the_first_call_after_another_work_costs_is_not_counted() -> None:
    clock = FakeClock()
    last: list[str] = []

    def work(name: str) -> Callable[[], None]:
        def run() -> None:
            clock.now += 1.0 if last == [name] else 5.0  # the other has driven out what was remembered
            last[:] = [name]

        return run

    times = interleave({name: work(name) for name in "AB"}, 2, stopwatch=Stopwatch(clock, FakeNeighbours(clock, 0)))
    assert [sample.seconds for sample in times["A"].samples] == [1.0, 1.0]


def test_short_work_is_called_until_a_sample_is_long_enough_and_the_mean_counts() -> None:
    clock = FakeClock()
    # 0.25 s / 0.0625 s = 4 calls a sample, exact in binary
    times = interleave({"short": clock.work("short", 0.0625)}, 2, stopwatch=Stopwatch(clock, FakeNeighbours(clock, 0)))
    assert len(clock.log) == 2 + 2 * (1 + 4)
    assert [sample.seconds for sample in times["short"].samples] == [0.0625, 0.0625]


def test_work_that_measures_itself_is_believed() -> None:
    clock = FakeClock()
    sample = Stopwatch(clock, FakeNeighbours(clock, 0.5)).time(clock.work("prepares", 2.0, reported=0.5), 1)
    assert (sample.seconds, sample.others) == (0.5, 0.5)  # but others are watched over the whole call


def test_the_clock_runs_until_the_device_is_done() -> None:
    clock = FakeClock()
    pending: list[float] = []

    def launch() -> None:
        pending.append(3.0)

    def wait() -> None:
        while pending:
            clock.now += pending.pop()

    launch()  # left over from before: must not count
    assert Stopwatch(clock, FakeNeighbours(clock, 0), wait).time(launch, 2).seconds == 3.0


def test_neighbours_are_all_that_is_busy_but_this_process(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    # user 100, nice 20, system 30, idle 1000, iowait 5, irq 6, softirq 7, steal 8, guest 50 (in user already), 0:
    # 100 + 20 + 30 + 6 + 7 + 8 = 171 hundredths of a second, of which 0.5 s are our own.
    stat.write_text("cpu  100 20 30 1000 5 6 7 8 50 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    assert Neighbours(stat, lambda: 0.5, ticks_per_second=100).seconds() == pytest.approx(1.21)


@pytest.mark.parametrize("content", [None, "", "cpu 1 2\n", "intr a b c d e f g h\n"])
def test_nothing_is_known_about_neighbours_without_counters(tmp_path: Path, content: str | None) -> None:
    stat = tmp_path / "stat"
    if content is not None:
        stat.write_text(content)
    clock = FakeClock()
    sample = Stopwatch(clock, Neighbours(stat, ticks_per_second=100)).time(clock.work("w", 1.0), 1)
    assert sample.others is None
    assert sample.is_clean
    assert Timing((sample,)).others is None


def test_coarse_counters_never_make_a_negative_share() -> None:
    clock = FakeClock()
    assert Stopwatch(clock, FakeNeighbours(clock, -0.1)).time(clock.work("w", 1.0), 1).others == 0


def test_this_process_is_no_neighbour_of_itself() -> None:
    neighbours = Neighbours()
    if neighbours.seconds() is None:
        pytest.skip("no counters on this system")
    used = sum(i * i for i in range(10))
    assert used == 285
    assert Stopwatch().time(lambda: None, 1).others is not None


def test_samples_beside_busy_neighbours_are_left_out() -> None:
    own = timing((1.0, 0.0), (9.0, 0.13), (2.0, 0.12), (9.0, 1.5), (3.0, 0.1))
    assert [sample.seconds for sample in own.kept] == [1.0, 2.0, 3.0]
    assert (own.seconds, own.is_noisy) == (2.0, False)
    assert own.others == pytest.approx((0 + 0.13 + 0.12 + 1.5 + 0.1) / 5)


def test_too_few_clean_samples_keep_all_and_say_so() -> None:
    own = timing((1.0, 0.0), (3.0, 0.5), (5.0, 0.5), (7.0, 0.0))
    assert (len(own.kept), own.seconds, own.is_noisy) == (4, 4.0, True)


def test_quartiles_are_linear_between_samples() -> None:
    # Places 0.75, 1.5 and 2.25 of (1, 2, 3, 4), counted from 0.
    assert timing((4.0, None), (1.0, None), (3.0, None), (2.0, None)).quartiles == (1.75, 2.5, 3.25)
    assert timing((5.0, None)).quartiles == (5.0, 5.0, 5.0)
