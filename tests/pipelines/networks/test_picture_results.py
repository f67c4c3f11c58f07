"""Loaded networks called with lists, and what their results can do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeplab import build_deeplab
from pipelines.data.classes import ClassList
from pipelines.networks.load import DeepLabPredictor, S4NetPredictor
from pipelines.networks.picture_results import PictureInstances
from s4net import Instances, build_s4net


def two_instances() -> PictureInstances:
    """The left half of a picture of 6 x 8 with score 0.9, and its last column with 0.25."""
    masks = torch.zeros(2, 6, 8, dtype=torch.bool)
    masks[0, :, :4] = masks[1, :, 7] = True
    boxes = torch.tensor([[0.0, 0, 4, 6], [7, 0, 8, 6]])
    return PictureInstances(boxes, torch.tensor([0.9, 0.25]), masks)


def test_instances_are_saved_and_read_again(tmp_path: Path) -> None:
    found = two_instances()
    found.save(tmp_path / "new" / "folder")
    content = json.loads((tmp_path / "new" / "folder" / "instances.json").read_text())
    assert content["boxes"] == [[0, 0, 4, 6], [7, 0, 8, 6]] and content["masks"] == ["1.png", "2.png"]
    assert content["scores"] == pytest.approx([0.9, 0.25])
    for name, mask in zip(content["masks"], found.masks.numpy(), strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "folder" / name)), mask * np.uint8(255))


def test_instances_are_drawn_where_they_are() -> None:
    grey = np.full((6, 8, 3), 100, np.uint8)
    drawn = np.asarray(two_instances().above(0.2).draw(Image.fromarray(grey)))
    assert drawn.shape == (6, 8, 3)
    only = np.asarray(two_instances().above(0.95).draw(grey))  # none is left
    assert np.array_equal(only, grey) and not np.array_equal(drawn[:, :4], grey[:, :4])


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 6, 3\), expected \(6, 8, 3\)"):
        two_instances().draw(np.zeros((8, 6, 3), np.uint8))


def test_a_list_of_pictures_gives_a_list() -> None:
    torch.manual_seed(0)
    pictures = [np.random.default_rng(n).integers(0, 256, (20, 30 + n, 3), dtype=np.uint8) for n in range(2)]
    network = S4NetPredictor(build_s4net("modern", "efficientnet_lite0", proposals=2), 64, 0.0, False, "cpu", "fp32")
    many = network(list(pictures))
    assert [one.masks.shape[1:] for one in many] == [(20, 30), (20, 31)]
    assert isinstance(network(pictures[0]), Instances)
    assert torch.equal(network(pictures[1]).scores, many[1].scores)
    classes = ClassList.from_names(["cat", "dog"])
    labels = DeepLabPredictor(build_deeplab("efficientnet_lite0", 3), classes, 90, "cpu", "fp32")
    assert labels.class_names == {0: "background", 8: "cat", 12: "dog"}
    maps = labels(list(pictures))
    assert [one.shape for one in maps] == [(20, 30), (20, 31)]
    assert np.array_equal(maps[1], labels(pictures[1])) and labels(list[np.ndarray]()) == []


def test_pictures_together_are_the_same_as_one_by_one() -> None:
    torch.manual_seed(0)
    net = build_s4net(preset="modern", trunk="mobilenet_v1", trunk_state=None, min_score=0.0, proposals=3)
    network = S4NetPredictor(net, 64, 0.0, False, "cpu", "fp32")
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (*size, 3), np.uint8) for size in ((40, 60), (64, 64), (30, 20))]
    together, single = network.together(pictures), [network(picture) for picture in pictures]
    assert [len(found) for found in together] == [len(found) for found in single] and len(together[0]) > 0
    for one, other, picture in zip(together, single, pictures, strict=True):
        assert one.masks.shape[1:] == picture.shape[:2]
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-2)
        assert (one.masks != other.masks).float().mean() < 1e-3
