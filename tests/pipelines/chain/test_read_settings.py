"""All that a stage reads is in its fingerprint and looked at before the work: what changes there is done again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.fingerprints import fingerprint
from pipelines.chain.stages import STAGES
from pipelines.chain.step import Step
from pipelines.config.setting import is_path, limits_of, settings_of
from tests.pipelines.chain.some_step import checked
from tests.pipelines.chain.tiny_chain import write_data, write_mask
from tests.pipelines.review_folder import action, make_folder
from tests.pipelines.weight_files import write_weights

Change = Callable[[Path], object]


def longer(path: Path) -> None:
    """Change content and size of a file that is still what it was."""
    path.write_bytes(path.read_bytes() + b" ")


def other_network(path: Path) -> None:
    write_weights(path, "other")


def corrected(labels: Path) -> None:
    path = labels / "review.jsonl"
    number = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as journal:
        journal.write(json.dumps(action("reject", number, f"p{number}")) + "\n")


def without_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


# Each setting that names something to read: with which others it is given, what of it changes, and how.
READ: dict[tuple[str, str], tuple[dict[str, str], str, Change]] = {
    ("train", "images"): ({}, "salient/s0.jpg", longer),
    ("train", "annotations"): ({}, "salient.json", longer),
    ("train", "val_annotations"): ({"val_annotations": "val.json"}, "val.json", longer),
    ("train", "start_from"): ({"start_from": "w.pt"}, "w.pt", other_network),
    ("train", "trunk_weights"): ({"trunk_weights": "trunk.pt"}, "trunk.pt", other_network),
    ("pseudo-label", "images"): ({}, "JPEGImages/p0.jpg", longer),
    ("pseudo-label", "weights"): ({}, "w.pt", other_network),
    ("pseudo-label", "instances"): ({"weights": "", "instances": "maps"}, "maps/p4.png", longer),
    ("pseudo-label", "keywords"): ({}, "keywords.csv", without_last_line),
    ("pseudo-label", "classes"): ({"classes": "own.txt"}, "own.txt", without_last_line),
    ("pseudo-label", "segmenter"): ({"segmenter": "deeplab.pt"}, "deeplab.pt", other_network),
    ("pseudo-label", "reviewed"): ({"reviewed": "before/labels"}, "before/labels", corrected),
    ("pseudo-label", "trunk_weights"): ({"trunk_weights": "trunk.pt"}, "trunk.pt", other_network),
    ("deeplab-train", "images"): ({}, "before/images/p0.jpg", longer),
    ("deeplab-train", "labels"): ({}, "before/labels", corrected),
    ("deeplab-train", "list"): ({"list": "list.txt"}, "list.txt", without_last_line),
    ("deeplab-train", "classes"): ({"classes": "own.txt"}, "own.txt", without_last_line),
    ("deeplab-train", "trunk_weights"): ({"trunk_weights": "trunk.pt"}, "trunk.pt", other_network),
    ("deeplab-train", "val_voc"): ({"val_voc": ""}, "SegmentationClass/p4.png", longer),
    ("evaluate", "voc"): ({"voc": "", "predictions": "maps"}, "SegmentationClass/p4.png", longer),
    ("evaluate", "weights"): ({"voc": "", "weights": "w.pt"}, "w.pt", other_network),
    ("evaluate", "predictions"): ({"voc": "", "predictions": "maps"}, "maps/p4.png", longer),
    ("evaluate", "labels"): ({"voc": "", "labels": "before/labels"}, "before/labels", corrected),
    ("evaluate", "images"): ({"images": "JPEGImages", "masks": "maps", "weights": "w.pt"}, "JPEGImages/p4.jpg", longer),
    ("evaluate", "masks"): ({"masks": "maps", "labels": "before/labels"}, "maps/p4.png", longer),
    ("evaluate", "annotations"): (
        {"images": "salient", "annotations": "salient.json", "weights": "w.pt"},
        "salient.json",
        longer,
    ),
    ("evaluate", "classes"): (
        {"voc": "", "weights": "w.pt", "classes": "own.txt"},
        "own.txt",
        without_last_line,
    ),
    ("evaluate", "versus"): ({"voc": "", "weights": "w.pt", "versus": "deeplab.pt"}, "deeplab.pt", other_network),
}

NOT_IN_THE_FINGERPRINT = {
    ("pseudo-label", "cues_of"): "saves time alone: only cues of the same settings are taken, which give equal labels",
}

USUAL: dict[str, dict[str, str]] = {
    "train": {"images": "salient", "annotations": "salient.json"},
    "pseudo-label": {"images": "JPEGImages", "keywords": "keywords.csv", "weights": "w.pt", "out": "out"},
    "deeplab-train": {"images": "before/images", "labels": "before/labels"},
    "evaluate": {},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = write_data(tmp_path / "data")
    (data / "val.json").write_bytes((data / "salient.json").read_bytes())
    (data / "list.txt").write_text("p0\np1\n")
    (data / "own.txt").write_text("cat\ndog\nperson\ncow\n")
    write_mask(data / "maps" / "p4.png")
    write_weights(data / "w.pt")
    write_weights(data / "deeplab.pt", kind="deeplab")
    write_weights(data / "trunk.pt")
    corrected(make_folder(data / "before").path)
    return data


def step_of(data: Path, command: str, given: dict[str, str]) -> Step:
    stage = next(stage for stage in STAGES if stage.config_class.command == command)
    settings = settings_of(stage.config_class)
    named: dict[str, Any] = {
        name: None if name == "weights" and not place else str(data / place)
        for name, place in {**USUAL[command], **given}.items()
    }
    assert all(is_path(settings[name]) for name in named)
    return stage(command, 1, stage.config_class(**named))


def test_every_setting_that_is_read_is_in_the_fingerprint_but_for_those_that_have_a_reason() -> None:
    read = {
        (stage.config_class.command, name)
        for stage in STAGES
        for name, setting in settings_of(stage.config_class).items()
        if is_path(setting) and limits_of(setting).writes is None
    }
    assert read == READ.keys() | NOT_IN_THE_FINGERPRINT.keys()
    assert not READ.keys() & NOT_IN_THE_FINGERPRINT.keys() and all(NOT_IN_THE_FINGERPRINT.values())


@pytest.mark.parametrize(("command", "setting"), READ)
def test_what_changes_in_a_place_that_is_read_is_done_again(data: Path, command: str, setting: str) -> None:
    given, place, change = READ[command, setting]
    assert setting in {**USUAL[command], **given}
    before = fingerprint(step_of(data, command, given))
    assert fingerprint(step_of(data, command, given)) == before
    change(data / place)
    assert fingerprint(step_of(data, command, given)) != before


@pytest.mark.parametrize(("command", "setting"), [*READ, *NOT_IN_THE_FINGERPRINT])
def test_a_place_that_is_read_and_not_there_is_found_before_the_work(data: Path, command: str, setting: str) -> None:
    given = READ[command, setting][0] if (command, setting) in READ else {}
    faults = checked(step_of(data, command, {**given, setting: "gone"})).faults
    assert any(str(data / "gone") in str(fault.error) for fault in faults), faults
