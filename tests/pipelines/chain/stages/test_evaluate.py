"""The stage that measures what a round has made."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.stages.evaluate import EvaluateStep
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.config import EvaluateConfig, PseudoLabelConfig
from pipelines.data.classes import load_classes
from pipelines.data.label_folder import LabelFolder
from pipelines.data.review import review_sha256
from tests.pipelines.chain.some_step import checked
from tests.pipelines.chain.tiny_chain import write_data, write_mask
from tests.pipelines.review_folder import action
from tests.pipelines.weight_files import hash_of_weights, write_weights


def step_of(**settings: Any) -> EvaluateStep:
    return EvaluateStep("evaluate", 1, EvaluateConfig(**settings))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hash_of(text: str) -> str:
    return sha256(text.encode())


def contents(folder: Path, *names: str) -> str:
    return hash_of("".join(f"{name} {sha256((folder / f'{name}.png').read_bytes())}\n" for name in names))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


def test_a_network_is_measured_on_pictures_and_predictions_are_not(data: Path) -> None:
    write_weights(data / "w.pt", "w")
    write_mask(data / "maps" / "p4.png")
    truth = {"list": hash_of("p4\np5\n"), "truth": contents(data / "SegmentationClass", "p4", "p5")}
    sizes = [(data / "JPEGImages" / f"{name}.jpg").stat().st_size for name in ("p4", "p5")]
    pictures = hash_of(f"p4 {sizes[0]}\np5 {sizes[1]}\n")
    assert step_of(voc=data, weights=data / "w.pt").inputs() == {
        "weights": hash_of_weights("w"),
        "voc": {**truth, "pictures": pictures},
    }
    assert step_of(voc=data, predictions=data / "maps").inputs() == {
        "weights": None,
        "voc": truth,
        "predictions": contents(data / "maps", "p4"),
    }


def test_masks_are_known_by_their_content_and_for_a_network_the_pictures_by_their_size(data: Path) -> None:
    write_weights(data / "w.pt", "w")
    masks = data / "SegmentationClass"
    sizes = [(data / "JPEGImages" / f"{name}.jpg").stat().st_size for name in ("p4", "p5")]
    pictures = hash_of(f"p4 {sizes[0]}\np5 {sizes[1]}\n")
    assert step_of(images=data / "JPEGImages", masks=masks, weights=data / "w.pt").inputs() == {
        "weights": hash_of_weights("w"),
        "masks": contents(masks, "p4", "p5"),
        "pictures": pictures,
    }
    files = step_of(images=data / "JPEGImages", masks=masks, predictions=masks)  # scored without a look at pictures
    assert set(files.inputs()) == {"weights", "masks", "predictions"}
    peer = step_of(images=data / "JPEGImages", masks=masks, predictions=masks, versus=data / "w.pt")
    assert peer.inputs()["pictures"] == pictures
    assert step_of(voc=data, predictions=masks, versus=data / "w.pt").inputs()["voc"]["pictures"] == pictures


def test_instances_are_measured_on_the_pictures_of_the_annotations(data: Path) -> None:
    write_weights(data / "w.pt", "w")
    sizes = [(data / "salient" / f"s{number}.jpg").stat().st_size for number in range(2)]
    step = step_of(images=data / "salient", annotations=data / "salient.json", weights=data / "w.pt")
    assert step.inputs() == {
        "weights": hash_of_weights("w"),
        "annotations": sha256((data / "salient.json").read_bytes()),
        "pictures": hash_of(f"s0.jpg {sizes[0]}\ns1.jpg {sizes[1]}\n"),
    }


def test_labels_are_known_by_manifest_records_and_corrections(data: Path) -> None:
    write_mask(data / "out" / "labels" / "p4.png")
    LabelFolder(data / "out", load_classes("voc")).write_manifest()
    manifest = sha256((data / "out" / "manifest.json").read_bytes())
    assert step_of(voc=data, labels=data / "out").inputs()["labels"] == [manifest, None]  # without records
    (data / "out" / "review.jsonl").write_text(json.dumps(action("reject")) + "\n")
    corrected = review_sha256(data / "out")
    assert corrected and step_of(voc=data, labels=data / "out").inputs()["labels"] == [manifest, None, corrected]


def test_the_peer_is_a_folder_of_maps_a_run_or_a_file(data: Path) -> None:
    def versus(peer: Path) -> Any:
        return step_of(voc=data, predictions=data / "SegmentationClass", versus=peer).inputs()["versus"]

    write_mask(data / "peer" / "p4.png")
    write_weights(data / "run" / "checkpoints" / "best.pt", "best")
    write_weights(data / "file.pt", "file")
    assert versus(data / "peer") == contents(data / "peer", "p4")
    assert versus(data / "run") == hash_of_weights("best")
    assert versus(data / "file.pt") == hash_of_weights("file")


def test_an_evaluation_is_complete_with_the_predictions_it_was_to_save(tmp_path: Path) -> None:
    given = {"voc": tmp_path, "weights": tmp_path / "w.pt"}
    assert step_of(**given).is_complete({})
    step = step_of(**given, save_predictions=tmp_path / "maps")
    assert not step.is_complete({})
    (tmp_path / "maps").mkdir()
    assert step.is_complete({})
    assert step.place is None


def test_the_score_of_a_round_is_the_miou(tmp_path: Path) -> None:
    step = step_of(voc=tmp_path, weights=tmp_path / "w.pt")
    assert (step.miou({"miou": 0.5}), step.miou({"ap50": 0.5})) == (0.5, None)
    assert list(step.figures({"images": 2, "miou": 0.5, "crf": True}).items()) == [("miou", 0.5), ("images", 2)]


def test_predictions_of_the_list_are_there_unless_some_may_be_missing(data: Path) -> None:
    write_mask(data / "maps" / "p4.png")
    (fault,) = checked(step_of(voc=data, predictions=data / "maps")).faults
    assert "maps/p5.png" in str(fault.error)
    found = checked(step_of(voc=data, predictions=data / "maps", allow_missing=True))
    assert (found.faults, found.seen["evaluate"].pictures) == ([], 2)


def test_labels_of_the_chain_are_there_for_the_whole_list(data: Path) -> None:
    write_weights(data / "w.pt")
    (data / "pets.txt").write_text("cat\ndog\n")
    (data / "keywords.csv").write_text("image,keywords\np0,cat\np5,dog\n")
    given = {"keywords": str(data / "keywords.csv"), "weights": data / "w.pt", "classes": str(data / "pets.txt")}
    labelling = PseudoLabelStep(
        "pseudo-label", 1, PseudoLabelConfig(images=data / "JPEGImages", out=data / "out", **given)
    )

    def rules(**settings: Any) -> list[str]:
        config = EvaluateConfig(voc=data, labels=data / "out", **settings)
        found = checked(labelling, EvaluateStep("evaluate", 1, config, (labelling,)))
        return [str(fault.error) for fault in found.faults]

    pets = str(data / "pets.txt")
    (missing,) = rules(classes=pets)
    assert missing.startswith(f"{data}: p4 of val gets no label")
    assert rules(classes=pets, allow_missing=True) == []
    assert rules(allow_missing=True) == []  # unset, the classes are those of the labels
    (differs,) = rules(classes="voc", allow_missing=True)
    assert differs.startswith("[evaluate] classes voc: 20 classes (aeroplane, bicycle, bird, boat, ...)")


def test_masks_and_their_pictures_are_looked_at_before_anything_is_trained(data: Path) -> None:
    masks, images = data / "SegmentationClass", data / "JPEGImages"
    write_weights(data / "w.pt")

    def told(**settings: Any) -> list[str]:
        return [str(fault.error) for fault in checked(step_of(**settings)).faults]

    (missing,) = told(masks=data / "gone", images=images, weights=data / "w.pt")
    assert missing.startswith(f"{data / 'gone'}: no such folder")
    (unnamed,) = told(masks=masks, weights=data / "w.pt")
    assert unnamed.startswith("[evaluate] images: not given")
    (bare,) = told(masks=masks, images=images, weights=data / "w.pt")
    assert bare.startswith(f"{images}: 4 of 6 files have no label map of the same name in {masks} (p0, p1, p2, p3)")
    assert told(masks=masks, images=images, weights=data / "w.pt", allow_missing=True) == []
    assert told(masks=masks, images=images, predictions=masks, versus=data / "w.pt") == []
    write_mask(masks / "p6.png")
    (orphan,) = told(masks=masks, images=images, predictions=masks, versus=data / "w.pt")
    assert orphan.startswith(f"{masks}: 1 of 3 files have no picture of the same name in {images} (p6)")
    write_mask(data / "maps" / "p4.png")
    absent = told(masks=masks, predictions=data / "maps")
    assert [line.split(":")[0] for line in absent] == [str(data / "maps" / f"{name}.png") for name in ("p5", "p6")]
    for name in ("p5", "p6"):
        write_mask(data / "maps" / f"{name}.PNG")  # as evaluate takes it
    assert told(masks=masks, predictions=data / "maps") == []
    write_mask(masks / "p4.png", (3, 3))
    (size,) = told(masks=masks, images=images, weights=data / "w.pt", allow_missing=True)
    assert "p4.png: label map is 3x3, expected 8x6" in size


def test_labels_from_elsewhere_and_the_class_list_are_looked_at(data: Path) -> None:
    def told(**settings: Any) -> list[str]:
        return [str(fault.error) for fault in checked(step_of(voc=data, **settings)).faults]

    write_mask(data / "out" / "labels" / "p4.png")
    (unmarked,) = told(labels=data / "out")
    assert unmarked.endswith("[labels-unmarked]")
    LabelFolder(data / "out", load_classes("voc")).write_manifest()
    (missing,) = told(labels=data / "out")
    assert missing.startswith(f"{data / 'out' / 'labels' / 'p5.png'}: no such picture")
    assert told(labels=data / "out", allow_missing=True) == []
    (gone,) = told(labels=data / "out", classes=str(data / "gone.txt"), allow_missing=True)
    assert "gone.txt: no such file" in gone


def test_labels_of_the_chain_are_there_for_all_masks(data: Path) -> None:
    write_weights(data / "w.pt")
    given = {"keywords": str(data / "keywords.csv"), "weights": data / "w.pt"}
    labelling = PseudoLabelStep(
        "pseudo-label", 1, PseudoLabelConfig(images=data / "JPEGImages", out=data / "out", **given)
    )
    config = EvaluateConfig(masks=data / "SegmentationClass", labels=data / "out")
    found = checked(labelling, EvaluateStep("evaluate", 1, config, (labelling,)))
    lines = [str(fault.error) for fault in found.faults]
    expected = "gets no label, a picture with keywords expected; set allow_missing, or take its mask out"
    assert lines == [f"{config.masks}: {name} {expected} [label-missing]" for name in ("p4", "p5")]
