"""Paths that lead nowhere are told before anything is done, all of them at once."""

from pathlib import Path

import pytest

from pipelines.config import (
    EvaluateConfig,
    PredictConfig,
    PseudoLabelConfig,
    StageConfig,
    TrainConfig,
    to_json,
    usual_places,
)
from pipelines.config.paths import matches, prepared
from pipelines.errors import ConfigError, S4Error
from pipelines.files import write_json


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures, annotations, weights, and a VOC folder two levels down."""
    monkeypatch.chdir(tmp_path)
    for folder in ("pictures", "up/VOCdevkit/VOC2012/ImageSets/Segmentation", "voc/ImageSets/Segmentation"):
        Path(folder).mkdir(parents=True)
    for file in ("train.json", "net.pt", "pictures/a.jpg", "voc/ImageSets/Segmentation/train.txt"):
        Path(file).touch()


def faults(config: StageConfig) -> list[str]:
    try:
        prepared(config, lambda line: None)
    except S4Error as error:
        return [str(fault) for fault in (error, *error.others)]
    return []


def train(**values: object) -> TrainConfig:
    return TrainConfig(**{"images": "pictures", "annotations": "train.json", **values})  # type: ignore[arg-type]


def test_right_paths_are_no_fault() -> None:
    assert faults(train()) == []
    assert faults(train(trunk_weights="net.pt")) == []


def test_all_wrong_paths_are_told_each_with_its_flag_and_the_nearest_name() -> None:
    assert faults(train(images="picture", annotations="trian.json", val_annotations="no/val.json")) == [
        "--images picture: no such folder, expected one; did you mean pictures? [folder-missing]",
        "--annotations trian.json: no such file, expected one; did you mean train.json? [file-missing]",
        "--val-annotations no/val.json: no such file, expected one; check the path, the folder no does not exist "
        "either [file-missing]",
    ]


def test_a_file_is_no_folder_and_a_folder_no_file() -> None:
    assert faults(train(images="train.json", annotations="pictures")) == [
        "--images train.json: not a folder, expected one; check the path [folder-missing]",
        "--annotations pictures: not a file, expected one; check the path [file-missing]",
    ]


def test_words_are_no_paths() -> None:
    assert faults(train(trunk_weights="none")) == []
    (fault,) = faults(train(trunk_weights="nine"))
    assert fault.endswith("[weights-missing]")
    label = PseudoLabelConfig(images=Path("pictures"), weights=Path("net.pt"), keywords="k.csv", classes="c.txt")
    assert [fault.partition(":")[0] for fault in faults(label)] == ["--keywords k.csv", "--classes c.txt"]


def test_what_was_left_out_and_is_not_there_is_told_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", Path("none.safetensors"))
    first, second = faults(PseudoLabelConfig(images=Path("nowhere")))
    assert first.startswith("--images nowhere: no such folder")
    assert second.startswith("--weights: not given, and no network in runs/s4net")


def test_weights_are_a_file_or_a_run_with_a_checkpoint() -> None:
    assert faults(PseudoLabelConfig(images=Path("pictures"), weights=Path("net.pt"))) == []
    (fault,) = faults(PseudoLabelConfig(images=Path("pictures"), weights=Path("pictures")))
    assert fault.startswith("--weights pictures: no checkpoints/best.pt or last.pt in this folder")
    (fault,) = faults(PseudoLabelConfig(images=Path("pictures"), weights=Path("met.pt")))
    assert fault.endswith("did you mean net.pt? [weights-missing]")


def test_a_run_without_a_best_checkpoint_is_taken_with_a_word() -> None:
    told: list[str] = []
    for folder, name in (("stopped", "last.pt"), ("done", "last.pt"), ("done", "best.pt")):
        Path(folder, "checkpoints").mkdir(parents=True, exist_ok=True)
        Path(folder, "checkpoints", name).touch()
    for weights in ("done", "net.pt", "builtin"):
        prepared(PseudoLabelConfig(images=Path("pictures"), weights=Path(weights)), told.append)
    assert told == []
    prepared(PseudoLabelConfig(images=Path("pictures"), weights=Path("stopped")), told.append)
    assert told == ["--weights stopped: no checkpoints/best.pt, so checkpoints/last.pt is taken"]


def test_a_folder_that_is_no_voc_folder_is_said_to_be_none() -> None:
    (fault,) = faults(EvaluateConfig(voc=Path("pictures"), weights=Path("net.pt")))
    assert fault.startswith("--voc pictures: not a VOC folder, one with JPEGImages, SegmentationClass and ImageSets/")
    assert fault.endswith("[voc-layout]")
    (fault,) = faults(EvaluateConfig(voc=Path("up"), weights=Path("net.pt")))
    assert "did you mean up/VOCdevkit/VOC2012? [voc-layout]" in fault


def test_a_split_that_does_not_exist_is_told_with_those_that_do() -> None:
    (fault,) = faults(EvaluateConfig(voc=Path("voc"), weights=Path("net.pt")))
    assert fault.startswith("voc/ImageSets/Segmentation/val.txt: no such split, expected one of train;")
    assert faults(EvaluateConfig(voc=Path("voc"), weights=Path("net.pt"), split="train")) == []


def test_pictures_are_files_folders_or_patterns_that_fit_something() -> None:
    def of(*images: str) -> list[str]:
        found = faults(PredictConfig(images=tuple(map(Path, images)), weights=Path("net.pt")))
        return [fault.partition(":")[0] for fault in found]

    assert of("pictures/a.jpg", "pictures", "pictures/*.jpg") == []
    assert of("b.jpg", "*.png") == ["--images b.jpg", "--images *.png"]
    Path("[1].jpg").touch()
    assert (matches(Path("[1].jpg")), matches(Path("*.pt"))) == ([], [Path("net.pt")])


def test_a_run_that_exists_is_told_before_the_work_with_its_state() -> None:
    config = train()
    write_json(config.run / "config.json", to_json(config))
    with pytest.raises(ConfigError, match=r"^runs/s4net: holds a run already, a new folder.*--resume.*\[run-exists\]"):
        prepared(config, print)
    write_json(config.run / "status.json", {"state": "stopped", "step": 700})
    with pytest.raises(ConfigError, match=r"holds a run already \(stopped, step 700\).*--resume"):
        prepared(config, print)
    write_json(config.run / "status.json", {"state": "done", "step": 2000})
    with pytest.raises(ConfigError, match=r"runs/s4net: all was done before \(step 2000\)") as caught:
        prepared(config, print)
    assert "--resume" not in str(caught.value)
    write_json(config.run / "status.json", {"state": "done", "step": "many"})
    with pytest.raises(ConfigError, match=r"holds a run already, a new folder"):
        prepared(config, print)
    assert prepared(train(resume=True), print).resume
    with pytest.raises(ConfigError, match=r"\[run-missing\]"):
        prepared(train(resume=True, run="other"), print)
