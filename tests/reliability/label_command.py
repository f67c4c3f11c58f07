"""Scenes, a small network, and `s4 pseudo-label` as a process, for the tests of engines."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipelines.config import TrainConfig, to_json
from pipelines.data.shapes import write_voc
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.networks.build import new_s4net

ROOT = Path(__file__).parents[2]
PICTURES = 40


def write_scenes(folder: Path, pictures: int = PICTURES) -> Path:
    """Write pictures with keywords to `folder/voc`, and a network that was never trained to `folder/net.pt`."""
    write_voc(folder / "voc", pictures, 2, seed=1, side=96)
    config = TrainConfig(
        images=folder, annotations=folder / "none.json", trunk="efficientnet_lite0", trunk_weights="none", image_size=96
    )
    torch.manual_seed(0)
    net = new_s4net(config, pretrained=False)
    save_checkpoint(folder / "net.pt", {"kind": "s4net", "config": to_json(config), "model": net.state_dict()})
    return folder


def label_settings(scenes: Path, out: str, **more: Any) -> dict[str, Any]:
    """Settings of a labelling in two passes, which trains an attention network first."""
    voc = scenes / "voc"
    return {
        "images": voc / "JPEGImages", "keywords": voc / "keywords_train.csv", "classes": voc / "classes.txt",
        "weights": scenes / "net.pt", "out": scenes / out, "min_score": 0.0, "sure_score": 0.0, "assign": "graph",
        "cells": "on", "trunk": "timm/mobilenetv3_small_050", "trunk_weights": "none", "precision": "fp32",
        "device": "cpu",
    } | more  # fmt: skip


def start(scenes: Path, command: str, settings: dict[str, Any]) -> "subprocess.Popen[str]":
    """Start a command with a settings file; every library computes with one thread."""
    file = scenes / f"{Path(settings['out']).name}.toml"
    lines = (f"{key} = {json.dumps(str(v) if isinstance(v, Path) else v)}\n" for key, v in settings.items())
    file.write_text("".join(lines))
    return subprocess.Popen(
        [sys.executable, "-m", "s4cli", command, "--config", str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=scenes,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def label(scenes: Path, out: str, **more: Any) -> "subprocess.Popen[str]":
    return start(scenes, "pseudo-label", label_settings(scenes, out, **more))


def predict(scenes: Path, out: str, **more: Any) -> "subprocess.Popen[str]":
    settings = {"images": scenes / "voc" / "JPEGImages", "weights": scenes / "net.pt", "out": scenes / out}
    return start(scenes, "predict", settings | {"device": "cpu", "precision": "fp32"} | more)


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == code, errors
    return errors


def wait_until(process: "subprocess.Popen[str]", holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 600
    while not holds():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.01)


def files(folder: Path) -> dict[str, bytes]:
    # The page tells how long the work took.
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "report.html")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def made(folder: Path) -> int:
    """How many steps were done: cues found, and pictures labelled."""
    return len(list(folder.rglob("*.npz"))) + len(list(folder.glob("labels/*.png")))
