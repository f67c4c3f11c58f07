"""Dry runs of `pseudo-label` and `deeplab-train`: what they find, measure, and leave behind."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.chain.findings import Seen
from pipelines.config import DeepLabTrainConfig, PseudoLabelConfig
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.deeplab_train import deeplab_pace, deeplab_train
from pipelines.errors import InputError, MachineError
from pipelines.events import Events
from pipelines.networks import trunk_places
from pipelines.pseudo_label import pseudo_label
from tests.pipelines.small_deeplab import small_deeplab

CLASSES = ClassList.from_names(["cat", "dog"])
SIZE = (40, 50)


@pytest.fixture
def training(tmp_path: Path) -> DeepLabTrainConfig:
    """Four pictures with pseudo labels."""
    labels = LabelFolder(tmp_path / "labels", CLASSES)
    for number in range(4):
        draw(tmp_path / "pictures" / f"p{number}.png")
        label_map = np.zeros(SIZE, np.uint8)
        label_map[5:20, 10:30] = 1
        labels.write_label(f"p{number}", label_map)
    labels.write_manifest()
    folders = (tmp_path / name for name in ("pictures", "labels", "run"))
    return small_deeplab(*folders, steps=300, dry_run=True)


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)).save(path)


def faults(config: DeepLabTrainConfig) -> list[str]:
    """The rules of all faults."""
    with pytest.raises(InputError) as caught:
        deeplab_train(config, Events(io.StringIO()))
    return sorted(error.rule for error in (caught.value, *caught.value.others))


def test_a_training_takes_a_few_real_steps_and_leaves_nothing(training: DeepLabTrainConfig) -> None:
    told = io.StringIO()
    result = deeplab_train(training, Events(told))
    assert not training.run.exists()
    assert (result["images"], result["steps"], result["faults"]) == (4, 300, [])
    assert (result["estimate"]["per"], result["estimate"]["count"]) == ("step", 300)
    assert "deeplab-train: estimated to take" in told.getvalue()


def test_the_faults_of_all_label_maps_are_listed(training: DeepLabTrainConfig) -> None:
    labels = training.labels / "labels"
    for name, value in (("p1", 99), ("p3", 98)):
        write_palette_map(labels / f"{name}.png", np.full(SIZE, value, np.uint8))
    assert faults(training) == ["label-value"] * 2
    write_palette_map(labels / "p1.png", np.zeros((4, 5), np.uint8))
    (labels / "p2.png").write_bytes(b"")
    picture = training.images[0] / "p0.png"
    picture.write_bytes(picture.read_bytes()[:-30])
    assert faults(training) == ["image-damaged", "image-damaged", "label-size"]


def test_labels_that_are_still_to_be_made_are_stood_in_for(training: DeepLabTrainConfig) -> None:
    files = {f"p{number}": training.images[0] / f"p{number}.png" for number in range(4)}
    later = replace(training, labels=training.labels.with_name("later"), dry_run=False)
    pace = deeplab_pace(later, Seen(files=files, classes=CLASSES))
    assert pace is not None and pace.seconds > 0 and (pace.unit, pace.pictures) == ("step", 2)
    assert deeplab_pace(later, Seen()) is None
    assert not later.labels.exists() and not later.run.exists()


def test_weights_that_cannot_be_had_end_a_dry_run_as_they_would_end_the_work(
    training: DeepLabTrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(training, network="vgg16", trunk_weights="imagenet")
    monkeypatch.setattr(trunk_places, "asked_size", lambda name: None)
    with pytest.raises(MachineError, match=r"vgg16.*no connection.*\[weights-download\]"):
        deeplab_train(wanted, Events(io.StringIO()))


def test_weights_that_would_be_downloaded_are_not(
    training: DeepLabTrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk_places, "_wheel_file", lambda: None)
    monkeypatch.setattr(trunk_places, "_cached", lambda name: None)
    monkeypatch.setattr(trunk_places, "asked_size", lambda name: 18.0)
    monkeypatch.setattr("pipelines.networks.trunk_weights._from_hub", lambda place: pytest.fail("downloaded"))
    result = deeplab_train(replace(training, trunk_weights="imagenet"), Events(io.StringIO()))
    assert result["weights"][0]["weights"] == "not here, to be downloaded, 18 MB"
    assert result["estimate"]["count"] == 300


def test_labelling_lists_what_it_would_leave_out_and_measures_the_rest(tmp_path: Path) -> None:
    for number in range(7):
        draw(tmp_path / "pictures" / "cat" / f"{number}.png")
        write_palette_map(tmp_path / "masks" / "cat" / f"{number}.png", np.ones(SIZE, np.uint8))
    pictures = tmp_path / "pictures" / "cat"
    pictures.joinpath("1.png").write_bytes(b"")
    pictures.joinpath("4.png").write_bytes(pictures.joinpath("4.png").read_bytes()[:-30])
    pictures.joinpath("x.png").symlink_to("nowhere")
    config = PseudoLabelConfig(
        images=tmp_path / "pictures",
        instances=tmp_path / "masks",
        out=tmp_path / "labels",
        assign="single",
        recognise="off",
        device="cpu",
        dry_run=True,
    )
    told = io.StringIO()
    result = pseudo_label(config, Events(told))
    assert not config.out.exists()
    assert (result["images"], result["to_label"], result["failed"]) == (7, 7, 2)
    assert [fault["rule"] for fault in result["faults"]] == ["image-damaged"] * 2 + ["left-out"]
    assert "x.png (a link that leads nowhere)" in told.getvalue()
    assert told.getvalue().count("a link that leads nowhere") == 1
    assert (result["estimate"]["per"], result["estimate"]["count"]) == ("picture", 7)
    # For each picture that can be read: two blocks, and a record of 800 + 2 x sqrt(40 x 50) bytes.
    assert result["disk"]["needed_bytes"] == round(5 * (4096 + 4096 + 800 + 2 * 2000**0.5))
    assert pseudo_label(replace(config, dry_run=False), Events(io.StringIO()))["failed"] == 2  # as the dry run said
