"""Where the weights of a trunk come from, without a connection and with a hub that stands in."""

import time
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from pipelines.errors import MachineError
from pipelines.networks import trunk_places
from pipelines.networks.trunk_places import TrunkPlace, find_trunk
from pipelines.networks.trunk_weights import trunk_state

SMALL = "mobilenetv3_small_050"


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, file: None)


def hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[str, float]]:
    """A hub that gives an answer, or raises it; and the questions that it is asked."""
    asked: list[tuple[str, float]] = []

    def metadata(place: str, timeout: float) -> Any:
        asked.append((place, timeout))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    return asked


class Metadata:
    def __init__(self, size: int | None) -> None:
        self.size = size


def test_what_is_here_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = hub(monkeypatch, ConnectionError())
    assert find_trunk(SMALL, "none").where == "none"
    assert find_trunk(SMALL, "w.pt") == TrunkPlace(SMALL, "file", Path("w.pt"))
    assert find_trunk("tf_efficientnet_lite0", "imagenet").where == "package"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, file: str(tmp_path / file))
    assert find_trunk(SMALL, "imagenet") == TrunkPlace(SMALL, "cache", tmp_path / "model.safetensors")
    assert asked == []


def test_the_hub_is_asked_once_and_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, Metadata(12_345_678))
    place = find_trunk(SMALL, "imagenet")
    assert (place.where, place.in_words) == ("hub", "not here, to be downloaded, 12 MB")
    assert [timeout for _, timeout in asked] == [3.0]
    assert "mobilenetv3_small_050" in asked[0][0] and asked[0][0].endswith("model.safetensors")


def test_without_a_connection_the_size_is_that_of_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, ConnectionError("no route"))
    place = find_trunk("resnet50.tv_in1k", "imagenet")
    # 25,557,032 parameters of torchvision's ResNet-50, and 53,120 means and variances: 4 bytes each.
    assert place.where == "nowhere"
    assert place.megabytes == pytest.approx(4 * (25_557_032 + 53_120) / 1e6, rel=1e-4)
    assert place.in_words == "not here, and no connection to download them, 102 MB"
    assert len(asked) == 1


def test_a_network_without_published_weights_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError())
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name, allow_unregistered: None)
    assert find_trunk(SMALL, "imagenet").where == "absent"
    with pytest.raises(MachineError, match="the timm library knows none"):
        trunk_state(SMALL, "imagenet")


def test_weights_that_cannot_be_had_are_told_after_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, ConnectionError())
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("a second try"))
    monkeypatch.setattr(trunk_places, "_megabytes", lambda name: 10.0)
    started = time.monotonic()
    with pytest.raises(MachineError, match=r"no connection.*efficientnet_lite0.*\[weights-download\]"):
        trunk_state("resnet50.tv_in1k", "imagenet")
    assert time.monotonic() - started < 5
    assert len(asked) == 1


def test_the_advice_is_not_the_trunk_that_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError())
    monkeypatch.setattr(trunk_places, "_wheel_file", lambda: None)
    with pytest.raises(MachineError) as caught:
        trunk_state("tf_efficientnet_lite0", "imagenet")
    assert "take the trunk" not in caught.value.message


def test_weights_of_an_earlier_download_need_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = timm.create_model(SMALL, pretrained=False).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, file: str(tmp_path / file))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("the hub was asked"))
    loaded = trunk_state(SMALL, "imagenet")
    assert loaded is not None and loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
