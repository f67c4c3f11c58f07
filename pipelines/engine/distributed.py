"""One process or several: rank and world size come from the environment, as torchrun and `launch` set it."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipelines.engine.signals import StopRequest
from pipelines.errors import MachineError

MEETING = "S4_MEETING"
"""Variable of the environment that names the file through which processes find each other; torchrun has its own way."""
# Process 0 alone evaluates, and the others wait.
_LONGEST_WAIT = timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """This process among those of the training.

    Attributes:
        rank: Number of this process. Process 0 writes files.
        world: Number of processes.
        device: Device on which this process computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model with gradients averaged over the processes, or the model itself if there is one."""
        if self.world == 1:
            return model
        return DistributedDataParallel(model, device_ids=[self.device] if self.device.type == "cuda" else None)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process.

        So all processes leave the loop together. One that left it alone would hang the others.
        """
        if self.world == 1:
            return flag
        value = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()


ALONE = Processes(0, 1, torch.device("cpu"))
"""The only process, on the processor."""


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device of `--device`.

    Args:
        name: auto, cpu, cuda or cuda:N.
        local_rank: Number of this process on its machine. For "auto" and "cuda" it is the number of the GPU.

    Raises:
        MachineError: There is no GPU of the number asked for [device-missing].
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    index = int(name.partition(":")[2] or local_rank)
    if index >= torch.cuda.device_count():
        raise MachineError(
            f"--device {name}: {torch.cuda.device_count()} CUDA devices found, number {index} asked for; "
            "take --device cpu",
            "device-missing",
        )
    return torch.device("cuda", index)


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the other processes that torchrun or `launch` has started, or run alone.

    Args:
        device: Value of `--device`.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    # DistributedDataParallel imports this module, whose functions take the group that exists at that moment as a
    # default. Imported after the group was made, they would keep the group and its threads until the interpreter ends.
    # A thread that releases a tensor only then aborts the process.
    importlib.import_module("torch.distributed.nn.functional")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    meeting = os.environ.get(MEETING)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo",
        init_method=f"file://{meeting}" if meeting else "env://",
        rank=rank,
        world_size=world,
        timeout=_LONGEST_WAIT,
    )
    try:
        with StopRequest():  # a process that stopped alone, before the loop, would leave the others waiting
            yield Processes(rank, world, chosen)
    finally:
        dist.destroy_process_group()
