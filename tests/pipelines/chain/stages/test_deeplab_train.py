"""The stage that trains a DeepLab on labels."""

import hashlib
from pathlib import Path

import pytest

from pipelines.chain.stages.deeplab_train import DeepLabTrainStep, single_keyword_ids
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.config import DeepLabTrainConfig, PseudoLabelConfig
from pipelines.data.classes import load_classes
from pipelines.data.label_folder import LabelFolder
from pipelines.errors import InputError
from pipelines.files import write_text
from tests.pipelines.chain.some_step import checked
from tests.pipelines.chain.tiny_chain import write_data, write_mask, write_picture

RECORDS = """{"image_id": "p3", "keywords": ["person"]}
{"image_id": "p2", "keywords": ["cat", "dog"]}
{"image_id": "p0", "keywords": ["cat"]}
{"image_id": "p1"}
"""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_labels(folder: Path) -> Path:
    for number in range(4):
        write_mask(folder / "labels" / f"p{number}.png")
    write_text(folder / "records.jsonl", RECORDS)
    LabelFolder(folder, load_classes("voc")).write_manifest()
    return folder


def step_of(data: Path, labels: Path, single: bool = False, within: Path | None = None, **settings: object):
    config = DeepLabTrainConfig(images=data / "JPEGImages", labels=labels, run=data / "run", **settings)
    return DeepLabTrainStep("deeplab-train-1", 1, config, (), single, within)


def sizes_of(data: Path, *names: str) -> str:
    lines = [f"{name} {(data / 'JPEGImages' / f'{name}.jpg').stat().st_size}\n" for name in names]
    return sha256("".join(lines))


def test_pseudo_labels_are_known_by_manifest_and_records(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    labels = write_labels(data / "out")
    write_text(data / "list.txt", "p2\np0\n")
    files = [hashlib.sha256((labels / name).read_bytes()).hexdigest() for name in ("manifest.json", "records.jsonl")]
    assert step_of(data, labels, list=data / "list.txt").inputs() == {
        "labels": files,
        "list": sha256("p2\np0\n"),
        "pictures": sizes_of(data, "p2", "p0"),
    }


def test_masks_drawn_by_people_are_known_by_their_content(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    (data / "JPEGImages" / "p5.jpg").unlink()
    masks = data / "SegmentationClass"
    hashes = [hashlib.sha256((masks / f"{name}.png").read_bytes()).hexdigest() for name in ("p4", "p5")]
    truth = sha256(f"p4 {hashes[0]}\np5 {hashes[1]}\n")
    picture = (data / "JPEGImages" / "p4.jpg").stat().st_size
    pictures = sha256(f"p4 {picture}\np5 -1\n")
    inputs = step_of(data, masks, labels_are="ground-truth", val_voc=data).inputs()
    assert inputs == {
        "labels": [truth],
        "list": sha256("p4\np5\n"),
        "pictures": pictures,
        "val": {"list": sha256("p4\np5\n"), "truth": truth, "pictures": pictures},
    }


def test_pictures_with_a_single_keyword_are_taken_in_the_order_of_the_records(tmp_path: Path) -> None:
    labels = write_labels(tmp_path)
    assert single_keyword_ids(labels, None) == ["p3", "p0"]
    write_text(tmp_path / "list.txt", "p0\np2\n")
    assert single_keyword_ids(labels, tmp_path / "list.txt") == ["p0"]
    write_text(tmp_path / "list.txt", "p2\n")
    with pytest.raises(InputError, match=r"no labelled picture has a single keyword.*\[chain-single\]"):
        single_keyword_ids(labels, tmp_path / "list.txt")


def test_the_list_of_the_first_round_is_written_and_counts_as_an_input(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    step = step_of(data, write_labels(data / "out"), single=True, list=data / "round-1.txt")
    assert step.inputs()["list"] == sha256("p3\np0\n")
    step.prepare()
    assert (data / "round-1.txt").read_text() == "p3\np0\n"
    write_text(data / "given.txt", "p2\n")
    step_of(data, data / "out", list=data / "given.txt").prepare()
    assert (data / "given.txt").read_text() == "p2\n"


def test_steps_and_batch_size_are_those_of_the_recipe_unless_given(tmp_path: Path) -> None:
    step = step_of(tmp_path, tmp_path, network="vgg16", recipe="largefov")
    assert (step.training_steps, step.batch_size) == (20_000, 10)  # DeepLab-LargeFOV, batch 10
    given = step_of(tmp_path, tmp_path, steps=3, batch_size=5)
    assert (given.training_steps, given.batch_size) == (3, 5)


def test_classes_of_given_labels_are_known_to_later_steps(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    found = checked(step_of(data, data / "SegmentationClass", labels_are="ground-truth", trunk_weights="none"))
    assert found.faults == []
    assert found.seen["deeplab-train-1"].classes == load_classes("voc")


def test_pictures_of_another_folder_than_the_labelled_ones_are_looked_at(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    (data / "w.pt").touch()
    for name in ("p0", "p1", "p2"):
        write_picture(data / "others" / f"{name}.jpg")
    labelling = PseudoLabelStep(
        "pseudo-label",
        1,
        PseudoLabelConfig(
            images=data / "JPEGImages", keywords=str(data / "keywords.csv"), weights=data / "w.pt", out=data / "out"
        ),
    )

    def training(images: Path) -> DeepLabTrainStep:
        config = DeepLabTrainConfig(images=images, labels=data / "out", run=data / "run")
        return DeepLabTrainStep("deeplab-train", 1, config, (labelling,))

    assert checked(labelling, training(data / "JPEGImages")).faults == []
    (fault,) = checked(labelling, training(data / "others")).faults
    assert (fault.step, fault.error.rule) == ("deeplab-train", "image-missing")
    assert "others/p3.jpg" in str(fault.error)
