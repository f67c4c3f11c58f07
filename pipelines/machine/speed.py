"""Devices of torch, and how fast small products of matrices are: with one thread and many, in fp32 and bf16."""

import time
from pathlib import Path
from typing import Any

import torch

from pipelines.engine.precision import uses_bf16
from pipelines.engine.threads import cores
from pipelines.machine.advice import Advice, advice

_SIDE = 512
_SECONDS = 0.3  # of each measurement
_LEAST_GAIN = 1.2  # that several threads should bring
_LEAST_CORES = 2
_DRIVER = Path("/proc/driver/nvidia/version")


def devices(driver: Path = _DRIVER) -> dict[str, Any]:
    """Return {cpu, cuda, bf16_fast, driver}: names of the devices, whether bf16 is fast on the one that is taken.

    Args:
        driver: A file that is there where an NVIDIA driver is.
    """
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    device = torch.device("cuda" if names else "cpu")
    return {
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cuda": names,
        "bf16_fast": uses_bf16("auto", device),
        "driver": driver.is_file(),
    }


def device_advice(found: dict[str, Any]) -> list[Advice]:
    """Return what is wrong with the devices: `found` is as `devices` returns it."""
    if not found["driver"] or found["cuda"]:
        return []
    remedy = "install torch with CUDA, or pass --device cpu on purpose"
    return [
        advice("gpu-unused", "device: an NVIDIA driver is here, but torch sees no GPU", "a torch that does", remedy)
    ]


def thread_speed() -> dict[str, float]:
    """Return {threads, one, all, bf16}: gigaflops of a product of 512 x 512 matrices in fp32, and in bf16 with all."""
    before, many = torch.get_num_threads(), cores()
    try:
        rates = []
        for threads in (1, many):
            torch.set_num_threads(threads)
            rates.append(_rate(torch.float32))
        return {"threads": many, "one": rates[0], "all": rates[1], "bf16": _rate(torch.bfloat16)}
    finally:
        torch.set_num_threads(before)


def _rate(dtype: torch.dtype) -> float:
    matrix = torch.ones(_SIDE, _SIDE, dtype=dtype)
    matrix @ matrix  # the first product prepares the threads
    count, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < _SECONDS:
        matrix @ matrix
        count += 1
    return round(2 * _SIDE**3 * count / seconds / 1e9, 1)


def speed_advice(found: dict[str, float]) -> list[Advice]:
    """Return what is wrong with the speed: `found` is as `thread_speed` returns it."""
    if found["threads"] < _LEAST_CORES or found["all"] >= _LEAST_GAIN * found["one"]:
        return []
    what = f"processor: {found['threads']:g} threads compute {found['all']:g} gigaflops, one thread {found['one']:g}"
    remedy = "other programs keep the cores busy: export OMP_NUM_THREADS=1, or wait for them"
    return [advice("threads-slow", what, "more with more threads", remedy)]
