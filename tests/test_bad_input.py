"""What a user can get wrong, through the command line: message, rule and exit code; never a traceback."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.shapes import write_instances, write_voc
from s4cli.main import main

SMALL = ["--trunk", "timm/mobilenetv3_small_050", "--trunk-weights", "none", "--image-size", "64", "--steps", "1"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder / "instances", 3, "train", seed=0, side=64)
    write_voc(folder / "voc", 4, 2, seed=1, side=64)
    arguments = train(folder / "instances", folder / "run")
    assert main([*arguments, "--batch-size", "1"]) == 0
    return folder


def train(instances: Path, run: Path) -> list[str]:
    arguments = ["train", "--images", instances / "images", "--annotations", instances / "train.json", "--run", run]
    return [*map(str, arguments), *SMALL]


def label(scenes: Path, out: Path, *more: object) -> list[str]:
    voc = scenes / "voc"
    given = {"--images": voc / "JPEGImages", "--keywords": voc / "keywords_train.csv", "--classes": voc / "classes.txt"}
    given |= dict(zip(more[::2], more[1::2], strict=True))
    pairs = [str(part) for pair in given.items() for part in pair]
    return ["pseudo-label", "--weights", str(scenes / "run"), "--out", str(out), "--assign", "single", *pairs]


def complains(capsys, arguments: list[str], code: int, *words: str) -> None:
    capsys.readouterr()
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == "" or code == 4
    assert "Traceback" not in captured.err
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for word in words:
        assert word in captured.err, captured.err


def test_missing_folder(scenes, tmp_path, capsys):
    arguments = label(scenes, tmp_path / "out", "--images", tmp_path / "nowhere")
    complains(capsys, arguments, 3, "nowhere", "[folder-missing]")


def test_empty_folder(scenes, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    complains(capsys, label(scenes, tmp_path / "out", "--images", tmp_path / "empty"), 3, "empty", "[folder-empty]")
    assert not (tmp_path / "out").exists()


def test_annotation_of_a_missing_picture(scenes, tmp_path, capsys):
    shutil.copytree(scenes / "instances", tmp_path / "copy")
    gone = sorted((tmp_path / "copy" / "images").iterdir())[1]
    gone.unlink()
    complains(capsys, train(tmp_path / "copy", tmp_path / "run"), 3, gone.name)
    assert not (tmp_path / "run").exists()


def test_damaged_picture_stops_a_training_before_it_starts(scenes, tmp_path, capsys):
    shutil.copytree(scenes / "instances", tmp_path / "copy")
    torn = sorted((tmp_path / "copy" / "images").iterdir())[1]
    torn.write_bytes(torn.read_bytes()[:700])
    complains(capsys, train(tmp_path / "copy", tmp_path / "run"), 3, torn.name, "[image-damaged]")


def test_damaged_picture_is_listed_and_the_others_are_labelled(scenes, tmp_path, capsys):
    shutil.copytree(scenes / "voc", tmp_path / "voc")
    torn = sorted((tmp_path / "voc" / "JPEGImages").iterdir())[0]
    torn.write_bytes(torn.read_bytes()[:700])
    out = tmp_path / "out"
    complains(capsys, label(scenes, out, "--images", tmp_path / "voc" / "JPEGImages"), 4, torn.name, "failures.jsonl")
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [failure["image_id"] for failure in failures] == [torn.stem]
    assert len(list((out / "labels").glob("*.png"))) == 3


def test_unknown_keyword_proposes_the_nearest(scenes, tmp_path, capsys):
    table = tmp_path / "keywords.csv"
    text = (scenes / "voc" / "keywords_train.csv").read_text().splitlines()
    name = text[1].split(",")[0]
    table.write_text("\n".join([text[0], f"{name},triangel"]) + "\n")
    complains(capsys, label(scenes, tmp_path / "out", "--keywords", table), 3, "triangel", "triangle")


def test_wrong_class_count(scenes, tmp_path, capsys):
    vectors = np.empty((), dtype=object)
    names = [path.stem for path in (scenes / "voc" / "JPEGImages").iterdir()]
    vectors[()] = {name: np.ones(5, np.float32) for name in names}
    np.save(tmp_path / "cls_labels.npy", vectors)
    complains(capsys, label(scenes, tmp_path / "out", "--keywords", tmp_path / "cls_labels.npy"), 3, "5", "8")


def test_a_run_that_exists(scenes, capsys):
    complains(
        capsys, train(scenes / "instances", scenes / "run"), 2, "all was done before (step 1)", "--run", "[run-exists]"
    )


def test_resume_with_another_flag_shows_both_values(scenes, capsys):
    arguments = [*train(scenes / "instances", scenes / "run"), "--resume", "--lr", "0.5"]
    complains(capsys, arguments, 2, "--lr", "0.5", "[resume-differs]")


def test_resume_of_nothing(scenes, tmp_path, capsys):
    complains(capsys, [*train(scenes / "instances", tmp_path / "none"), "--resume"], 2, "[run-missing]")


def test_weights_that_are_none(scenes, tmp_path, capsys):
    (tmp_path / "weights.pt").write_bytes(b"not a checkpoint")
    arguments = label(scenes, tmp_path / "out")
    arguments[arguments.index("--weights") + 1] = str(tmp_path / "weights.pt")
    complains(capsys, arguments, 3, "weights.pt")


def test_labels_without_manifest_are_not_trained_on_by_accident(scenes, tmp_path, capsys):
    voc = scenes / "voc"
    arguments = ["deeplab-train", "--images", voc / "JPEGImages", "--labels", voc / "SegmentationClass"]
    complains(capsys, [*map(str, arguments), "--run", str(tmp_path / "run")], 3, "--labels-are ground-truth")
