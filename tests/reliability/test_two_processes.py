"""Two processes and one folder: the second is refused, and the folder of a killed process is taken over."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.data.shapes import write_instances, write_voc
from s4cli.main import main
from tests.pipelines.holder import held_by_another
from tests.s4cli.stages import NEEDED

ROOT = Path(__file__).parents[2]
_S4 = [sys.executable, "-c", "import sys; from s4cli.main import main; sys.exit(main())"]
LOCK = ".s4-lock"
NETWORK = [
    "--trunk",
    "timm/mobilenetv3_small_050",
    "--trunk-weights",
    "none",
    "--image-size",
    "64",
    "--batch-size",
    "2",
]


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("train", "r"),
        ("pseudo-label", "o"),
        ("deeplab-train", "r"),
        ("predict", "o"),
        ("demo", "demo"),
        ("ablate", "o"),
        ("explain", "o"),
        ("run", "chain"),
    ],
)
def test_a_folder_at_work_is_refused_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("i", "l"):
        Path(name).mkdir()
    for name in ("a", "t", "w"):
        Path(name).touch()
    Path("chain.toml").write_text("[train]\nimages = 'i'\nannotations = 'a'\n")
    arguments = ["chain.toml"] if command == "run" else NEEDED[command]
    if command == "train":  # a run that has begun: `--resume` would be no help
        Path("r").mkdir()
        Path("r/config.json").write_text("{}")
    with held_by_another(tmp_path / place) as process:
        assert main([command, *arguments]) == 2
        captured = capsys.readouterr()
        (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert f"process {process.pid} on {platform.node()}, since 20" in line
        assert line.endswith("[folder-busy]")
        assert captured.out == ""


def test_the_file_of_a_conversion_is_held_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("i").mkdir()
    with held_by_another(tmp_path, file="o.csv"):
        assert main(["convert", *NEEDED["convert"]]) == 2
    assert "[folder-busy]" in capsys.readouterr().err


def start(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*_S4, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: "subprocess.Popen[str]", reached: Callable[[], bool]) -> None:
    limit = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.01)


def finish(*arguments: object, cwd: Path) -> tuple[int, str]:
    process = start(*arguments, cwd=cwd)
    _, err = process.communicate(timeout=600)
    return process.returncode, err


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder / "instances", 6, "train", seed=0, side=64)
    write_voc(folder / "voc", 30, 4, seed=1, side=64)
    chain = (
        "workers = 0\n[train]\nimages = 'instances/images'\nannotations = 'instances/train.json'\nsteps = 40\n"
        "trunk = 'timm/mobilenetv3_small_050'\ntrunk_weights = 'none'\nimage_size = 64\nbatch_size = 2\n"
    )
    (folder / "chain.toml").write_text(chain)
    assert finish(*lines(1)["train"], cwd=folder)[0] == 0
    label = [*lines(1)["pseudo-label"], "--out", "ready"]
    assert finish(*label, cwd=folder)[0] == 0
    return folder


def lines(steps: int) -> dict[str, list[object]]:
    """A command line for each command, each with enough work to be met in the middle."""
    voc = Path("voc")
    return {
        "train": [
            "train", "--images", "instances/images", "--annotations", "instances/train.json", "--steps", steps,
            "--workers", 0, *NETWORK,
        ],
        "deeplab-train": [
            "deeplab-train", "--labels", "ready", "--steps", steps, "--crop", 65, "--batch-size", 2, "--workers", 0,
            "--trunk-weights", "none",
        ],
        "pseudo-label": [
            "pseudo-label", voc / "JPEGImages", "--weights", "runs/s4net", "--keywords", voc / "keywords_train.csv",
            "--classes", voc / "classes.txt", "--assign", "single", "--workers", 0,
        ],
        "predict": ["predict", voc / "JPEGImages", "--weights", "runs/s4net", "--workers", 0],
        "run": ["run", "chain.toml"],
    }  # fmt: skip


PLACES = {
    "train": "runs/one", "deeplab-train": "runs/two", "pseudo-label": "labels", "predict": "seen", "run": "chain",
}  # fmt: skip


@pytest.mark.stress
@pytest.mark.parametrize("command", PLACES)
def test_of_two_processes_one_works_and_the_killed_one_is_followed(scenes: Path, command: str) -> None:
    place = scenes / PLACES[command]
    flag = "--run" if "train" in command else "--out"
    line = [*lines(60)[command], flag, PLACES[command]]
    first = start(*line, cwd=scenes)
    wait_for(first, (place / LOCK).exists)
    holder = json.loads((place / LOCK).read_text())
    assert (holder["pid"], holder["command"]) == (first.pid, f"s4 {command}")
    code, err = finish(*line, cwd=scenes)
    assert code == 2, err
    assert f"s4 {command} (process {first.pid} on {platform.node()}, since {holder['since']})" in err
    assert "[folder-busy]" in err
    assert first.poll() is None, "the first process must still be at work"
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert (place / LOCK).exists()
    begun = (place / "config.json").exists()
    code, err = finish(*line, *(["--resume"] if "train" in command and begun else []), cwd=scenes)
    assert code == 0, err
    assert f"process {first.pid} on {platform.node()}" in err
    assert "is gone, its lock is taken over" in err
    assert list(place.rglob(".*")) == []  # neither a lock nor a temporary file


@pytest.mark.stress
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stopped_training_leaves_no_lock(scenes: Path, number: signal.Signals) -> None:
    run = scenes / "runs" / number.name
    process = start(*lines(4000)["train"], "--run", run, cwd=scenes)
    wait_for(process, (run / "metrics.jsonl").exists)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert not (run / LOCK).exists()


@pytest.mark.stress
def test_shards_write_into_one_folder_at_once(scenes: Path) -> None:
    line = [*lines(1)["pseudo-label"], "--out", "shared", "--shard"]
    shards = [start(*line, f"{number}/3", cwd=scenes) for number in (1, 2, 3)]
    for process in shards:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    assert (scenes / "shared" / "manifest.json").exists()
    same = ("labels", "confidence")
    for name in same:
        whole = {path.name: path.read_bytes() for path in (scenes / "ready" / name).iterdir()}
        assert {path.name: path.read_bytes() for path in (scenes / "shared" / name).iterdir()} == whole
    assert list((scenes / "shared").rglob(".*")) == []
