"""The rows of `s4 bench`, built and called once each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipelines.data.label_maps import read_palette_map
from pipelines.pseudo_label import pseudo_label
from pipelines.studies.bench_rows import inference, mask_branch, peers
from pipelines.studies.bench_rows.comparison import Setup
from pipelines.studies.bench_rows.end_to_end import NAIVE, PICTURES, compare_end_to_end
from pipelines.studies.bench_rows.inference import compare_inference, compare_proposals, compare_trunks
from pipelines.studies.bench_rows.mask_branch import compare_branch
from pipelines.studies.bench_rows.networks import (
    MEDIAN_SIDES,
    freeze_batch_norm,
    random_boxes,
    random_subject,
    reference_form,
    settle_batch_norm,
)
from pipelines.studies.bench_rows.peers import MASK_RCNN, YOLO_MISSING, mask_rcnn_rows, yolo
from pipelines.studies.bench_rows.training import compare_training
from s4net import Instances

TRUNK = "timm/mobilenetv3_small_050"
SETUP = Setup(device=torch.device("cpu"), precision="fp32", preset="modern", trunk=TRUNK, size=64, batch=1)


@pytest.mark.parametrize("median", MEDIAN_SIDES.values())
def test_random_boxes_lie_in_the_picture_and_have_the_promised_size(median: int) -> None:
    boxes = random_boxes(100, 320, median)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.min() >= 0
    assert boxes.max() <= 320.001
    # The median of 100 log-normal values with deviation 0.4 is within 0.4 * 1.25 / 10 = 5 % with 68 %.
    assert sides.prod(dim=1).sqrt().median() == pytest.approx(median, rel=0.15)
    assert torch.equal(random_boxes(3, 320, median), boxes[:3])


def test_settled_batch_norm_keeps_activations_in_bounds() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    x = 1000 * torch.rand(2, 3, 8, 8)
    settle_batch_norm(model, x)
    y = model(x)
    assert not model.training
    assert y.mean().item() == pytest.approx(0, abs=1e-4)
    assert y.std().item() == pytest.approx(1, abs=0.05)
    assert model[1].momentum == 0.1


def test_frozen_batch_norm_lets_convolutions_learn_alone() -> None:
    model = freeze_batch_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    model(torch.rand(2, 3, 8, 8))
    assert [parameter.requires_grad for parameter in model.parameters()] == [True, True, False, False]
    assert torch.equal(model[1].running_mean, torch.zeros(4))


@pytest.mark.slow
def test_the_forms_that_are_compared_find_the_same_masks_in_the_given_boxes() -> None:
    subject = random_subject(SETUP, "paper", TRUNK)
    found = []
    for net in (reference_form(subject.make()), subject.make().prepare_for_inference()):
        for count in (20, 3):
            net.settings = replace(net.settings, proposals=count)
            with torch.inference_mode():
                (instances,) = net(subject.pictures)
            assert isinstance(instances, Instances)
            assert torch.equal(instances.boxes, random_boxes(count, 64, 110))
            found.append(instances)
    assert found[0].masks.any()
    assert (found[0].masks != found[2].masks).float().mean() < 1e-4


def test_every_number_of_proposals_is_compared_with_the_plain_form_at_the_same_number() -> None:
    comparison = compare_proposals(SETUP)
    for row in comparison.rows:
        row.run()
        assert row.against.endswith(row.name.rpartition(", ")[2])
    assert comparison.peer in {row.name for row in comparison.rows}


def test_windows_tell_how_far_their_masks_are_from_those_of_whole_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_branch, "_LAYOUTS", {"paper": "paper layout"})
    rows = compare_branch(SETUP).rows
    rows[0].run()
    windows = [row for row in rows if row.name.startswith("windows")]
    assert len(windows) == 3  # sizes of boxes
    for row in windows:
        assert row.facts["largest_logit"] > 0.01
        assert row.facts["max_difference"] < 1e-4 * row.facts["largest_logit"]


def test_peers_that_are_not_installed_are_named_with_the_way_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    missing = yolo(SETUP).missing
    assert len(missing) == 4
    assert set(missing.values()) == {YOLO_MISSING}


@pytest.mark.slow
def test_label_rows_write_the_label_of_every_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = tmp_path / "pictures in"
    pictures.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    comparison = compare_end_to_end(SETUP, pseudo_label, None, pictures, tmp_path)
    seconds = {row.name: row.run() for row in comparison.rows}
    assert seconds[NAIVE] is None
    assert all(seconds[name] > 0 for name in seconds if name.startswith("s4 pseudo-label"))
    simple = sorted((tmp_path / "simple").glob("*.png"))
    assert len(simple) == PICTURES  # two pictures, over and over
    assert set(np.unique(read_palette_map(simple[0]))) == {0, 15}  # person


@pytest.mark.slow
def test_mask_rcnn_makes_the_promised_detections() -> None:
    rows = mask_rcnn_rows(SETUP)  # asserts 20, 20 and none
    assert rows[0].name == MASK_RCNN


@pytest.mark.slow
def test_every_other_comparison_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replace(SETUP, precision="bf16")
    monkeypatch.setattr(inference, "TRUNKS", (TRUNK,))
    subjects = [random_subject(setup, preset, TRUNK) for preset in ("paper", "release", "modern")]
    comparisons = [
        compare_inference(setup, subjects),
        compare_trunks(setup, (1, 2)),
        compare_training(replace(setup, batch=2)),
        compare_branch(setup),
    ]
    for comparison in comparisons:
        names = [row.name for row in comparison.rows]
        assert len(set(names)) == len(names)
        assert comparison.peer in names
        for row in comparison.rows:
            row.run()
