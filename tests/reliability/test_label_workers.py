"""`s4 pseudo-label` with worker processes: the bytes of one process, and what happens to a process that dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines.config import TrainConfig, to_json
from pipelines.data.shapes import write_voc
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.networks.build import new_s4net

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PICTURES = 40
# A script of a user, without a guard: a process that imported it again would start processes for ever.
SCRIPT = """
import sys
from pathlib import Path
from pipelines.config import PseudoLabelConfig, resolve
from pipelines.events import Events
from pipelines.pseudo_label import pseudo_label

pseudo_label(resolve(PseudoLabelConfig, Path(sys.argv[1]), {}), Events())
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_voc(folder / "voc", PICTURES, 2, seed=1, side=96)
    config = TrainConfig(
        images=folder, annotations=folder / "none.json", trunk="efficientnet_lite0", trunk_weights="none", image_size=96
    )
    torch.manual_seed(0)
    net = new_s4net(config, pretrained=False)
    save_checkpoint(folder / "net.pt", {"kind": "s4net", "config": to_json(config), "model": net.state_dict()})
    return folder


@pytest.fixture(scope="module")
def whole(scenes: Path) -> Path:
    """The labels that one process makes, on a machine where libraries would take several threads."""
    finish(start(scenes, "whole", 1, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2"), 0)
    return scenes / "whole"


def start(scenes: Path, out: str, workers: int | None, script: bool = False, **environment: str) -> subprocess.Popen:
    voc = scenes / "voc"
    settings = {
        "images": voc / "JPEGImages", "keywords": voc / "keywords_train.csv", "classes": voc / "classes.txt",
        "weights": scenes / "net.pt", "out": scenes / out, "min-score": 0.0, "sure-score": 0.0, "assign": "graph",
        "cells": "on", "trunk": "timm/mobilenetv3_small_050", "trunk-weights": "none", "precision": "fp32",
        "device": "cpu",
    }  # fmt: skip
    if workers is not None:
        settings["workers"] = workers
    file = scenes / f"{out}.toml"
    file.write_text(
        "".join(
            f"{key.replace('-', '_')} = {json.dumps(str(v) if isinstance(v, Path) else v)}\n"
            for key, v in settings.items()
        )
    )
    (scenes / "script.py").write_text(SCRIPT)
    command = [scenes / "script.py", file] if script else ["-m", "s4cli", "pseudo-label", "--config", file]
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        cwd=scenes,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, code: int) -> str:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == code, errors
    return errors


def wait_until(process: subprocess.Popen, holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 600
    while not holds():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.01)


def files(folder: Path) -> dict[str, bytes]:
    # The page tells how long the work took.
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "report.html")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def workers_of(process: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path("/proc", pid, "cmdline").read_bytes()]


def made(folder: Path) -> int:
    return len(list(folder.rglob("*.npz"))) + len(list(folder.glob("labels/*.png")))


def test_two_processes_write_the_bytes_of_one(scenes: Path, whole: Path):
    errors = finish(start(scenes, "two", 2), 0)
    assert "2 processes of one thread each" in errors
    assert len(files(whole)) > 3 * PICTURES
    assert files(scenes / "two") == files(whole)


def test_a_script_without_guard_starts_no_more_processes_than_it_asks_for(scenes: Path, whole: Path):
    process = start(scenes, "script", 2, script=True)
    wait_until(process, lambda: made(scenes / "script") > 3)
    assert len(workers_of(process)) == 2
    finish(process, 0)
    assert files(scenes / "script") == files(whole)


def test_a_damaged_picture_fails_alone(scenes: Path, whole: Path):
    path = scenes / "voc" / "JPEGImages" / f"{(whole / 'labels').glob('*.png').__next__().stem}.jpg"
    content = path.read_bytes()
    path.write_bytes(content[:200])
    try:
        errors = finish(start(scenes, "damaged", 2), 4)
    finally:
        path.write_bytes(content)
    (failure,) = map(json.loads, (scenes / "damaged" / "failures.jsonl").read_text().splitlines())
    assert (failure["image_id"], failure["rule"]) == (path.stem, "image-damaged")
    # Once by the training of the attention network, once by the instances.
    assert errors.count(f"warning: {failure['message']}") == 1
    assert errors.count("warning: attention: left out") == 1
    records = [json.loads(line)["image_id"] for line in (scenes / "damaged" / "records.jsonl").read_text().splitlines()]
    assert records == [json.loads(line)["image_id"] for line in (whole / "records.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("goal", [5, PICTURES + 5], ids=["instances", "labels"])
def test_a_killed_worker_is_told_and_the_same_command_goes_on(scenes: Path, whole: Path, goal: int):
    out = scenes / f"killed{goal}"
    process = start(scenes, out.name, 2)
    wait_until(process, lambda: made(out) >= goal)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    errors = finish(process, 6)
    assert "was killed, perhaps because memory ran out, at work on one of" in errors and "[worker-died]" in errors
    assert made(out) >= goal
    finish(start(scenes, out.name, 2), 0)
    assert files(out) == files(whole)


@pytest.mark.parametrize("goal", [5, PICTURES + 5], ids=["instances", "labels"])
def test_sigterm_keeps_what_was_done_and_the_same_command_goes_on(scenes: Path, whole: Path, goal: int):
    out = scenes / f"stopped{goal}"
    process = start(scenes, out.name, 2)
    wait_until(process, lambda: made(out) >= goal)
    process.send_signal(signal.SIGTERM)
    errors = finish(process, 75)
    assert "stopped by a signal after" in errors
    before = made(out)
    assert goal <= before < 2 * PICTURES
    finish(start(scenes, out.name, None), 0)  # as many as there are cores
    assert files(out) == files(whole)
