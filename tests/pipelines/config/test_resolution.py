"""The file `s4.toml` of a folder, paths in settings files, and resumed runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import (
    DeepLabTrainConfig,
    DemoConfig,
    EvaluateConfig,
    PredictConfig,
    PseudoLabelConfig,
    RunConfig,
    TrainConfig,
    resolve,
    to_json,
)
from pipelines.errors import ConfigError

FILE = """
seed = 3
classes = "classes.txt"

[run]
out = "made"

[train]
images = "salient"
annotations = "~/train.json"
trunk_weights = "none"
steps = 7

[pseudo-label]
images = "pictures"
keywords = "auto"
weights = "builtin"

[predict]
images = ["one.jpg", "more"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "place" / "s4.toml"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def test_paths_of_a_file_lead_from_its_folder(file: Path) -> None:
    train, place = resolve(TrainConfig, file, {}), file.parent
    assert (train.images, train.run, train.seed) == (place / "salient", Path("runs/s4net"), 3)
    label = resolve(PseudoLabelConfig, file, {})
    assert (label.images, label.classes) == ((place / "pictures",), str(place / "classes.txt"))
    assert resolve(PredictConfig, file, {}).images == (place / "one.jpg", place / "more")
    assert resolve(RunConfig, file, {"file": file}).folder == place / "made"


def test_in_the_current_folder_paths_stay_as_they_are_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    train = resolve(TrainConfig, Path("s4.toml"), {})
    assert str(train.images) == "salient"
    assert resolve(PseudoLabelConfig, Path("s4.toml"), {}).classes == "classes.txt"


def test_words_in_a_file_are_no_paths(file: Path) -> None:
    label = resolve(PseudoLabelConfig, file, {})
    assert (resolve(TrainConfig, file, {}).trunk_weights, label.keywords) == ("none", ("auto",))
    assert label.weights == Path("builtin")


def test_the_home_folder_is_found_in_files_and_flags(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert resolve(TrainConfig, file, {}).annotations == home / "train.json"
    flags = {"images": Path("~/a"), "annotations": "~/b.json", "trunk_weights": "~/c.pt"}
    train = resolve(TrainConfig, None, flags)
    assert (train.images, train.annotations) == (home / "a", home / "b.json")
    assert train.trunk_weights == str(home / "c.pt")
    assert PredictConfig(voc=Path("v"), split="~/no-path").split == "~/no-path"
    assert PredictConfig(images=(Path("~/a"), Path("b~"))).images == (home / "a", Path("b~"))


def test_the_line_about_a_file_names_what_no_flag_overrides(file: Path) -> None:
    told: list[str] = []
    resolve(TrainConfig, file, {"steps": 9, "seed": None}, told.append)
    resolve(PredictConfig, file, {}, told.append)
    place = file.parent
    annotations = f"{Path('~').expanduser()}/train.json"
    assert told == [
        f"{file} gives seed = 3, images = {place}/salient, annotations = {annotations}, trunk_weights = none",
        f"{file} gives images = {place}/one.jpg, {place}/more",
    ]


def test_nothing_is_said_of_a_file_that_gives_nothing(file: Path) -> None:
    told: list[str] = []
    resolve(DemoConfig, file, {"seed": 1}, told.append)
    resolve(DeepLabTrainConfig, file, {"seed": 1, "classes": "voc"}, told.append)
    assert told == []


def test_the_file_of_a_folder_may_hold_keys_of_other_commands_without_a_table(tmp_path: Path) -> None:
    path = tmp_path / "s4.toml"
    path.write_text("annotations = 'a.json'\nseed = 5\n")
    assert resolve(DemoConfig, path, {}).seed == 5
    other = tmp_path / "demo.toml"
    other.write_text(path.read_text())
    with pytest.raises(ConfigError, match=r"unknown key annotations.*\[setting-unknown\]"):
        resolve(DemoConfig, other, {})
    path.write_text("anotations = 'a.json'\n")
    with pytest.raises(ConfigError, match=r"unknown key anotations"):
        resolve(DemoConfig, path, {})


def test_a_list_may_hold_one_value_or_several_and_survives_json() -> None:
    one, two = PredictConfig(images=Path("a")), PredictConfig(images=[Path("a"), "b"])  # type: ignore[arg-type, list-item]
    assert (one.images, two.images) == ((Path("a"),), (Path("a"), Path("b")))
    assert json.loads(json.dumps(to_json(two)))["images"] == ["a", "b"]
    with pytest.raises(ConfigError, match=r"--images: 3 given, a path expected.*\[setting-type\]"):
        PredictConfig(images=[3])  # type: ignore[arg-type, list-item]
    with pytest.raises(ConfigError, match="--images and --voc: neither given"):
        PredictConfig(images=())


def saved(run: Path, config: Any) -> Path:
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(to_json(config)))
    return run


def test_a_run_is_resumed_in_the_usual_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = TrainConfig(images=Path("pictures"), annotations=Path("a.json"), steps=70)
    saved(train.run, train)
    config = resolve(TrainConfig, None, {"resume": True})
    assert (config.steps, config.run, config.resume) == (70, Path("runs/s4net"), True)


def test_a_resumed_run_names_the_place_of_a_differing_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = TrainConfig(images=Path("pictures"), annotations=Path("a.json"), steps=70)
    saved(train.run, train)
    Path("s4.toml").write_text("[train]\nimages = 'pictures'\nsteps = 80\n")
    with pytest.raises(ConfigError, match=r"^s4\.toml: steps: 80 given, 70 expected as in runs/s4net/config\.json"):
        resolve(TrainConfig, Path("s4.toml"), {"resume": True})
    with pytest.raises(ConfigError, match=r"^--steps: 90 given, 70 expected"):
        resolve(TrainConfig, Path("s4.toml"), {"resume": True, "steps": 90})
    assert resolve(TrainConfig, Path("s4.toml"), {"resume": True, "steps": 70}).steps == 70


def test_a_resumed_run_keeps_the_loss_that_was_chosen_for_it(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", DeepLabTrainConfig(images=Path("p"), loss="soft", precision="fp32"))
    assert resolve(DeepLabTrainConfig, None, {"run": run, "resume": True, "loss": "auto"}).loss == "soft"
    with pytest.raises(ConfigError, match=r"--loss: plain given, soft expected"):
        resolve(DeepLabTrainConfig, None, {"run": run, "resume": True, "loss": "plain"})
    with pytest.raises(
        ConfigError, match=r"--precision: auto given, fp32 expected"
    ):  # no command chooses that for good
        resolve(DeepLabTrainConfig, None, {"run": run, "resume": True, "precision": "auto"})


def test_evaluate_takes_the_classes_that_stand_outside_the_tables(file: Path) -> None:
    assert resolve(EvaluateConfig, file, {}).classes == str(file.parent / "classes.txt")
