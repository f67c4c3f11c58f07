"""Batches of pictures that end the process of a worker; stand-ins take the place of the engines."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.engine.picture_steps import one_by_one
from pipelines.engine.ray_workers import deadly
from pipelines.errors import InputError, MachineError
from pipelines.networks import load
from pipelines.prediction import answers
from tests.pipelines.fake_networks import FOLDERS, FakeS4Net, run, write_pictures


class RayLike:
    """Answers as `RayWorkers` does: processes die at some pictures, and others take their place."""

    def __init__(self, work: Any, deadly_ones: Sequence[str]) -> None:
        self._work, self._deadly = work, deadly_ones
        self.asked: list[list[str]] = []

    def __enter__(self) -> "RayLike":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def answers(self, step: Any, items: Sequence[Any], stop: Callable[[], bool]) -> Iterator[tuple[str, Any]]:
        self.asked.append([name for name, _ in items])
        dead = [name for name, given in items if self._kills(name, given)]
        yield from one_by_one(step, self._work, [item for item in items if item[0] not in dead], stop)
        if len(dead) == len(items):
            raise MachineError(f"--engine ray: every process died at work on {dead[0]}", "worker-died")
        yield from ((name, deadly(name)) for name in dead)

    def _kills(self, name: str, given: Any) -> bool:
        members = [each for each, _ in given] if isinstance(given, list) else [name]
        return not set(self._deadly).isdisjoint(members)


Ray = Callable[..., list[RayLike]]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    """Given the deadly pictures, puts the stand-in into place; returns those that were made."""
    made: list[RayLike] = []

    def use(*deadly_ones: str) -> list[RayLike]:
        def opened(config: Any, work: Any, pictures: Any, events: Any) -> RayLike:
            made.append(RayLike(work, deadly_ones))
            return made[-1]

        monkeypatch.setattr(answers, "open_workers", opened)
        monkeypatch.setattr("pipelines.config.predict.require_engine", lambda *given: None)
        return made

    return use


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: FakeS4Net())
    return write_pictures(tmp_path)


def counts(result: dict[str, Any]) -> tuple[int, int, int]:
    return result["images"], result["written"], result["failed"]


def failed_of(root: Path) -> list[str]:
    return [line.split('"')[3] for line in (root / "out" / "failures.jsonl").read_text().splitlines()]


def test_of_a_batch_that_ends_its_process_the_deadly_picture_fails_alone(root: Path, ray: Ray) -> None:
    made = ray("b")
    # The batches are a and b, e and sub/c, sub/d.
    assert counts(run(root, kind="s4net", batch_size=2, engine="ray")) == (5, 4, 1)
    assert made[0].asked == [["a with 1 other", "e with 1 other", "sub/d"], ["a", "b"]]
    assert failed_of(root) == ["b"] and (root / "out" / "instances.json").is_file()  # the folder is complete


def test_if_each_picture_of_a_batch_is_deadly_each_fails(root: Path, ray: Ray) -> None:
    ray("a", "b", "sub/d")
    assert counts(run(root, kind="s4net", batch_size=2, engine="ray")) == (5, 2, 3)
    assert failed_of(root) == ["a", "b", "sub/d"]


def test_if_every_batch_ends_its_process_pictures_are_tried_alone(root: Path, ray: Ray) -> None:
    ray("sub/c")
    assert counts(run(root, kind="s4net", batch_size=len(FOLDERS), engine="ray")) == (5, 4, 1)


def test_if_every_picture_ends_its_process_no_picture_is_blamed(root: Path, ray: Ray) -> None:
    ray(*FOLDERS)
    with pytest.raises(MachineError, match=r"\[worker-died\]"):
        run(root, kind="s4net", batch_size=2, engine="ray")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_network_that_refuses_a_batch_is_asked_for_its_pictures_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    class Refusing(FakeS4Net):
        def together(self, pictures: Any) -> Any:
            raise InputError("weights: no batches, single pictures expected", "weights-damaged")

    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: Refusing())
    monkeypatch.setattr(answers, "choose_device", lambda name: torch.device(device))
    assert counts(run(root, kind="s4net", batch_size=2)) == (5, 5, 0)


def test_a_dead_process_of_this_machine_ends_the_command_with_the_size_of_its_batch(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Local:
        calls = 0

        def answers(self, step: Any, items: Sequence[Any], stop: Callable[[], bool]) -> Iterator[tuple[str, Any]]:
            Local.calls += 1
            yield from ()
            raise MachineError(f"--workers 2: a process was killed, at work on one of {items[0][0]}", "worker-died")

    monkeypatch.setattr(answers, "open_workers", lambda *given: nullcontext(Local()))
    with pytest.raises(MachineError, match="at work on one of a with 2 others"):
        run(root, kind="s4net", batch_size=3)
    assert Local.calls == 1


def test_a_picture_without_a_record_does_not_count_as_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(RayLike):
        def answers(self, step: Any, items: Sequence[Any], stop: Callable[[], bool]) -> Iterator[tuple[str, Any]]:
            yield from one_by_one(step, self._work, items[1:], stop)

    monkeypatch.setattr(answers, "open_workers", lambda config, work, *given: Forgetful(work, ()))
    assert counts(run(root, kind="s4net")) == (5, 4, 0)
