"""What a command takes where the user names nothing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import (
    DeepLabTrainConfig,
    EvaluateConfig,
    ExplainConfig,
    PredictConfig,
    PseudoLabelConfig,
    TrainConfig,
    usual_places,
)
from pipelines.config.usual_places import record_pictures, recorded_pictures, weights_file
from pipelines.errors import ConfigError, InputError
from pipelines.files import read_json

PICTURES = Path("pictures")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and an installation without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", tmp_path / "none.safetensors")


@pytest.fixture
def builtin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a network that ships."""
    path = tmp_path / "elsewhere.safetensors"
    path.touch()
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", path)
    return path


def trained(run: str, time: float = 0.0, name: str = "best.pt") -> Path:
    """Write an empty checkpoint of a run, of a given time; returns the run."""
    path = Path(run) / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time, time))
    return Path(run)


def test_folders_that_a_command_makes_have_names() -> None:
    train = TrainConfig(images=PICTURES, annotations=Path("a.json"))
    assert (train.run, PseudoLabelConfig(images=PICTURES).out) == (Path("runs/s4net"), Path("labels"))
    deeplab = DeepLabTrainConfig()
    assert (deeplab.run, deeplab.labels) == (Path("runs/deeplab"), Path("labels"))
    assert PredictConfig(images=PICTURES).out == Path("predictions")


def test_small_networks_are_the_defaults() -> None:
    train = TrainConfig(images=PICTURES, annotations=Path("a.json"))
    assert train.trunk == DeepLabTrainConfig().network == "efficientnet_lite0"


INSTANCE_COMMANDS: list[tuple[type[Any], dict[str, Any]]] = [
    (PseudoLabelConfig, {"images": PICTURES}),
    (ExplainConfig, {"images": PICTURES, "annotations": Path("a.json"), "out": Path("o")}),
    (EvaluateConfig, {"images": PICTURES, "annotations": Path("a.json")}),
    (EvaluateConfig, {"voc": Path("voc"), "foreground": True}),
]


@pytest.mark.parametrize(("cls", "given"), INSTANCE_COMMANDS)
def test_instances_come_from_the_own_network_else_from_the_one_that_ships(
    cls: type[Any], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    with pytest.raises(ConfigError, match=r"^--weights: not given.*runs/s4net.*--weights RUN \[setting-missing\]"):
        cls(**given).located(told.append)
    shipped = tmp_path / "shipped.safetensors"
    shipped.touch()
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)
    assert cls(**given).located(told.append).weights == Path("builtin")
    trained("runs/s4net")
    assert cls(**given).located(told.append).weights == Path("runs/s4net")
    assert cls(**given, weights=Path("other")).located(told.append).weights == Path("other")
    assert ["ships" in line for line in told] == [True, False]
    assert "runs/s4net" in told[1]


def test_instances_from_elsewhere_need_no_network() -> None:
    assert PseudoLabelConfig(images=PICTURES, instances=Path("masks")).located().weights is None


def test_evaluate_scores_the_usual_deeplab() -> None:
    with pytest.raises(ConfigError, match=r"no network in runs/deeplab, a run of s4 deeplab-train expected"):
        EvaluateConfig(voc=Path("voc")).located()
    trained("runs/deeplab", name="last.pt")
    assert EvaluateConfig(voc=Path("voc")).located().weights == Path("runs/deeplab")
    for other in ("predictions", "labels"):
        assert EvaluateConfig(voc=Path("voc"), **{other: Path("x")}).located().weights is None
    assert EvaluateConfig().located().weights is None  # nothing to score: the command says so


def test_predict_takes_the_newest_run(builtin: Path) -> None:
    told: list[str] = []
    assert PredictConfig(images=PICTURES).located(told.append).weights == Path("builtin")
    trained("runs/deeplab", 100)
    trained("runs/s4net", 300, "last.pt")
    trained("runs/older", 200)
    Path("runs/begun").mkdir()
    assert PredictConfig(images=PICTURES).located(told.append).weights == Path("runs/s4net")
    assert "newest run is taken (runs/s4net)" in told[-1]


def test_weights_may_be_the_network_that_ships(builtin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_file(Path("builtin")) == builtin
    builtin.unlink()
    with pytest.raises(InputError, match=r"^builtin: this installation has no such network.*\[weights-missing\]"):
        weights_file(Path("builtin"))


def test_a_label_folder_remembers_where_its_pictures_lie(tmp_path: Path) -> None:
    PICTURES.mkdir()
    Path("labels").mkdir()
    with pytest.raises(ConfigError, match=r"labels does not say where its pictures lie.*--images DIR"):
        DeepLabTrainConfig().located()
    record_pictures(Path("labels"), [PICTURES])
    assert read_json(Path("labels/pictures.json")) == {"images": str(tmp_path / "pictures")}
    assert recorded_pictures(Path("labels")) == (tmp_path / "pictures",)
    told: list[str] = []
    assert DeepLabTrainConfig().located(told.append).images == (tmp_path / "pictures",)
    assert str(tmp_path / "pictures") in told[0]
    assert DeepLabTrainConfig(images=Path("others")).located().images == (Path("others"),)  # type: ignore[arg-type]
    PICTURES.rename("moved")
    with pytest.raises(ConfigError, match=r"are no longer in .*pictures.*name it, as in.*\[setting-missing\]"):
        DeepLabTrainConfig().located()


def test_a_label_folder_remembers_several_folders_and_tars(tmp_path: Path) -> None:
    for folder in (PICTURES, Path("labels"), Path("more")):
        folder.mkdir()
    Path("shard.tar").write_bytes(b"")
    places = [PICTURES, tmp_path / "more", Path("shard.tar")]
    record_pictures(Path("labels"), places)
    found = tuple(tmp_path / name for name in ("pictures", "more", "shard.tar"))
    assert recorded_pictures(Path("labels")) == found
    assert DeepLabTrainConfig().located().images == found
    Path("more").rmdir()
    with pytest.raises(ConfigError, match=r"are no longer in .*more, a folder expected.*\[setting-missing\]"):
        DeepLabTrainConfig().located()


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": 3}', '{"images": []}', '{"images": ["a", 3]}'])
def test_a_note_without_a_folder_is_none(content: str) -> None:
    Path("labels").mkdir()
    Path("labels/pictures.json").write_text(content)
    assert recorded_pictures(Path("labels")) is None
    assert json.loads(content) is not None
