"""Cores, memory, disk, and the limits that a container or a shell sets."""

import os
import resource
import shutil
from pathlib import Path
from typing import Any

from pipelines.machine.advice import Advice, advice

CGROUPS = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
GB = 1e9
LEAST_MEMORY = 4 * GB
"""Free memory in bytes under which a training may not fit."""
LEAST_DISK = 5 * GB
"""Free disk in bytes under which runs and labels may not fit."""
LEAST_FILES = 1024
"""Open files that loaders and processes may need."""


def processor(groups: Path = CGROUPS) -> dict[str, Any]:
    """Return {cores, usable, quota, threads_asked, load}.

    `cores` counts the machine's, `usable` those that this process may run on, `quota` the share that the container
    grants, or None. `threads_asked` is OMP_NUM_THREADS, or None. `load` is the number of programs that wanted to
    compute in the last minute, or None.

    Args:
        groups: Folder of the control groups.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return {
        "cores": os.cpu_count() or 1,
        "usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "quota": core_quota(groups),
        "threads_asked": int(asked) if asked.isdecimal() else None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def core_quota(groups: Path) -> float | None:
    """Return how many cores a container grants; None without such a limit."""
    words = _first_words(groups / "cpu.max")  # version 2 of control groups
    if len(words) != 2:
        quota = _first_words(groups / "cpu" / "cpu.cfs_quota_us")
        words = [*quota[:1], *_first_words(groups / "cpu" / "cpu.cfs_period_us")[:1]]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return None
    return round(int(words[0]) / int(words[1]), 2)


def memory(groups: Path = CGROUPS, file: Path = _MEMORY) -> dict[str, int | None]:
    """Return {total_bytes, free_bytes, limit_bytes}: of the machine, and what the container grants, or None."""
    lines = dict(line.split(":", 1) for line in _text(file).splitlines() if ":" in line)
    total, free = (_kilobytes(lines.get(name, "")) for name in ("MemTotal", "MemAvailable"))
    words = _first_words(groups / "memory.max") or _first_words(groups / "memory" / "memory.limit_in_bytes")
    limit = int(words[0]) if words and words[0].isdecimal() else None
    return {
        "total_bytes": total,
        "free_bytes": free,
        "limit_bytes": None if limit is None or (total is not None and limit >= total) else limit,
    }


def disk(folder: Path) -> dict[str, int]:
    """Return {total_bytes, free_bytes} of the disk of a folder."""
    usage = shutil.disk_usage(folder)
    return {"total_bytes": usage.total, "free_bytes": usage.free}


def limits() -> dict[str, int | None]:
    """Return {open_files, file_bytes, memory_bytes, processes}, the limits of this process; None for no limit."""
    kinds = {
        "open_files": resource.RLIMIT_NOFILE,
        "file_bytes": resource.RLIMIT_FSIZE,
        "memory_bytes": resource.RLIMIT_AS,
        "processes": resource.RLIMIT_NPROC,
    }
    soft = {name: resource.getrlimit(kind)[0] for name, kind in kinds.items()}
    return {name: None if value == resource.RLIM_INFINITY else value for name, value in soft.items()}


def limit_advice(
    cpu: dict[str, Any], memory: dict[str, int | None], disk: dict[str, int], limits: dict[str, int | None]
) -> list[Advice]:
    """Return what is wrong with the limits; the arguments are what the functions of this module return."""
    told = []
    usable = min(cpu["usable"], cpu["quota"] or cpu["usable"])
    threads = cpu["threads_asked"] or cpu["usable"]
    if threads > usable:
        found = f"processor: {threads} threads for {usable:g} cores"
        remedy = f"export OMP_NUM_THREADS={max(1, int(usable))}, or threads wait for each other"
        told.append(advice("threads-many", found, "no more threads than cores", remedy))
    if cpu["load"] is not None and cpu["load"] > 0.5 * cpu["cores"] + 0.5:
        found = f"processor: {cpu['load']:g} programs at work on {cpu['cores']} cores in the last minute"
        told.append(advice("machine-busy", found, "few others", "wait for them, or count on longer times"))
    free = min(size for size in (memory["free_bytes"], memory["limit_bytes"], 1 << 62) if size is not None)
    if free < LEAST_MEMORY:
        remedy = "close other programs, or take smaller --batch-size and --image-size"
        told.append(advice("memory-low", f"memory: {free / GB:.1f} GB to be had", "4 GB or more", remedy))
    if disk["free_bytes"] < LEAST_DISK:
        found = f"disk: {disk['free_bytes'] / GB:.1f} GB free in the current folder"
        told.append(advice("disk-low", found, "5 GB or more", "make room, or work on another disk"))
    return told + _shell_advice(limits)


def _shell_advice(limits: dict[str, int | None]) -> list[Advice]:
    told = []
    files, size, address = limits["open_files"], limits["file_bytes"], limits["memory_bytes"]
    if files is not None and files < LEAST_FILES:
        found = f"shell: {files} open files at most"
        told.append(advice("open-files-few", found, f"{LEAST_FILES} or more", f"ulimit -n {LEAST_FILES}"))
    if size is not None:
        found = f"shell: files of {size / GB:.2g} GB at most"
        told.append(advice("file-size-limited", found, "no limit", "ulimit -f unlimited, or checkpoints may not fit"))
    if address is not None:
        found = f"shell: {address / GB:.2g} GB of memory for a process at most"
        told.append(advice("memory-limited", found, "no limit", "ulimit -v unlimited, or torch may not start"))
    return told


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_words(path: Path) -> list[str]:
    return _text(path).split("\n")[0].split()


def _kilobytes(text: str) -> int | None:
    words = text.split()
    return int(words[0]) * 1024 if words and words[0].isdecimal() else None
