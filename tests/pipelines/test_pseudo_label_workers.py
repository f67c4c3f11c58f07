"""How many processes and threads label; the processes themselves are in tests/reliability."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import pseudo_label
from pipelines.config import PseudoLabelConfig
from pipelines.engine import picture_engine
from pipelines.errors import Stopped
from pipelines.events import Events
from pipelines.labels import attention
from pipelines.networks import load
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights

SIZE = (12, 16)


def settings_of(root: Path, **changes: Any) -> PseudoLabelConfig:
    settings: dict[str, Any] = {
        "images": root / "images", "weights": root / "weights.pt", "keywords": str(root / "keywords.csv"),
        "out": root / "labels", "device": "cpu", "recognise": "off", "trunk": "timm/mobilenetv3_small_050",
        "trunk_weights": "none",
    }  # fmt: skip
    return PseudoLabelConfig(**(settings | changes))


@pytest.fixture
def threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two pictures, and a network that notes the number of threads in the list."""
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "keywords.csv").write_text("image,keywords\na,cat\nb,dog\n")
    write_weights(tmp_path / "weights.pt")
    seen: list[int] = []

    def network(picture: np.ndarray) -> Instances:
        seen.append(torch.get_num_threads())
        return Instances(torch.tensor([[0.0, 0, 16, 12]]), torch.tensor([0.9]), torch.ones(1, *SIZE, dtype=torch.bool))

    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: network)
    return seen


@pytest.mark.parametrize(
    ("device", "workers", "expected"), [("cpu", None, 5), ("cuda", None, 1), ("cpu", 3, 3), ("cuda", 3, 3)]
)
def test_one_process_for_each_core_and_on_a_gpu_one_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, workers: int | None, expected: int
):
    monkeypatch.setattr(picture_engine, "choose_device", torch.device)
    monkeypatch.setattr(picture_engine, "cores", lambda: 5)
    assert picture_engine.processes(settings_of(tmp_path, device=device, workers=workers)) == expected


@pytest.mark.parametrize("workers", [None, 1])
def test_one_process_labels_with_one_thread_too(tmp_path: Path, threads: list[int], workers: int | None):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        pseudo_label.pseudo_label(settings_of(tmp_path, workers=workers), Events())
        assert threads == [1, 1] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_signal_during_the_training_of_attention_stops_the_command(
    tmp_path: Path, threads: list[int], monkeypatch: pytest.MonkeyPatch
):
    features = attention._features

    def signalled(*given: Any) -> torch.Tensor:
        signal.raise_signal(signal.SIGTERM)
        return features(*given)

    with monkeypatch.context() as patch:
        patch.setattr(attention, "_features", signalled)
        with pytest.raises(Stopped, match="before the attention network was trained; start the same command again"):
            pseudo_label.pseudo_label(settings_of(tmp_path, fill=True), Events())
    assert pseudo_label.pseudo_label(settings_of(tmp_path, fill=True), Events())["labelled"] == 2


def test_every_file_that_a_worker_opens_is_compared_between_machines(tmp_path: Path):
    files = {
        "weights": tmp_path / "weights.pt",
        "segmenter": tmp_path / "deeplab.pt",
        "trunk_weights": str(tmp_path / "trunk.pt"),
        "reviewed": tmp_path / "reviewed",
    }
    for name in ("weights.pt", "deeplab.pt", "trunk.pt"):
        (tmp_path / name).touch()
    pictures = [tmp_path / f"{number}.png" for number in range(5)]
    assert set(picture_engine._read_by_workers(settings_of(tmp_path, **files), pictures)) == {
        ("--weights", tmp_path / "weights.pt"),
        ("--segmenter", tmp_path / "deeplab.pt"),
        ("--trunk-weights", tmp_path / "trunk.pt"),
        ("--reviewed", tmp_path / "reviewed"),
        *(("--images", pictures[number]) for number in (0, 2, 4)),
    }
    masks = settings_of(tmp_path, weights=None, instances=tmp_path / "masks.json")
    assert ("--instances", tmp_path / "masks.json") in picture_engine._read_by_workers(masks, pictures)
