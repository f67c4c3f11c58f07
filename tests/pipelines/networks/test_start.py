"""The network that a training starts from, and the settings that come from it."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.config import TrainConfig, to_json, usual_places
from pipelines.engine.checkpoint import load_checkpoint, pack_checkpoint, save_checkpoint, tensors_sha256
from pipelines.errors import ConfigError, InputError
from pipelines.networks.build import new_s4net
from pipelines.networks.start import read_start

NOWHERE = Path("nowhere")


def settings(**values: Any) -> TrainConfig:
    return TrainConfig(**{"images": NOWHERE, "annotations": NOWHERE, **values})


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """The checkpoint of a network whose settings are none of the usual ones."""
    config = settings(
        trunk="timm/mobilenetv3_small_050",
        trunk_weights="none",
        preset="paper",
        roi="expanded",
        alpha=0.25,
        proposals=7,
        image_size=96,
        mask_slack=0.1,
    )
    return {"kind": "s4net", "config": to_json(config), "model": new_s4net(config).state_dict()}


@pytest.fixture
def run(trained: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "trained" / "checkpoints" / "best.pt"
    save_checkpoint(path, trained)
    return tmp_path / "trained"


def test_what_is_left_out_comes_from_the_network(run: Path) -> None:
    start = read_start(settings(start_from=run))
    assert start is not None and start.path == run / "checkpoints" / "best.pt"
    config = start.config
    assert (config.preset, config.trunk, config.roi) == ("paper", "timm/mobilenetv3_small_050", "expanded")
    assert (config.alpha, config.proposals, config.image_size, config.mask_slack) == (0.25, 7, 96, 0.1)
    assert config.trunk_weights is None and config.start_from == run


def test_sizes_proposals_and_slack_may_differ(run: Path) -> None:
    start = read_start(settings(start_from=run, image_size=128, proposals=9, mask_slack=0.0))
    assert start is not None
    assert (start.config.image_size, start.config.proposals, start.config.mask_slack) == (128, 9, 0.0)


def test_all_that_asks_for_another_network_is_told_with_both_values(run: Path) -> None:
    asked = settings(start_from=run, preset="modern", trunk="resnet50", roi="expanded", alpha=1 / 4)
    with pytest.raises(ConfigError) as caught:
        read_start(asked)
    assert str(caught.value) == (
        f"--start-from {run}: another network asked for (--preset modern given, paper expected; "
        "--trunk resnet50 given, timm/mobilenetv3_small_050 expected); leave that out, or train without --start-from "
        "[start-differs]"
    )


def test_nothing_is_read_without_a_network_to_start_from() -> None:
    config = settings()
    assert read_start(config) is None
    assert (config.preset, config.trunk, config.trunk_weights) == ("modern", "efficientnet_lite0", "imagenet")
    assert (config.roi, config.alpha, config.proposals, config.image_size) == ("ternary", 1 / 3, 20, 320)


def test_trunk_weights_beside_a_trained_network_are_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--start-from .* and --trunk-weights none: both given.*setting-value"):
        settings(start_from=run, trunk_weights="none")


def test_the_record_names_the_file_and_the_hash_of_the_tensors(run: Path, trained: dict[str, Any]) -> None:
    start = read_start(settings(start_from=run))
    assert start is not None
    assert start.record == {"from": str(run.absolute()), "sha256": tensors_sha256(trained["model"])}


def test_the_hash_is_that_of_names_types_shapes_and_bytes() -> None:
    one, two = torch.tensor([[1.0, -2.0]]), torch.tensor(3)
    content = b"a torch.float32 (1, 2)\n" + struct.pack("<2f", 1, -2) + b"b torch.int64 ()\n" + struct.pack("<q", 3)
    expected = hashlib.sha256(content).hexdigest()
    assert tensors_sha256({"b": two, "a": one}) == expected
    transposed = torch.tensor([[1.0, 5.0], [-2.0, 6.0]]).T[:1]  # [[1, -2]] in other strides
    assert tensors_sha256({"a": transposed, "b": two}) == expected
    assert tensors_sha256({"a": one.T, "b": two}) != expected
    assert tensors_sha256({"a": one, "c": two}) != expected


def test_the_network_that_ships_is_taken_by_its_word(
    trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped.safetensors"
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)
    with pytest.raises(InputError, match="this installation has no such network"):
        read_start(settings(start_from=Path("builtin")))
    pack_checkpoint(trained, shipped)
    start = read_start(settings(start_from=Path("builtin")))
    assert start is not None and start.record["from"] == "builtin"
    net = new_s4net(start.config, pretrained=False)
    start.load_into(net)
    # It is packed in half precision, and trains in full.
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
    for name, tensor in net.state_dict().items():
        expected = trained["model"][name]
        if tensor.is_floating_point() and tensor.ndim > 1:
            expected = expected.half().float()
        assert torch.equal(tensor, expected), name


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {key: value for key, value in content.items() if key != name}


def with_model(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {**content, "model": change(dict(content["model"]))}


def one_tensor(value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return with_model(lambda model: {**model, next(iter(model)): value})


DAMAGES = {
    "a DeepLab": (lambda content: {**content, "kind": "deeplab"}, "weights-kind"),
    "tensors of another program": (lambda content: content["model"], "weights-kind"),
    "no settings": (without("config"), "weights-damaged"),
    "no tensors": (without("model"), "weights-damaged"),
    "settings that are none": (lambda content: {**content, "config": 7}, "weights-damaged"),
    "unknown settings": (lambda content: {**content, "config": {**content["config"], "colour": 1}}, "weights-damaged"),
    "an impossible size": (lambda content: {**content, "config": {**content["config"], "image_size": 1}}, "-damaged"),
    "a tensor too few": (with_model(lambda model: dict(list(model.items())[1:])), "weights-damaged"),
    "a tensor of another shape": (one_tensor(torch.zeros(1, 2, 3)), "weights-damaged"),
    "a number for a tensor": (one_tensor(7), "weights-damaged"),
    "a number that is none": (
        with_model(lambda model: {name: tensor / 0 if tensor.ndim > 1 else tensor for name, tensor in model.items()}),
        "weights-damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_files_that_hold_no_such_network_are_named(name: str, run: Path, trained: dict[str, Any]) -> None:
    damage, rule = DAMAGES[name]
    path = run / "checkpoints" / "best.pt"
    save_checkpoint(path, damage(trained))
    with pytest.raises(InputError) as caught:
        start = read_start(settings(start_from=run))
        assert start is not None
        start.load_into(new_s4net(start.config, pretrained=False))
    assert caught.value.rule.endswith(rule) and str(path) in caught.value.message


@pytest.mark.parametrize("header", [None, {"s4": "7"}, {"s4": "{"}, {"s4": '{"kind": "deeplab"}'}])
def test_packed_files_without_a_network_are_named(header: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(2)}, path, metadata=header)
    with pytest.raises(InputError, match=r"other\.safetensors: .*\[weights-(damaged|kind)\]"):
        read_start(settings(start_from=path))


def test_a_file_of_another_kind_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text('{"images": []}')
    with pytest.raises(InputError) as caught:
        read_start(settings(start_from=path))
    assert "checkpoint written by s4 expected" in caught.value.message and "torch" not in caught.value.message


def test_a_run_that_has_begun_goes_on_without_the_first_network(run: Path, tmp_path: Path) -> None:
    config = settings(start_from=run, run=tmp_path / "new", resume=True)
    start = read_start(config)
    assert start is not None
    content = {**load_checkpoint(start.path), "config": to_json(start.config), "start": start.record}
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    save_checkpoint(tmp_path / "new" / "checkpoints" / "last.pt", content)
    start.path.unlink()
    again = read_start(config)
    assert again is not None and again.model is None
    assert (again.config, again.record) == (start.config, start.record)
    with pytest.raises(InputError, match="weights-missing"):
        read_start(replace(config, resume=False))


def test_a_run_with_a_checkpoint_that_started_anew_is_refused(run: Path, trained: dict[str, Any]) -> None:
    save_checkpoint(run / "checkpoints" / "last.pt", trained)
    with pytest.raises(InputError, match=r"does not say what it started from.*weights-damaged"):
        read_start(settings(start_from=run, run=run, resume=True))
