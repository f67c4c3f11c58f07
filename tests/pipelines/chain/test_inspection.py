"""The checks that stages share."""

import io
from pathlib import Path

import pytest

from pipelines.chain.findings import Fault, Findings
from pipelines.chain.inspection import Inspection
from pipelines.data.checking import Headers
from pipelines.data.classes import ClassList
from pipelines.errors import InputError, MachineError
from pipelines.events import Events
from tests.pipelines.chain.tiny_chain import write_data, write_mask, write_picture


@pytest.fixture
def findings() -> Findings:
    return Findings()


@pytest.fixture
def inspection(findings: Findings) -> Inspection:
    return Inspection("train", findings, Headers(), Events(io.StringIO()))


def test_an_error_becomes_a_fault_and_the_look_goes_on(inspection: Inspection, findings: Findings) -> None:
    error = MachineError("disk: gone, one expected; attach it", "read-failed")
    with inspection.catching():
        raise error
    inspection.refuse("x: wrong, right expected; mend it", "some-rule")
    assert findings.faults[0] == Fault("train", error)
    assert str(findings.faults[1].error) == "x: wrong, right expected; mend it [some-rule]"


def test_sizes_are_those_of_usable_pictures(inspection: Inspection, findings: Findings, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", (6, 8))
    (tmp_path / "b.jpg").write_bytes(b"")
    assert inspection.pictures([tmp_path / "a.jpg", tmp_path / "b.jpg"], bearable=True) == [(6, 8)]
    (fault,) = findings.faults
    assert (fault.step, fault.bearable) == ("train", True)
    inspection.pictures([tmp_path / "b.jpg"])
    assert not findings.faults[1].bearable


def test_a_pair_has_one_size(inspection: Inspection, findings: Findings, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", (6, 8))
    write_mask(tmp_path / "same.png", (6, 8))
    write_mask(tmp_path / "turned.png", (8, 6))
    names = ("same.png", "turned.png", "gone.png")
    inspection.pairs([(tmp_path / "a.jpg", tmp_path / name) for name in names])
    turned, gone = findings.faults
    assert "turned.png: label map is 6x8, expected 8x6 as" in str(turned.error)
    assert turned.error.rule == "label-size"
    assert gone.error.rule == "image-missing"


def test_a_coco_file_fits_its_pictures(inspection: Inspection, findings: Findings, tmp_path: Path) -> None:
    data = write_data(tmp_path)
    assert inspection.coco(data / "salient.json", data / "salient") == 2
    assert findings.faults == []
    with pytest.raises(InputError, match=r"\[file-missing\]"):
        inspection.coco(data / "none.json", data / "nowhere")
    assert [fault.error.rule for fault in findings.faults] == ["folder-missing"]  # both are told


def test_missing_pictures_of_a_coco_file_are_all_faults(
    inspection: Inspection, findings: Findings, tmp_path: Path
) -> None:
    data = write_data(tmp_path)
    for name in ("s0", "s1"):
        (data / "salient" / f"{name}.jpg").unlink()
    assert inspection.coco(data / "salient.json", data / "salient") == 2
    assert [fault.error.rule for fault in findings.faults] == ["image-missing"] * 2


def test_trunk_weights_are_a_word_or_a_file(inspection: Inspection, findings: Findings, tmp_path: Path) -> None:
    (tmp_path / "w.pt").touch()
    for source in ("imagenet", "none", str(tmp_path / "w.pt")):
        inspection.trunk_weights("resnet50", source)
    assert findings.faults == []
    inspection.trunk_weights("resnet50", str(tmp_path))
    assert findings.faults[0].error.rule == "weights-missing"


def test_weights_are_there(inspection: Inspection, findings: Findings, tmp_path: Path) -> None:
    inspection.weights(None)
    (tmp_path / "w.pt").touch()
    inspection.weights(tmp_path / "w.pt")
    assert findings.faults == []
    inspection.weights(tmp_path / "gone.pt")
    assert findings.faults[0].error.rule == "weights-missing"


def test_classes_are_those_of_the_labels(inspection: Inspection, findings: Findings) -> None:
    cats, pets = ClassList.from_names(["cat"]), ClassList.from_names(["cat", "dog"])
    inspection.same_classes(None, cats, "[evaluate] classes voc")
    inspection.same_classes(cats, cats, "[evaluate] classes voc")
    assert findings.faults == []
    inspection.same_classes(pets, cats, "[evaluate] classes pets.txt")
    assert str(findings.faults[0].error) == (
        "[evaluate] classes pets.txt: 2 classes (cat, dog, ...), expected those of the labels (cat, ...); leave it out "
        "[class-list-differs]"
    )


def test_what_another_step_shows_can_be_seen(inspection: Inspection, findings: Findings) -> None:
    inspection.seen.pictures = 3
    other = Inspection("evaluate", findings, Headers(), Events(io.StringIO()))
    assert other.seen_of("train").pictures == 3
    assert other.seen.pictures is None
