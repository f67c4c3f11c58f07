"""The work on one picture, in a process of its own or not. Here a copy through pickle stands for the other process."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError, MachineError
from pipelines.events import Events
from pipelines.files import write_json
from pipelines.labels import attention, picture_work
from pipelines.labels.attention import stored_attention
from pipelines.labels.learn import Evidence
from pipelines.labels.picture_work import PictureWork
from pipelines.labels.plan import make_plan
from pipelines.networks import load
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights

SIZE = (12, 16)


def found(_: np.ndarray) -> Instances:
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[:, :, 8:] = True
    return Instances(torch.tensor([[8.0, 0, 16, 12]]), torch.tensor([0.9]), mask)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    (tmp_path / "keywords.csv").write_text("image,keywords\na,cat\n")
    write_weights(tmp_path / "weights.pt")
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: found)
    return tmp_path


def work_in(root: Path, **changes: Any) -> PictureWork:
    settings: dict[str, Any] = {
        "images": root / "images", "weights": root / "weights.pt", "keywords": str(root / "keywords.csv"),
        "out": root / "labels", "device": "cpu", "recognise": "off", "trunk_weights": "none",
    }  # fmt: skip
    config = PseudoLabelConfig(**(settings | changes))
    return PictureWork(config, make_plan(config, Events()))


def elsewhere(work: PictureWork) -> PictureWork:
    copy: PictureWork = pickle.loads(pickle.dumps(work))
    return copy


def test_another_process_writes_the_maps_itself_and_sends_the_record_alone(root: Path):
    work = work_in(root)
    work.open()
    here = work.label("a", Evidence())
    assert not (root / "labels").exists()
    there = elsewhere(work).label("a", Evidence())
    assert there.record == here.record and there.label_map is None and there.confidence is None
    assert here.label_map is not None
    with Image.open(root / "labels/labels/a.png") as image:
        assert np.array_equal(np.asarray(image), work.plan.classes.to_palette(here.label_map))
    with Image.open(root / "labels/confidence/a.png") as image:
        assert np.array_equal(np.asarray(image), here.confidence)


def test_what_another_process_noted_of_files_is_told_once_by_this_one(root: Path, capsys: pytest.CaptureFixture[str]):
    (rle,) = encode_masks(found(np.zeros(0)).masks.numpy())
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle, "score": 0.9}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    write_json(root / "masks.json", coco)
    work = work_in(root, weights=None, instances=root / "masks.json")
    copy = elsewhere(work)
    assert copy.told() == {}
    for _ in range(2):
        copy.label("a", Evidence())
        work.hear(copy.told())
    assert copy.told() == {}
    capsys.readouterr()
    work.plan.notes.tell()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "pictures whose instances have their keyword from there: 1 (a)" in told


def test_a_missing_attention_network_is_no_fault_of_a_picture(root: Path, monkeypatch: pytest.MonkeyPatch):
    work = work_in(root, fill=True)
    with pytest.raises(MachineError, match=r"attention\.safetensors: gone.*\[file-missing\]"):
        work.label("a", Evidence())

    def unreadable(*_: Any) -> None:
        raise InputError("trunk.pth: damaged, weights expected; restore it", "weights-damaged")

    monkeypatch.setattr(picture_work, "stored_attention", unreadable)
    with pytest.raises(MachineError, match=r"\[weights-damaged\]"):
        work.label("a", Evidence())


@pytest.mark.slow
def test_the_weights_of_the_trunk_are_read_and_hashed_once_for_the_training(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    for name in ("trunk_state", "attention_fingerprint"):
        real = getattr(attention, name)
        monkeypatch.setattr(attention, name, lambda *given, name=name, real=real: (read.append(name), real(*given))[1])
    work = work_in(root, fill=True, trunk="timm/mobilenetv3_small_050", precision="fp32")
    trained = attention.open_attention(work.config, work.plan, Events())
    assert sorted(read) == ["attention_fingerprint", "trunk_state"]
    assert attention.open_attention(work.config, work.plan, Events()).unit == trained.unit  # that of the file


def test_the_steps_of_the_training_give_another_process_the_same_network(root: Path):
    work = work_in(root, fill=True, trunk="timm/mobilenetv3_small_050", precision="fp32")
    copy, steps = elsewhere(work), []

    def passes(step: Any, items: Any) -> Any:
        for image_id, given in items:
            answers = [step(one, image_id, given) for one in (work, copy)]
            assert np.array_equal(*answers)
            steps.append(image_id)
            yield image_id, pickle.loads(pickle.dumps(answers[1]))

    work.train_attention(Events(), passes)
    assert steps == ["a", "a"]  # its features, and the peaks of its maps
    assert copy.label("a", Evidence()).record == work.label("a", Evidence()).record
    stored = stored_attention(work.config, work.plan)
    assert stored is not None and stored.unit == work._attention.unit
