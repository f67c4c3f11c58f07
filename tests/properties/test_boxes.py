"""Boxes: xyxy and half-open everywhere; tight around masks, clipped to the picture, scaled with it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.transforms import Augmentation, augment, half_open_boxes, paste
from s4net.anchors import decode, encode
from s4net.instances import RawDetections
from s4net.postprocess import to_picture

SIDE = 32  # of the network's input


def tight(mask: torch.Tensor) -> list[float]:
    """The half-open box of a mask, by looking at each pixel."""
    on = [(x, y) for y, row in enumerate(mask.tolist()) for x, value in enumerate(row) if value]
    xs, ys = [x for x, _ in on], [y for _, y in on]
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


@st.composite
def blocks(draw: Callable, height: int, width: int) -> torch.Tensor:
    """One to four masks, each a rectangle with holes that keeps its corners."""
    masks = torch.zeros(draw(st.integers(1, 4)), height, width, dtype=torch.uint8)
    for mask in masks:
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
        mask[y0:y1, x0:x1] = torch.from_numpy(np.random.default_rng(x0).random((y1 - y0, x1 - x0)) < 0.5)
        mask[y0, x0] = mask[y1 - 1, x1 - 1] = 1
    return masks


@given(blocks(13, 17))
def test_boxes_of_masks_are_tight_and_half_open(masks: torch.Tensor) -> None:
    assert half_open_boxes(masks).tolist() == [tight(mask) for mask in masks]


@given(blocks(40, 56), st.integers(0, 10**6), st.floats(0, 1), st.floats(1, 2), st.floats(1, 1.5))
def test_boxes_of_training_samples_fit_their_masks(
    masks: torch.Tensor, seed: int, flip: float, most: float, stretch: float
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    augmentation = Augmentation(flip=flip, scale=(0.5, most), stretch=stretch)
    samples = [
        augment(picture, masks.numpy(), 48, augmentation, np.random.default_rng(seed + number)) for number in range(2)
    ]
    samples.append(paste(*samples[0], *samples[1], np.random.default_rng(seed)))
    for image, target in samples:
        assert image.shape == (3, 48, 48)
        assert target["boxes"].tolist() == [tight(mask) for mask in target["masks"]]
        assert (target["masks"].sum(dim=(1, 2)) >= 64).all()  # smaller ones teach nothing


@given(blocks(40, 56), st.integers(20, 90))
def test_without_augmentation_a_box_is_scaled_with_the_picture(masks: torch.Tensor, size: int) -> None:
    large = torch.zeros_like(masks)
    for mask, (x0, y0, x1, y1) in zip(large, [tight(mask) for mask in masks], strict=True):
        mask[max(0, y0 - 12) : y1 + 12, max(0, x0 - 12) : x1 + 12] = 1  # large enough to be kept
    picture = np.zeros((40, 56, 3), np.uint8)
    _, target = augment(picture, large.numpy(), size, Augmentation(flip=0.0), np.random.default_rng(0))
    if len(target["boxes"]) == len(large):
        scale = torch.tensor([size / 56, size / 40] * 2)
        expected = torch.tensor([tight(mask) for mask in large]) * scale
        assert (target["boxes"] - expected).abs().max() <= 1  # a pixel that is covered by half


PLACES = st.floats(-8, SIDE + 8, width=32)


@given(st.lists(st.tuples(PLACES, PLACES, PLACES, PLACES), max_size=4), st.integers(1, 50), st.integers(1, 70))
def test_detections_are_scaled_and_clipped_to_the_picture(
    corners: list[tuple[float, ...]], height: int, width: int
) -> None:
    boxes = torch.tensor([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]).reshape(-1, 4)
    count = len(boxes)
    frames = torch.tensor([0.0, 0, SIDE, SIDE]).repeat(count, 1)
    raw = RawDetections(boxes, torch.linspace(1, 0.5, count), torch.ones(count, 8, 8), frames)
    found = to_picture(raw, SIDE, (height, width), slack=0.0)
    assert found.masks.shape == (count, height, width)
    for box, before, mask in zip(found.boxes.tolist(), boxes.tolist(), found.masks, strict=True):
        scales, ends = [width / SIDE, height / SIDE] * 2, [width, height] * 2
        clipped = [min(max(value * scale, 0), end) for value, scale, end in zip(before, scales, ends, strict=True)]
        assert box == pytest.approx(clipped, abs=1e-4)
        rows, columns = torch.where(mask)
        if len(rows):  # a mask of ones fills its box, and leaves it nowhere by more than the pixel at its border
            assert columns.min() >= int(box[0]) and rows.min() >= int(box[1])
            assert columns.max() <= box[2] + 1e-4 and rows.max() <= box[3] + 1e-4


SIZES = st.floats(1, 300, width=32)


@given(st.tuples(PLACES, PLACES, SIZES, SIZES), st.tuples(PLACES, PLACES, SIZES, SIZES))
def test_offsets_lead_back_to_the_box_that_they_were_made_of(one: tuple[float, ...], two: tuple[float, ...]) -> None:
    box, anchor = (torch.tensor([[x, y, x + w, y + h]]) for x, y, w, h in (one, two))
    limit = torch.tensor(62.5)  # a box that is more than 62.5 times its anchor is cut, as in Faster R-CNN
    sides, anchor_sides = box[:, 2:] - box[:, :2], anchor[:, 2:] - anchor[:, :2]
    decoded = decode(encode(box, anchor), anchor)
    if (sides <= limit * anchor_sides).all():
        assert torch.allclose(decoded, box, rtol=1e-3, atol=0.05)
    else:
        assert ((decoded[:, 2:] - decoded[:, :2]) <= sides + 0.05).all()
