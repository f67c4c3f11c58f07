"""The stage that trains the salient-instance network."""

import hashlib
import json
from pathlib import Path

from pipelines.chain.findings import Seen
from pipelines.chain.fingerprints import fingerprint
from pipelines.chain.stages.train import TrainStep
from pipelines.config import TrainConfig, to_json
from pipelines.engine.checkpoint import load_checkpoint, save_checkpoint, tensors_sha256
from pipelines.networks.build import new_s4net
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


def write_network(path: Path, **settings: object) -> None:
    """Write the checkpoint of a network of preset `paper`."""
    nowhere = Path("nowhere")
    given = {"trunk": "timm/mobilenetv3_small_050", "trunk_weights": "none", "preset": "paper", **settings}
    config = TrainConfig(images=nowhere, annotations=nowhere, **given)  # type: ignore[arg-type]
    content = {"kind": "s4net", "config": to_json(config), "model": new_s4net(config).state_dict()}
    save_checkpoint(path, content)


def test_a_network_to_start_from_is_an_input_and_gives_the_preset(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    write_network(data / "net.pt")
    step = step_of(data, start_from=data / "net.pt")
    assert checked(step).faults == []
    assert (step.training_steps, step.batch_size) == (20_000, 2)  # of `paper`
    digest = tensors_sha256(load_checkpoint(data / "net.pt")["model"])
    assert step.inputs() == {**step_of(data).inputs(), "start_from": digest}
    before = fingerprint(step)
    assert before != fingerprint(step_of(data))
    (data / "net.pt").rename(data / "moved.pt")
    assert fingerprint(step_of(data, start_from=data / "moved.pt")) == before
    write_network(data / "net.pt", seed=1)
    assert fingerprint(step) != before


def test_a_network_that_cannot_be_started_from_is_a_fault_among_others(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    write_network(data / "net.pt")
    cases = [
        ({"start_from": data / "gone.pt"}, "weights-missing"),
        ({"start_from": data / "salient.json"}, "weights-unsafe"),
        ({"start_from": data / "net.pt", "roi": "binary"}, "start-differs"),
    ]
    for settings, rule in cases:
        step = step_of(data, val_annotations=data / "no.json", **settings)
        assert [fault.error.rule for fault in checked(step).faults] == [rule, "file-missing"]
        assert step.training_steps in (2_000, 20_000)  # the plan can be printed


def test_the_disk_space_is_that_of_the_checkpoints(tmp_path: Path) -> None:
    step = step_of(tmp_path, trunk="timm/mobilenetv3_small_050", trunk_weights="none", image_size=64)
    net = new_s4net(step.config)
    tensors = list(net.state_dict().values())
    whole, count = sum(tensor.nbytes for tensor in tensors), len(tensors)
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    own, moving = sum(p.nbytes for p in net.parameters()), sum(p.nbytes for p in learning)
    parts = count + len(list(net.parameters())) + 2 * len(learning)
    last = 65536 + 1024 * parts + whole + own + 2 * moving  # AdamW keeps two numbers of each
    assert step.disk_bytes(Seen()) == 2 * last + 65536 + 1024 * count + whole
    assert step_of(tmp_path, start_from=tmp_path / "gone.pt").disk_bytes(Seen()) is None
