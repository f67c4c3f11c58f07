"""Real processes killed at random moments by SIGKILL, which nothing can catch."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipelines.data.shapes import write_instances, write_voc
from pipelines.engine.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

S4 = [sys.executable, "-c", "import sys; from s4cli.main import main; sys.exit(main())"]


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    # A thread count of its own: bit-equality is promised for equal thread counts.
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [*S4, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(*arguments: object) -> None:
    process = start(*arguments)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def kill_when(process: "subprocess.Popen[bytes]", reached: "callable", within: float = 300) -> None:
    """SIGKILL the process group a random moment after `reached()` holds."""
    limit = time.monotonic() + within
    while not reached():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < limit
        time.sleep(0.01)
    time.sleep(random.random() * 0.3)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def files(folder: Path) -> dict[str, bytes]:
    # The page tells how long the work took.
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "report.html")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder / "instances", 12, "train", seed=0, side=96)
    write_voc(folder / "voc", 40, 2, seed=1, side=96)
    return folder


def train_arguments(scenes: Path, run: Path) -> list[object]:
    instances = scenes / "instances"
    return [
        "train", "--images", instances / "images", "--annotations", instances / "train.json", "--run", run,
        "--trunk", "efficientnet_lite0", "--trunk-weights", "none", "--steps", 24, "--batch-size", 2,
        "--image-size", 96, "--precision", "fp32",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole_run(scenes) -> Path:
    run = scenes / "whole"
    finish(*train_arguments(scenes, run))
    return run


def test_train_killed_three_times_ends_with_the_weights_of_the_unbroken_run(scenes, whole_run):
    run = scenes / "killed"

    def steps() -> int:
        status = run / "status.json"
        return json.loads(status.read_text())["step"] if status.exists() else 0

    arguments: list[object] = [*train_arguments(scenes, run)]
    for goal in (0, 4, 12):  # before the first checkpoint, and after some
        process = start(*arguments)
        arguments = [*train_arguments(scenes, run), "--resume"]
        kill_when(process, lambda goal=goal: (run / "config.json").exists() and steps() >= goal)
    finish(*arguments)
    one, two = (load_checkpoint(path / "checkpoints" / "last.pt") for path in (whole_run, run))
    assert one["step"] == two["step"] == 24
    assert all(torch.equal(one["model"][key], two["model"][key]) for key in one["model"])
    assert (whole_run / "metrics.jsonl").read_text() == (run / "metrics.jsonl").read_text()


def test_pseudo_label_killed_at_three_random_moments_leaves_identical_bytes(scenes, whole_run):
    voc = scenes / "voc"

    def arguments(out: Path) -> list[object]:
        return [
            "pseudo-label", "--images", voc / "JPEGImages", "--weights", whole_run, "--out", out,
            "--keywords", voc / "keywords_train.csv", "--classes", voc / "classes.txt", "--min-score", 0.01,
        ]  # fmt: skip

    whole, broken = scenes / "labels_whole", scenes / "labels_broken"
    finish(*arguments(whole))
    for kill in range(3):
        process = start(*arguments(broken))
        goal = 5 + 10 * kill
        kill_when(process, lambda goal=goal: len(list((broken / "labels").glob("*.png"))) >= goal)
        # Whatever is there under a final name is whole.
        for path in (broken / "labels").glob("*.png"):
            assert path.read_bytes() == (whole / "labels" / path.name).read_bytes()
    finish(*arguments(broken))
    assert files(whole) == files(broken)
    assert json.loads((whole / "manifest.json").read_text())["kind"] == "pseudo"


def test_sigterm_saves_and_exits_75(scenes):
    run = scenes / "asked"
    process = start(*train_arguments(scenes, run))
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors.decode()
    assert b"--resume" in errors
    finish(*train_arguments(scenes, run), "--resume")
