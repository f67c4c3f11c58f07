"""Who shares out pictures, and what is refused before anything is done."""

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import PredictConfig
from pipelines.config.shard import Shard
from pipelines.errors import ConfigError
from pipelines.stores.paths import to_path
from s4cli.main import main


def settings(**more: Any) -> PredictConfig:
    return PredictConfig(images=(Path("a.jpg"),), **more)


def without_ray(name: str) -> importlib.machinery.ModuleSpec | None:
    """As on a machine without Ray, in a folder that has a sub-folder of that name."""
    return importlib.machinery.ModuleSpec(name, None, is_package=True) if name == "ray" else None


def with_ray(name: str) -> importlib.machinery.ModuleSpec:
    return importlib.machinery.ModuleSpec(name, None, origin=f"{name}/__init__.py")


def test_shards_share_out_every_picture_once() -> None:
    # 7 items in 3 shards: 0 3 6, 1 4, 2 5
    assert [Shard(number, 3).own(range(7)) for number in (1, 2, 3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert Shard.parse(None).own("ab") == ["a", "b"] and Shard.parse("2/3") == (2, 3)
    with pytest.raises(ConfigError, match=r"part 4 of 3 given, a part from 1 to 3 expected.*\[setting-value\]"):
        settings(shard="4/3")


def test_without_ray_the_extra_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without_ray)
    for command in ("pseudo-label", "predict"):
        out = tmp_path / "out"
        assert main([command, "--images", str(tmp_path), "--engine", "ray", "--out", str(out), "--json"]) == 2
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["rule"] == "extra-missing" and not out.exists()
        assert "ray, pandas, pyarrow not installed" in error["message"]
        assert "pip install 's4-segmentation[ray]'" in error["message"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "dask"}, "one of local, ray expected"),
        ({"ray_address": "10.0.0.1:6379"}, "given with --engine local, expected with --engine ray alone"),
        ({"engine": "ray", "ray_address": "ray://head:10001"}, "auto, or the HOST:PORT"),
        ({"engine": "ray", "device": "cuda:1"}, "given with --engine ray, expected without a number"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", with_ray)
    with pytest.raises(ConfigError, match=message) as caught:
        settings(**given)
    assert caught.value.rule == "setting-value"


def test_settings_that_fit_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", with_ray)
    assert settings().ray_address == "auto"
    for address in ("auto", "head:6379"):
        assert settings(engine="ray", ray_address=address, device="cuda").ray_address == address


def test_other_processes_do_not_see_the_memory_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", with_ray)
    place = to_path("memory://pictures")
    assert PredictConfig(images=(place,)).engine == "local"
    with pytest.raises(ConfigError, match="--engine ray: memory://pictures is seen by this process alone") as caught:
        PredictConfig(images=(place,), engine="ray")
    assert caught.value.rule == "address-unsupported"
