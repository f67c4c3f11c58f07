"""The stage that trains the salient-instance network."""

import hashlib
import json
from pathlib import Path

from pipelines.chain.stages.train import TrainStep
from pipelines.config import TrainConfig
from tests.pipelines.chain.some_step import checked
from tests.pipelines.chain.tiny_chain import write_data


def step_of(data: Path, **settings: object) -> TrainStep:
    given = {"images": data / "salient", "annotations": data / "salient.json", "run": data / "run", **settings}
    return TrainStep("train", 0, TrainConfig(**given))  # type: ignore[arg-type]


def test_inputs_are_the_contents_of_annotations_and_the_sizes_of_pictures(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    listed = [{"id": 1, "file_name": "gone.jpg"}, {"id": 2, "file_name": "s1.jpg"}]
    (data / "val.json").write_text(json.dumps({"images": listed, "annotations": [], "categories": []}))
    sizes = [(data / "salient" / f"s{number}.jpg").stat().st_size for number in range(2)]
    lines = f"gone.jpg -1\ns0.jpg {sizes[0]}\ns1.jpg {sizes[1]}\n"
    assert step_of(data, val_annotations=data / "val.json").inputs() == {
        "annotations": [
            hashlib.sha256((data / name).read_bytes()).hexdigest() for name in ("salient.json", "val.json")
        ],
        "pictures": hashlib.sha256(lines.encode()).hexdigest(),
    }


def test_steps_and_batch_size_are_those_of_the_preset_unless_given(tmp_path: Path) -> None:
    assert (step_of(tmp_path).training_steps, step_of(tmp_path).batch_size) == (2_000, 8)  # preset `modern`
    paper = step_of(tmp_path, preset="paper")
    assert (paper.training_steps, paper.batch_size) == (20_000, 2)  # paper Sec. 4.1
    given = step_of(tmp_path, steps=3, batch_size=5)
    assert (given.training_steps, given.batch_size) == (3, 5)


def test_the_training_pictures_are_counted_and_both_files_are_looked_at(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    coco = json.loads((data / "salient.json").read_text())
    one = {**coco, "images": coco["images"][:1], "annotations": coco["annotations"][:1]}
    (data / "one.json").write_text(json.dumps(one))
    found = checked(step_of(data, val_annotations=data / "one.json", trunk_weights="gone.pt"))
    assert [fault.error.rule for fault in found.faults] == ["weights-missing"]
    assert found.seen["train"].pictures == 2
    found = checked(step_of(data, val_annotations=data / "no.json", annotations=data / "neither.json"))
    assert [str(fault.error).partition(":")[0] for fault in found.faults] == [
        str(data / "no.json"),
        str(data / "neither.json"),
    ]
