"""Stages that `launch` runs in several processes; its processes import this module."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipelines.engine.distributed import processes
from pipelines.engine.signals import StopRequest
from pipelines.errors import DivergedError, MachineError, Stopped
from pipelines.events import Events


def add(folder: Path, events: Events) -> dict[str, Any]:
    with processes("cpu") as here:
        value = torch.tensor(10.0**here.rank)
        dist.all_reduce(value)
        events.info(f"said by {here.rank}")
        return {"rank": here.rank, "world": here.world, "sum": float(value), "threads": torch.get_num_threads()}


def diverge(folder: Path, events: Events) -> dict[str, Any]:
    with processes("cpu") as here:
        here.barrier()
        raise DivergedError("a: not finite, finite numbers expected; lower --lr", "not-finite")


def fill_the_disk_of_one(folder: Path, events: Events) -> dict[str, Any]:
    with processes("cpu") as here:
        if here.rank == 1:
            raise MachineError("b: no space left, room expected; free some", "disk-full")
        here.barrier()
        return {}


def fault(folder: Path, events: Events) -> dict[str, Any]:
    with processes("cpu") as here:
        if here.rank == 1:
            raise ZeroDivisionError("in process one")
        here.barrier()
        return {}


def die(folder: Path, events: Events) -> dict[str, Any]:
    with processes("cpu") as here:
        if here.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        here.barrier()
        return {}


def step(folder: Path, events: Events) -> dict[str, Any]:
    with processes("cpu") as here, StopRequest() as stop:
        (folder / f"begun{here.rank}").touch()
        while not here.any(stop.asked):
            time.sleep(0.01)
        raise Stopped(f"stopped, told by {here.rank}", "stopped")


def wait_alone(folder: Path, events: Events) -> dict[str, Any]:
    """Process 1 never comes to the meeting."""
    if os.environ["RANK"] == "1":
        (folder / "begun1").touch()
        time.sleep(600)
    (folder / "begun0").touch()
    with processes("cpu"):
        return {}
