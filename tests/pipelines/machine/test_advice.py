"""What `s4 doctor` says of machines that are made up."""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import usual_places
from pipelines.machine import limits, software, speed, weights
from pipelines.networks.trunk_places import TrunkPlace
from pipelines.rules.table import RULES

CPU: dict[str, Any] = {"cores": 8, "usable": 8, "quota": None, "threads_asked": None, "load": 0.1}
MEMORY: dict[str, int | None] = {"total_bytes": 64_000_000_000, "free_bytes": 32_000_000_000, "limit_bytes": None}
DISK = {"total_bytes": 10**12, "free_bytes": 10**11}
LIMITS: dict[str, int | None] = {"open_files": 4096, "file_bytes": None, "memory_bytes": None, "processes": None}


def rules(told: list[dict[str, str]]) -> list[str]:
    assert all(one["rule"] in RULES and "; " in one["message"] for one in told)
    return [one["rule"] for one in told]


@pytest.mark.parametrize(
    ("cpu", "memory", "disk", "shell", "rule"),
    [
        ({}, {}, {}, {}, []),
        ({"threads_asked": 16}, {}, {}, {}, ["threads-many"]),
        ({"quota": 2.0}, {}, {}, {}, ["threads-many"]),
        ({"quota": 2.0, "threads_asked": 2}, {}, {}, {}, []),
        ({"load": 9.0}, {}, {}, {}, ["machine-busy"]),
        ({}, {"free_bytes": 10**9}, {}, {}, ["memory-low"]),
        ({}, {"limit_bytes": 2 * 10**9}, {}, {}, ["memory-low"]),
        ({}, {}, {"free_bytes": 10**9}, {}, ["disk-low"]),
        ({}, {}, {}, {"open_files": 256}, ["open-files-few"]),
        ({}, {}, {}, {"file_bytes": 10**6}, ["file-size-limited"]),
        ({}, {}, {}, {"memory_bytes": 10**9}, ["memory-limited"]),
    ],
)
def test_a_limit_gives_its_rule(
    cpu: dict[str, Any], memory: dict[str, int], disk: dict[str, int], shell: dict[str, int], rule: list[str]
) -> None:
    assert rules(limits.limit_advice(CPU | cpu, MEMORY | memory, DISK | disk, LIMITS | shell)) == rule


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_cores_that_a_container_grants(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert limits.core_quota(tmp_path) == quota


@pytest.mark.parametrize(("text", "limit"), [("1000000\n", 1_000_000), ("max\n", None), ("99999999999999\n", None)])
def test_the_memory_that_a_container_grants(tmp_path: Path, text: str, limit: int | None) -> None:
    (tmp_path / "memory.max").write_text(text)
    (tmp_path / "meminfo").write_text("MemTotal:  4000 kB\nMemFree: 1 kB\nMemAvailable: 2000 kB\n")
    found = limits.memory(tmp_path, tmp_path / "meminfo")
    assert found == {"total_bytes": 4_096_000, "free_bytes": 2_048_000, "limit_bytes": limit}


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    here = limits.processor()
    assert 1 <= here["usable"] <= here["cores"]
    assert 0 < limits.disk(tmp_path)["free_bytes"] <= limits.disk(tmp_path)["total_bytes"]
    assert set(limits.limits()) == set(LIMITS)


@pytest.mark.parametrize(
    ("names", "hidden"),
    [
        (["types.py"], 1),
        (["s4net/"], 1),
        (["torch/"], 0),
        (["torch/__init__.py"], 1),
        (["numpy.py", "notes.py", "pictures/"], 1),
        (["runs/", "labels/", "random.txt"], 0),
    ],
)
def test_what_hides_a_package_is_told(tmp_path: Path, names: list[str], hidden: int) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()
    assert rules(software.shadow_advice(tmp_path)) == ["package-hidden"] * hidden


def test_the_sources_of_s4_hide_nothing() -> None:
    assert software.shadow_advice(Path(software.__file__).parents[2]) == []


@pytest.mark.parametrize(("code", "told"), [("UTF-8", []), ("utf8", []), ("ISO-8859-1", ["locale-not-utf8"])])
def test_an_encoding_other_than_utf_8_is_told(code: str, told: list[str]) -> None:
    assert rules(software.encoding_advice({"texts": code, "output": "unknown"})) == told


@pytest.mark.parametrize(
    ("python", "told"), [((3, 10), ["python-version"]), ((3, 11), []), ((3, 14), ["python-version"])]
)
def test_versions_of_python(python: tuple[int, int], told: list[str]) -> None:
    assert rules(software.software_advice(software.versions(), python)) == told


def test_a_missing_package_is_told() -> None:
    assert rules(software.software_advice(software.versions() | {"timm": None}, (3, 12))) == ["package-missing"]


def test_the_versions_are_those_of_the_packages() -> None:
    assert software.versions()["numpy"] == importlib.metadata.version("numpy")


@pytest.mark.parametrize(
    ("threads", "one", "every", "told"),
    [(2, 10.0, 19.0, []), (2, 10.0, 5.0, ["threads-slow"]), (1, 10.0, 10.0, [])],
)
def test_threads_that_bring_nothing_are_told(threads: int, one: float, every: float, told: list[str]) -> None:
    assert rules(speed.speed_advice({"threads": threads, "one": one, "all": every, "bf16": 1.0})) == told


def test_speed_is_measured_and_threads_stay_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SECONDS", 0.01)
    before = speed.torch.get_num_threads()
    found = speed.thread_speed()
    assert min(found["one"], found["all"], found["bf16"]) > 0
    assert speed.torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("driver", "cuda", "told"), [(True, [], ["gpu-unused"]), (True, ["H200"], []), (False, [], [])]
)
def test_a_gpu_that_torch_does_not_see_is_told(driver: bool, cuda: list[str], told: list[str]) -> None:
    assert rules(speed.device_advice({"driver": driver, "cuda": cuda})) == told


def test_the_hub_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def find(name: str, source: str) -> TrunkPlace:
        asked.append(name)
        return TrunkPlace(name, "nowhere", megabytes=98.0)

    here = TrunkPlace("a", "cache")
    monkeypatch.setattr(weights, "trunk_here", lambda name: here if "lite0" in name else None)
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", tmp_path / "gone")
    found = weights.weights(offline=False, find=find)
    assert len(asked) == 1
    assert found["vgg16"] == "not here, and no connection to download them"
    assert found["efficientnet_lite0"] == "here, downloaded before"
    assert rules(weights.weights_advice(found)) == ["weights-absent", "hub-silent"]
    assert rules(weights.weights_advice(weights.weights(offline=True, find=find))) == ["weights-absent"]
    assert len(asked) == 1


def test_load_is_that_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.14159, 9.0, 9.0))
    assert limits.processor()["load"] == 3.14
