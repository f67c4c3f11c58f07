"""The first part of the demo's report: what ships, on photographs; the network is replaced."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.config import usual_places
from pipelines.errors import MachineError
from pipelines.studies import demo_photographs as module
from pipelines.studies.demo_photographs import counted, drawn, shipped_section, shown_photograph
from s4net import Instances


def found(height: int, width: int, scores: list[float]) -> Instances:
    """Whole-picture instances of these scores."""
    n = len(scores)
    boxes = torch.tensor([[0.0, 0.0, width, height]] * n).reshape(n, 4)
    return Instances(boxes, torch.tensor(scores), torch.ones(n, height, width, dtype=torch.bool))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "network.safetensors"
    file.touch()
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", file)
    monkeypatch.setattr(
        module, "load_s4net", lambda weights: lambda picture: found(*picture.shape[:2], [0.9, 0.4, 0.2])
    )


def test_every_photograph_is_shown_with_what_is_sure(shipped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        module, "bundled_photograph", lambda name: asked.append(name) or np.zeros((30, 800, 3), np.uint8)
    )
    section = shipped_section(0.3)
    captions = [picture.caption for picture in section.pictures]
    assert captions[:2] == ["cat: 2 instances, 0.90 and 0.40", "astronaut: 2 instances, 0.90 and 0.40"]
    assert len(captions) == len(asked) == 8 and "0.3 or more" in section.text


def test_without_scikit_image_a_line_says_what_to_install(shipped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    section = shipped_section(0.3)
    assert not section.pictures
    assert "scikit-image: not installed" in section.text and "pip install 's4-segmentation[demo]'" in section.text
    with pytest.raises(MachineError, match=r"\[demo-missing\]"):
        shown_photograph("cat")


def test_without_a_network_that_ships_a_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", tmp_path / "none")
    section = shipped_section(0.3)
    assert not section.pictures and "no network that ships" in section.text


def test_photographs_are_reduced_and_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = np.full((600, 300), 77, np.uint8)
    monkeypatch.setattr(module, "bundled_photograph", lambda name: grey)
    shown = shown_photograph("camera")
    assert shown.shape == (400, 200, 3) and (shown == 77).all()
    assert shown.flags.writeable  # torch warns of others


def test_every_photograph_is_inside_the_wheel() -> None:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image, of the extra demo")
    from importlib.resources import files

    assert data.cat is not None
    names = {"cat": "chelsea", "stereo_motorcycle": "motorcycle_left"}
    bundled = {Path(entry.name).stem for entry in files("skimage.data").iterdir()}
    assert {names.get(name, name) for name in module._PHOTOGRAPHS} <= bundled


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ([], "no instance"),
        ([0.5], "1 instance, 0.50"),
        ([0.75, 0.7], "2 instances, 0.75 and 0.70"),
        ([0.9, 0.8, 0.304], "3 instances, 0.90 to 0.30"),
    ],
)
def test_instances_are_counted_in_words(scores: list[float], text: str) -> None:
    assert counted(scores) == text


def test_what_was_found_is_drawn_over_the_picture() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    assert not drawn(picture, found(40, 60, [])).any()
    assert drawn(picture, found(40, 60, [0.5])).any(axis=2).all()
