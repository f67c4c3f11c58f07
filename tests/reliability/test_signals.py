"""Signals to real processes: every one ends with the promised exit code, in time, and leaves no process behind."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from pipelines.data.shapes import write_instances, write_voc
from pipelines.engine.checkpoint import load_checkpoint
from tests.reliability.command_line import ASKING, catches, ended, start, twice, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SEED = os.environ.get("S4_TEST_SEED", "0")  # of the moments; another one tries others
STOPPED = "error: stopped by a signal; what was saved is intact, start the same command again to go on [stopped]"
# A stage in the place of `s4 train`, whose main thread is in compiled code, and so takes no notice of any signal.
STAGE = """
import hashlib, sys, time, types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pipelines.engine.signals import StopRequest

def stage(config, events):
    with StopRequest() as stop, ThreadPoolExecutor(2) as pool:
        pool.submit(time.sleep, 20)
        Path("begun").touch()
        {work}
    return {{}}

module = types.ModuleType("pipelines.train")
module.train = stage
sys.modules["pipelines.train"] = module
from s4cli.main import main
sys.exit(main())
"""
COMPILED = 'hashlib.pbkdf2_hmac("sha256", b"p", b"s", 40_000_000)'
LOOP = "while not stop.asked: time.sleep(0.01)"
STUCK_BEFORE = STAGE.replace("with StopRequest() as stop, ThreadPoolExecutor", "with ThreadPoolExecutor")


def promised() -> float:
    """Seconds from a second Ctrl-C to the end: one, on a machine with a free core. Other processes take their share."""
    return 1.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def staged(folder: Path, work: str, stage: str = STAGE, *arguments: str):
    (folder / "images").mkdir()
    (folder / "a.json").touch()
    code = stage.format(work=work)
    process = start("train", "--images", "images", "--annotations", "a.json", *arguments, cwd=folder, code=code)
    wait_until(process, (folder / "begun").exists)
    return process


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_in_the_first_moment_ends_with_75(tmp_path: Path, number: signal.Signals) -> None:
    process = start("train", "--images", "none", "--annotations", "none", cwd=tmp_path)
    wait_until(process, lambda: catches(process))
    process.send_signal(number)
    code, errors, _ = ended(process)
    assert code == 75
    assert errors.strip() == STOPPED


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_the_first_ctrl_c_ends_for_good_what_does_not_go_on(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start("evaluate", "none", cwd=tmp_path)
    wait_until(process, lambda: catches(process))
    process.send_signal(number)
    assert ended(process)[0] == code


def test_a_second_ctrl_c_does_not_wait_for_compiled_code_and_threads(tmp_path: Path) -> None:
    code, errors, seconds = twice(staged(tmp_path, COMPILED, STAGE, "--json"), apart=0.3)
    assert (code, errors.strip()) == (130, "error: interrupted; what was saved so far is intact")
    assert seconds < promised()


def test_a_double_press_of_a_twentieth_of_a_second_counts_as_two(tmp_path: Path) -> None:
    code, _, seconds = twice(staged(tmp_path, COMPILED), apart=0.05)  # closer together, the system may make one of both
    assert code == 130 and seconds < promised()


@pytest.mark.slow
def test_a_signal_that_the_main_thread_cannot_take_ends_the_process_all_the_same(tmp_path: Path) -> None:
    process = staged(tmp_path, COMPILED, STUCK_BEFORE)
    process.send_signal(signal.SIGTERM)
    code, errors, seconds = ended(process)
    assert code == 75 and "[stopped]" in errors
    assert 2 < seconds < 5


@pytest.mark.slow
def test_work_in_steps_is_asked_and_ends_in_its_own_way(tmp_path: Path) -> None:
    process = staged(tmp_path, LOOP)
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.5)  # the loop has ended; the thread that still reads is not waited for
    code, _, seconds = twice(process, apart=0.1)
    assert code == 130 and seconds < promised()


@pytest.mark.slow
def test_under_torchrun_the_ctrl_c_that_it_hands_on_is_no_second_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    process = staged(tmp_path, LOOP)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(1.2)
    assert process.poll() is None  # waits for its thread
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130


@pytest.mark.slow
def test_a_signal_at_any_moment_of_the_imports_ends_with_75(tmp_path: Path) -> None:
    """Also where Python turns what is raised into an error of its own, as it does while a class is made."""
    (tmp_path / "images").mkdir()
    for moment in range(12):
        process = start("deeplab-train", "--images", "images", "--labels", "images", cwd=tmp_path)
        wait_until(process, lambda process=process: catches(process))
        time.sleep(0.025 * moment)
        process.send_signal(signal.SIGTERM)
        code, errors, _ = ended(process)
        assert code == 75, errors
        assert errors.strip().splitlines() == [STOPPED]


# A stage in the place of `s4 train` that is done at once, in a process that takes its time to end.
DONE = """
import os, sys, threading, time, types
from pathlib import Path

class TakenDownLate:  # as libraries are: after Python has given up its handlers
    def __del__(self, make=os.mkdir, sleep=time.sleep):
        make("ending")
        sleep(1)

def read():
    while not Path("printed").exists(): time.sleep(0.01)
    Path("ending").touch()
    time.sleep(30)

def stage(config, events):
    {work}
    return {{"failed": {failed}}}

module = types.ModuleType("pipelines.train")
module.train = stage
sys.modules["pipelines.train"] = module
from s4cli.main import main
code = main()
Path("printed").touch()
sys.exit(code)
"""
SLOW_END = "sys.ends = TakenDownLate()"
READS_ON = "threading.Thread(target=read).start()"


@pytest.mark.slow
@pytest.mark.parametrize("failed", [0, 1])
def test_signals_while_python_takes_itself_down_change_no_exit_code(tmp_path: Path, failed: int) -> None:
    process = done(tmp_path, SLOW_END, failed)
    for number in (*ASKING, *ASKING):
        process.send_signal(number)
    assert ended_with_result(process) == 4 * failed


@pytest.mark.slow
def test_after_the_result_a_signal_ends_threads_that_read_and_changes_no_exit_code(tmp_path: Path) -> None:
    process = done(tmp_path, READS_ON, 0)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended_with_result(process) == 0
    assert 2 < time.monotonic() - begun < 5


def test_after_the_result_a_second_ctrl_c_ends_threads_at_once(tmp_path: Path) -> None:
    process = done(tmp_path, READS_ON, 1)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert ended_with_result(process) == 4
    assert time.monotonic() - begun < promised()


def done(folder: Path, work: str, failed: int):
    """Start a stage that is done, and wait until its process is about to end."""
    (folder / "images").mkdir()
    (folder / "a.json").touch()
    code = DONE.format(work=work, failed=failed)
    process = start("train", "--images", "images", "--annotations", "a.json", "--json", cwd=folder, code=code)
    wait_until(process, (folder / "ending").exists)
    return process


def ended_with_result(process) -> int:
    """Exit code of a process that has printed its result, and no word of a signal."""
    output, errors = process.communicate(timeout=60)
    assert json.loads(output)["schema"] == "s4/train/1"
    assert "stopped" not in errors and "interrupted" not in errors and "Traceback" not in errors, errors
    return process.returncode


# A library whose import runs Python code from compiled code, which aborts where that code raises, as parts of torch do.
ABORTS = """
import os
from ctypes import CFUNCTYPE, pythonapi

@CFUNCTYPE(None)
def inside():
    try:
        os.mkdir("importing")
        while True: pass
    except BaseException:
        os.abort()

inside()
"""


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_while_a_library_is_imported_raises_nothing_there(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "aborting.py").write_text(ABORTS)
    process = staged(tmp_path, "sys.path.insert(0, '.'); import aborting", STUCK_BEFORE)
    wait_until(process, (tmp_path / "importing").exists)
    process.send_signal(number)
    code, errors, seconds = ended(process)
    assert code == 75 and errors.strip() == STOPPED
    assert seconds < promised()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes for every command, and a network of each kind with random weights."""
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder / "instances", 24, "train", seed=0, side=96)
    write_voc(folder / "voc", 40, 30, seed=1, side=96)
    for name in ("S4NET", "DEEPLAB"):
        process = start(*COMMANDS[name.lower()], cwd=folder)
        assert process.wait(300) == 0, process.communicate()
        process.communicate()
    return folder


SMALL = ("--precision", "fp32", "--device", "cpu", "--trunk-weights", "none")
COMMANDS: dict[str, tuple[object, ...]] = {
    "s4net": (
        "train", "--images", "instances/images", "--annotations", "instances/train.json", "--run", "s4net",
        "--trunk", "timm/mobilenetv3_small_050", "--steps", 1, "--batch-size", 2, "--image-size", 96, *SMALL,
    ),
    "deeplab": (
        "deeplab-train", "--images", "voc/JPEGImages", "--labels", "voc/SegmentationClass", "--labels-are",
        "ground-truth", "--classes", "voc/classes.txt", "--list", "voc/ImageSets/Segmentation/train.txt",
        "--run", "deeplab", "--steps", 1, "--batch-size", 2, "--crop", 65, *SMALL,
    ),
    "train": (
        "train", "--images", "instances/images", "--annotations", "instances/train.json",
        "--trunk", "efficientnet_lite0", "--steps", 400, "--batch-size", 4, "--image-size", 192, *SMALL,
    ),
    "deeplab-train": (
        "deeplab-train", "--images", "voc/JPEGImages", "--labels", "voc/SegmentationClass", "--labels-are",
        "ground-truth", "--classes", "voc/classes.txt", "--list", "voc/ImageSets/Segmentation/train.txt",
        "--steps", 400, "--batch-size", 4, "--crop", 129, *SMALL,
    ),
    "pseudo-label": (
        "pseudo-label", "--images", "voc/JPEGImages", "--weights", "s4net", "--keywords", "voc/keywords_train.csv",
        "--classes", "voc/classes.txt", "--min-score", 0.0, "--workers", 2, "--trunk", "timm/mobilenetv3_small_050",
        "--assign", "graph", *SMALL,
    ),
    "predict": ("predict", "voc/JPEGImages", "--weights", "deeplab", "--scales", "1,1.5,2,3", "--device", "cpu"),
    "evaluate": ("evaluate", "voc", "--weights", "deeplab", "--scales", "1,1.5,2,3", "--device", "cpu"),
    "run": ("run", "chain.toml"),
    "demo": ("demo", "--device", "cpu"),
}  # fmt: skip
CHAIN = """
[train]
images = "instances/images"
annotations = "instances/train.json"
trunk = "efficientnet_lite0"
trunk_weights = "none"
steps = 400
batch_size = 4
image_size = 192
device = "cpu"
[pseudo-label]
images = "voc/JPEGImages"
keywords = "voc/keywords_train.csv"
classes = "voc/classes.txt"
"""
OUT = {"train": "--run", "deeplab-train": "--run", "pseudo-label": "--out", "predict": "--out", "demo": "--out"}


def began(scenes: Path, command: str, out: str):
    """Start a command whose results go to a folder of its own."""
    arguments = [*COMMANDS[command]]
    if command == "run":
        (scenes / f"{out}.toml").write_text(CHAIN)  # the chain's folder has the name of the file
        arguments = ["run", f"{out}.toml"]
    elif command in OUT:
        arguments += [OUT[command], out]
    return start(*arguments, cwd=scenes)


def whole(path: Path) -> None:
    """Every checkpoint can be read, and every record."""
    for checkpoint in path.rglob("*.pt"):
        load_checkpoint(checkpoint)
    for record in path.rglob("*.json"):
        json.loads(record.read_text())


@pytest.mark.stress
@pytest.mark.parametrize("command", ["train", "deeplab-train", "pseudo-label", "predict", "evaluate", "run", "demo"])
@pytest.mark.parametrize("part", range(3))
def test_a_second_ctrl_c_ends_every_command_within_a_second(scenes: Path, command: str, part: int) -> None:
    """At random moments of the imports, the start and the work."""
    chance = random.Random(f"{SEED} {command} {part}")
    for turn in range(3):
        out = f"{command}-{part}-{turn}"
        process = began(scenes, command, out)
        wait_until(process, lambda process=process: catches(process))
        time.sleep(chance.uniform(3 * part, 3 * part + 3))
        if process.poll() is not None:
            process.communicate()
            continue
        code, errors, seconds = twice(process, apart=chance.uniform(0.05, 0.3))
        # The first one may have ended all before the second one came, and the work may have been done before both.
        done = code == 0 and "(100 %)" in errors
        assert done or code in ((130,) if command == "evaluate" else (130, 75)), errors
        assert seconds < promised()
        whole(scenes / out)


@pytest.mark.stress
@pytest.mark.parametrize("number", ASKING)
@pytest.mark.parametrize("command", ["train", "deeplab-train", "pseudo-label", "predict", "run"])
def test_a_signal_at_any_moment_ends_with_75_and_the_command_goes_on(
    scenes: Path, command: str, number: signal.Signals
) -> None:
    chance = random.Random(f"{SEED} {command} {number}")
    for turn in range(4):
        out = f"{command}-{number}-{turn}"
        process = began(scenes, command, out)
        wait_until(process, lambda process=process: catches(process))
        time.sleep(chance.uniform(2 * turn, 2 * turn + 2))
        if process.poll() is not None:
            process.communicate()
            continue
        process.send_signal(number)
        code, errors, seconds = ended(process)
        assert code in (75, 0), errors
        assert seconds < 6
        whole(scenes / out)
        run = scenes / out
        if command in ("train", "deeplab-train") and code == 75:
            begun = (run / "config.json").exists()
            assert ("--resume" in errors) is begun, errors
            assert (run / "checkpoints" / "last.pt").exists() is begun
