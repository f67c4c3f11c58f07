"""How the demo starts its S4Net: from the network that ships, or from ImageNet's weights without one."""

from pathlib import Path

import pytest

from pipelines import demo as module
from pipelines.config import DemoConfig, TrainConfig, usual_places
from pipelines.demo import FULL
from pipelines.events import Events
from pipelines.studies.demo_report import DemoPaths


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    seen: list[TrainConfig] = []
    monkeypatch.setattr(module, "train", lambda config, events: seen.append(config))
    return seen


def test_s4net_is_fine_tuned_from_the_network_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[TrainConfig]
) -> None:
    file = tmp_path / "network.safetensors"
    file.touch()
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", file)
    module._train_s4net(DemoConfig(out=tmp_path, seed=3), FULL, DemoPaths(tmp_path), Events())
    (config,) = trained
    assert config.start_from == Path("builtin") and config.trunk_weights is None
    assert config.steps == FULL.fine_tuning_steps < FULL.first_steps / 2
    assert config.seed == 3 and not config.resume


def test_without_it_s4net_starts_from_imagenet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[TrainConfig]
) -> None:
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", tmp_path / "none")
    module._train_s4net(DemoConfig(out=tmp_path), FULL, DemoPaths(tmp_path), Events())
    (config,) = trained
    assert config.start_from is None and config.trunk_weights == "imagenet"
    assert config.steps == FULL.first_steps and config.lr is None
