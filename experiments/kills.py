"""Kills commands with SIGKILL at random moments, starts them again, and compares the end with an unbroken run.

    OMP_NUM_THREADS=1 python experiments/kills.py train|deeplab-train|pseudo-label KILLS RUNS [--seed 0] [--folder DIR]

The kills are dealt out to the runs. A process that has imported everything forks a child for each start, so that kills
fall into the work, and not into the imports. Every second run writes slowly: each fsync waits, so that kills fall into
the saves. Labelling has 1, 2, 3 and 4 workers in turn. The moment is drawn anew for each kill, so that the kills of a
run lie all over the time that the unbroken run takes.

Told are kills, kills before the first file, files that are damaged, temporary files that are left, label maps that were
made twice, and in what a run ended otherwise. The exit status is 1 if a run ended otherwise.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402 - the root of the source must be on the path

import pipelines.deeplab_train  # noqa: E402
import pipelines.pseudo_label  # noqa: E402
import pipelines.train  # noqa: E402, F401
from pipelines.config import TrainConfig, to_json  # noqa: E402
from pipelines.data.shapes import write_instances, write_voc  # noqa: E402
from pipelines.engine.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from pipelines.errors import S4Error  # noqa: E402
from pipelines.networks.build import new_s4net  # noqa: E402
from s4cli.main import main as s4  # noqa: E402

SIDE, PICTURES, STEPS = 64, 48, 16
TRUNK = ["--trunk", "timm/mobilenetv3_small_050", "--trunk-weights", "none"]
REPORT = "report.html"  # tells the time
SLOW = 0.05  # seconds that an fsync of a slowed writer waits


def arguments(stage: str, data: Path, out: Path, workers: int) -> list[str]:
    """Return the command line of a stage."""
    voc, instances = data / "voc", data / "instances"
    lines: dict[str, list[Any]] = {
        "train": ["--images", instances / "images", "--annotations", instances / "train.json", "--run", out, *TRUNK,
                  "--steps", STEPS, "--batch-size", 2, "--image-size", SIDE, "--workers", workers],
        "deeplab-train": ["--images", voc / "JPEGImages", "--labels", voc / "SegmentationClass", "--labels-are",
                          "ground-truth", "--classes", voc / "classes.txt", "--run", out, "--trunk-weights", "none",
                          "--steps", STEPS, "--batch-size", 2, "--crop", 65, "--workers", workers],
        "pseudo-label": ["--images", voc / "JPEGImages", "--keywords", voc / "keywords_train.csv", "--classes",
                         voc / "classes.txt", "--weights", data / "net.pt", "--out", out, "--assign", "single",
                         "--min-score", 0.0, "--sure-score", 0.0, "--workers", workers],
    }  # fmt: skip
    return [stage, *map(str, lines[stage]), "--device", "cpu", "--precision", "fp32"]


def start(line: list[str], log: Path, slow: bool) -> int:
    """Fork a child that runs a command line, and return its process id, which is its group too."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if slow:
            real = os.fsync
            os.fsync = lambda fd: (time.sleep(SLOW), real(fd))[1]
        code = s4(line)
    finally:
        os._exit(code)


def finish(child: int, log: Path) -> None:
    """Wait for a child that has to succeed."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise SystemExit(f"exit {code}: {log.read_text(errors='replace')[-2000:]}")


def tensors(value: Any, path: str = "") -> dict[str, Any]:
    """Return every tensor and number of a checkpoint by its place, without times and paths."""
    if isinstance(value, dict):
        parts = [(str(key), one) for key, one in value.items() if key not in ("seconds", "config", "identity")]
    elif isinstance(value, list | tuple):
        parts = [(str(number), one) for number, one in enumerate(value)]
    else:
        return {path: value}
    return {name: one for key, part in parts for name, one in tensors(part, f"{path}/{key}").items()}


def same(one: Any, two: Any) -> bool:
    """Return whether two values of a checkpoint are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    return bool(one == two)


def differences(stage: str, whole: Path, broken: Path) -> list[str]:
    """Return the names of files, tensors and numbers in which two finished runs differ."""
    if stage == "pseudo-label":
        trees = [
            {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file() and path.name != REPORT
            }
            for folder in (whole, broken)
        ]
        return sorted(name for name in trees[0].keys() | trees[1].keys() if trees[0].get(name) != trees[1].get(name))
    one, two = (tensors(load_checkpoint(folder / "checkpoints" / "last.pt")) for folder in (whole, broken))
    names = [name for name in one.keys() | two.keys() if not same(one.get(name), two.get(name))]
    logs = [(folder / "metrics.jsonl").read_bytes() for folder in (whole, broken)]
    return names + ([] if logs[0] == logs[1] else ["metrics.jsonl"])


def labels_in(folder: Path) -> dict[str, int]:
    """Return the inode of each label map: another one is there after a second writing."""
    return {path.name: path.stat().st_ino for path in (folder / "labels").glob("*.png")}


def damage(stage: str, whole: Path, broken: Path) -> int:
    """Return how many files under a final name are not whole, after a kill."""
    if stage == "pseudo-label":
        maps = (broken / "labels").glob("*.png")
        return sum(path.read_bytes() != (whole / "labels" / path.name).read_bytes() for path in maps)
    damaged = 0
    for path in (broken / "checkpoints").glob("*.pt"):
        try:
            load_checkpoint(path)
        except S4Error:
            damaged += 1
    return damaged


def one_run(
    stage: str, line: Callable[[Path, int], list[str]], whole: Path, out: Path, kills: int, limit: float, number: int,
    generator: random.Random,
) -> dict[str, Any]:  # fmt: skip
    """Start, kill and finish one run."""
    told = {"kills": 0, "early": 0, "damaged": 0, "redone": 0}
    workers, log = 1 + number % 4, out.with_suffix(".log")
    while told["kills"] < kills:
        resume = ["--resume"] if stage != "pseudo-label" and (out / "config.json").exists() else []
        child = start([*line(out, workers), *resume], log, slow=number % 2 == 1)
        time.sleep(generator.uniform(0, 2 * limit / (kills + 1)))  # so that the run is not done before its last kill
        ended = os.waitpid(child, os.WNOHANG)[0] != 0
        if ended:  # the work was done before the moment came
            break
        before = labels_in(out)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told["kills"] += 1
        told["early"] += not out.exists()
        told["damaged"] += damage(stage, whole, out)
        told["redone"] += sum(labels_in(out).get(name) != inode for name, inode in before.items())
    left = labels_in(out)
    resume = ["--resume"] if stage != "pseudo-label" and (out / "config.json").exists() else []
    finish(start([*line(out, workers), *resume], log, slow=False), log)
    told["redone"] += sum(labels_in(out).get(name) != inode for name, inode in left.items())
    told["temporary"] = len(list(out.rglob("*.tmp")))
    told["differences"] = differences(stage, whole, out)
    return told


def main() -> int:
    """Run what the command line says, and print a line for each run and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["train", "deeplab-train", "pseudo-label"])
    parser.add_argument("kills", type=int)
    parser.add_argument("runs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    data = folder / "data"
    write_instances(data / "instances", 12, "train", seed=0, side=SIDE)
    write_voc(data / "voc", PICTURES, 4, seed=1, side=SIDE)
    config = TrainConfig(images=data, annotations=data, trunk=TRUNK[1], trunk_weights="none", image_size=SIDE)
    torch.manual_seed(0)
    state = new_s4net(config, pretrained=False).state_dict()
    save_checkpoint(data / "net.pt", {"kind": "s4net", "config": to_json(config), "model": state})

    def line(out: Path, workers: int) -> list[str]:
        return arguments(given.stage, data, out, workers)

    begin = time.monotonic()
    finish(start(line(folder / "whole", 1), folder / "whole.log", slow=False), folder / "whole.log")
    limit = time.monotonic() - begin
    print(f"{given.stage}: the unbroken run takes {limit:.1f} s", flush=True)
    generator = random.Random(given.seed)
    total = {"kills": 0, "damaged": 0, "redone": 0, "temporary": 0, "other ends": 0}
    for number in range(given.runs):
        kills = given.kills * (number + 1) // given.runs - given.kills * number // given.runs
        told = one_run(given.stage, line, folder / "whole", folder / f"run{number}", kills, limit, number, generator)
        print(json.dumps({"run": number, **told}), flush=True)
        for name in ("kills", "damaged", "redone", "temporary"):
            total[name] += told[name]
        total["other ends"] += bool(told["differences"])
    print(json.dumps(total))
    return int(bool(total["damaged"] or total["temporary"] or total["other ends"]))


if __name__ == "__main__":
    sys.exit(main())
