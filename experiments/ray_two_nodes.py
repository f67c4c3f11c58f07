"""Label many small pictures on two Ray nodes of one machine, one of which is killed; compare with the local engine.

Run it as `python experiments/ray_two_nodes.py --folder DIR`. It needs the extra `ray`. The network is small and was
never trained: the run is about the engine. Each node has one core, and the local engine has two processes.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pipelines.config import TrainConfig, to_json
from pipelines.data.shapes import write_voc
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.networks.build import new_s4net

ROOM = {"num_cpus": 1, "object_store_memory": 100_000_000}


def write_scenes(folder: Path, pictures: int, side: int) -> None:
    """Write pictures with keywords, and a network, unless an earlier run did."""
    if (folder / "net.pt").exists():
        return
    write_voc(folder / "voc", pictures, 2, seed=1, side=side)
    config = TrainConfig(
        images=folder, annotations=folder / "none.json", trunk="efficientnet_lite0", trunk_weights="none", image_size=64
    )
    torch.manual_seed(0)
    net = new_s4net(config, pretrained=False)
    save_checkpoint(folder / "net.pt", {"kind": "s4net", "config": to_json(config), "model": net.state_dict()})


def label(folder: Path, out: Path, assign: str, engine: list[str]) -> "subprocess.Popen[bytes]":
    """Start `s4 pseudo-label`."""
    voc = folder / "voc"
    command = [
        "pseudo-label", voc / "JPEGImages", "--keywords", voc / "keywords_train.csv", "--classes", voc / "classes.txt",
        "--weights", folder / "net.pt", "--out", out, "--assign", assign, "--min-score", "0", "--sure-score", "0",
        "--trunk", "timm/mobilenetv3_small_050", "--trunk-weights", "none", "--recognise", "off", "--device", "cpu",
        "--precision", "fp32",
    ]  # fmt: skip
    return subprocess.Popen([sys.executable, "-m", "s4cli", *map(str, command), *engine])


def timed(process: "subprocess.Popen[bytes]", out: Path, when: int, then: Callable[[], object]) -> float:
    """Wait for a labelling, do something once a number of label maps is there, and return the seconds of all."""
    start = time.monotonic()
    while process.poll() is None and sum(1 for _ in out.glob("labels/*.png")) < when:
        time.sleep(0.2)
    then()
    if process.wait():
        sys.exit(f"s4 pseudo-label ended with {process.returncode}")
    return time.monotonic() - start


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def main() -> None:
    """Time the local engine, Ray on two nodes, and Ray with one of them killed; compare the files."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--pictures", type=int, default=2000)
    arguments.add_argument("--side", type=int, default=80)
    arguments.add_argument("--assign", default="single")
    given = arguments.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd(), "RAY_worker_niceness": "0"}
    write_scenes(given.folder, given.pictures, given.side)
    from ray.cluster_utils import Cluster

    outs = {name: given.folder / name for name in ("local", "ray", "killed")}
    local = timed(label(given.folder, outs["local"], given.assign, ["--workers", "2"]), outs["local"], 0, lambda: None)
    cluster = Cluster(initialize_head=True, head_node_args={**ROOM, "num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(**ROOM) for _ in range(2)]
        engine = ["--engine", "ray", "--ray-address", cluster.address]
        quiet = timed(label(given.folder, outs["ray"], given.assign, engine), outs["ray"], 0, lambda: None)

        def kill() -> None:
            cluster.remove_node(nodes[1], allow_graceful=False)

        half = given.pictures // 2
        lossy = timed(label(given.folder, outs["killed"], given.assign, engine), outs["killed"], half, kill)
    finally:
        cluster.shutdown()
    expected = files(outs["local"])
    print(f"{given.pictures} pictures of about {given.side} pixels, --assign {given.assign}, {len(expected)} files")
    print(f"local, 2 processes: {local:.1f} s")
    for name, seconds in (("ray", quiet), ("killed", lossy)):
        same = files(outs[name]) == expected
        print(f"{name}: {seconds:.1f} s, {seconds / local - 1:+.0%} against local, {'same' if same else 'OTHER'} bytes")
        if not same:
            sys.exit(1)


if __name__ == "__main__":
    main()
