"""The stage that measures what a round has made."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.stages.evaluate import EvaluateStep
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.config import EvaluateConfig, PseudoLabelConfig
from pipelines.data.classes import load_classes
from pipelines.data.label_folder import LabelFolder
from tests.pipelines.chain.some_step import checked
from tests.pipelines.chain.tiny_chain import write_data, write_mask
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


def test_instances_are_measured_on_the_pictures_of_the_annotations(data: Path) -> None:
    write_weights(data / "w.pt", "w")
    sizes = [(data / "salient" / f"s{number}.jpg").stat().st_size for number in range(2)]
    step = step_of(images=data / "salient", annotations=data / "salient.json", weights=data / "w.pt")
    assert step.inputs() == {
        "weights": hash_of_weights("w"),
        "annotations": sha256((data / "salient.json").read_bytes()),
        "pictures": hash_of(f"s0.jpg {sizes[0]}\ns1.jpg {sizes[1]}\n"),
    }


def test_labels_are_known_by_manifest_and_records(data: Path) -> None:
    write_mask(data / "out" / "labels" / "p4.png")
    LabelFolder(data / "out", load_classes("voc")).write_manifest()
    manifest = sha256((data / "out" / "manifest.json").read_bytes())
    assert step_of(voc=data, labels=data / "out").inputs()["labels"] == [manifest, None]  # without records


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
