"""A real Ray cluster of two machines on this one: the bytes of the local engine, whatever dies."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import ray_nodes, ray_workers
from pipelines.engine.ray_workers import RayWorkers
from pipelines.errors import InputError, MachineError
from pipelines.events import Events
from s4cli.main import main
from tests.pipelines.engine import light_work
from tests.pipelines.engine.light_work import LightWork
from tests.reliability.label_command import (
    PICTURES,
    ROOT,
    files,
    finish,
    label,
    label_settings,
    made,
    predict,
    start,
    wait_until,
    write_scenes,
)

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray warns of itself

ROOM = {"num_cpus": 1, "object_store_memory": 80_000_000}


class Machines:
    """A cluster whose first machine only manages, and two that work, with a core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {**ROOM, "num_cpus": 0, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.workers = [self.cluster.add_node(**ROOM) for _ in range(2)]

    @property
    def engine(self) -> dict[str, str]:
        return {"engine": "ray", "ray_address": self.cluster.address}

    def remove_one(self) -> None:
        self.cluster.remove_node(self.workers.pop(), allow_graceful=False)

    def complete(self) -> None:
        while len(self.workers) < 2:
            self.workers.append(self.cluster.add_node(**ROOM))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Machines]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        patch.setenv("RAY_ENABLE_AUTO_CONNECT", "0")  # as `connect` does, which comes after the first import here
        patch.setenv("RAY_raylet_start_wait_time_s", "300")
        patch.setenv("RAY_worker_niceness", "0")  # else every other process of the machine goes first
        machines = Machines()
        yield machines
        machines.cluster.shutdown()


@pytest.fixture
def machines(cluster: Machines) -> Machines:
    cluster.complete()
    return cluster


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def whole(scenes: Path) -> Path:
    finish(label(scenes, "whole", workers=1))
    return scenes / "whole"


def actors() -> list[int]:
    """The processes of Ray that work on pictures."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = path.read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::MapWorker"):
            found.append(int(path.parent.name))
    return found


def answers(machines: Machines, out: Path, step: Callable, count: int = 41) -> tuple[dict[str, Any], LightWork]:
    work = LightWork()
    items = [(f"p{number}", number) for number in range(count)]
    with RayWorkers(work, machines.cluster.address, "cpu", None, [], out, Events()) as workers:
        return dict(workers.answers(step, items)), work


def test_two_machines_give_the_bytes_of_one_process(machines: Machines, scenes: Path, whole: Path):
    errors = finish(label(scenes, "ray", **machines.engine))
    assert "Ray: up to 2 processes of one thread each on 2 machines work on the pictures" in errors
    assert len(files(whole)) > 3 * PICTURES
    assert files(scenes / "ray") == files(whole)


def test_a_killed_process_and_a_lost_machine_change_nothing(machines: Machines, scenes: Path, whole: Path):
    out = scenes / "lost"
    process = label(scenes, "lost", **machines.engine)
    wait_until(process, lambda: made(out) >= 3)
    os.kill(actors()[0], signal.SIGKILL)
    wait_until(process, lambda: made(out) >= PICTURES + 3)  # in the second pass
    machines.remove_one()
    finish(process)
    assert files(out) == files(whole)


@pytest.fixture(scope="module")
def predicted(scenes: Path) -> Path:
    finish(predict(scenes, "predicted", workers=1))
    assert sorted(files(scenes / "predicted")) == ["instances.json", "records.jsonl", "settings.json"]
    return scenes / "predicted"


def test_predict_gives_the_bytes_of_one_process(machines: Machines, scenes: Path, predicted: Path):
    finish(predict(scenes, "predicted_ray", **machines.engine))
    assert files(scenes / "predicted_ray") == files(predicted)


def test_machines_work_at_an_address(machines: Machines, scenes: Path, whole: Path, predicted: Path):
    """The store is the disk under another name, which has none of the methods of a path of this machine."""
    place = f"local://{scenes}"
    voc, weights = f"{place}/voc", f"{place}/net.pt"
    where = {"images": f"{voc}/JPEGImages", "weights": weights, "device": "cpu", "precision": "fp32", **machines.engine}
    finish(start(scenes, "predict", where | {"out": f"{place}/predicted_there"}))
    assert files(scenes / "predicted_there") == files(predicted)
    where |= {"keywords": f"{voc}/keywords_train.csv", "classes": f"{voc}/classes.txt", "out": f"{place}/labels_there"}
    finish(start(scenes, "pseudo-label", label_settings(scenes, "labels_there") | where))
    expected, found = files(whole), files(scenes / "labels_there")
    assert json.loads(found.pop("pictures.json")) == {"images": f"{voc}/JPEGImages"}
    expected.pop("pictures.json")
    assert found == expected


def test_a_damaged_picture_is_a_recorded_failure(machines: Machines, scenes: Path):
    path = sorted((scenes / "voc" / "JPEGImages").iterdir())[7]
    content = path.read_bytes()
    path.write_bytes(content[:200])
    try:
        finish(predict(scenes, "damaged", workers=1), 4)
        finish(predict(scenes, "damaged_ray", **machines.engine), 4)
    finally:
        path.write_bytes(content)
    (failure,) = map(json.loads, (scenes / "damaged_ray" / "failures.jsonl").read_text().splitlines())
    assert (failure["image_id"], failure["rule"]) == (path.stem, "image-damaged")
    assert files(scenes / "damaged_ray") == files(scenes / "damaged")


def test_sigterm_keeps_what_was_done_and_the_same_command_goes_on(machines: Machines, scenes: Path, predicted: Path):
    out = scenes / "stopped"
    process = predict(scenes, "stopped", **machines.engine)
    wait_until(process, (out / "records.jsonl").exists)
    process.send_signal(signal.SIGTERM)
    assert "the same command" in finish(process, 75)
    assert 0 < len((out / "records.jsonl").read_text().splitlines()) < PICTURES
    finish(predict(scenes, "stopped", **machines.engine))
    assert files(out) == files(predicted)


def test_answers_notes_and_errors_are_those_of_local_processes(machines: Machines, tmp_path: Path):
    found, work = answers(machines, tmp_path / "out", light_work.square)
    damaged = found.pop("p7")
    assert isinstance(damaged, InputError) and damaged.rule == "image-damaged"
    assert {name: result[0] for name, result in found.items()} == {f"p{n}": n * n for n in range(41) if n != 7}
    assert sorted(work.heard) == sorted(f"p{number}" for number in range(41))
    assert not (tmp_path / "out").exists()  # nothing was written there


def test_a_picture_that_ends_its_process_each_time_is_a_failed_picture(machines: Machines, tmp_path: Path):
    found, _ = answers(machines, tmp_path, light_work.die)
    deadly = found.pop("p20")
    assert isinstance(deadly, InputError) and "3 processes died at work on this picture alone" in str(deadly)
    assert deadly.rule == "worker-died"
    assert found == {f"p{number}": number for number in range(41) if number != 20}


def test_an_error_that_is_no_fault_of_a_picture_ends_the_work(machines: Machines, tmp_path: Path):
    with pytest.raises(MachineError, match=r"\[disk-full\]") as caught:
        answers(machines, tmp_path, light_work.fail)
    assert "light_work.py" in caught.value.__notes__[0]


def test_a_machine_that_is_different_is_told_before_the_work(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = ray_nodes.Shared.found_here([("--weights", tmp_path)])
    other = replace(here, versions=here.versions | {"torch": "0.1"})
    monkeypatch.setattr(ray_workers.Shared, "found_here", lambda paths: other)
    with pytest.raises(MachineError, match=r"machine [\d.]+: torch 0.1 expected, .* found: .*\[ray-nodes\]"):
        answers(machines, tmp_path, light_work.square)


def test_a_cluster_that_is_not_there_is_told_at_once(
    machines: Machines, tmp_path: Path, scenes: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = [
        "predict",
        "--images",
        scenes / "voc" / "JPEGImages",
        "--weights",
        scenes / "net.pt",
        "--engine",
        "ray",
    ]
    arguments += ["--ray-address", "127.0.0.1:1", "--out", tmp_path / "out", "--json"]
    started = time.monotonic()
    assert main([*map(str, arguments)]) == 6
    assert time.monotonic() - started < 30  # Ray itself would try for more than a minute
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["rule"] == "ray-unreachable" and error["message"].startswith("--ray-address 127.0.0.1:1: ")
    assert not (tmp_path / "out").exists()
