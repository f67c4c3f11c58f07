"""RoIMasking against a slow reference that looks at one cell at a time."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from s4net.roi_masking import RoIMasking, binary_mask, expand_boxes, expanded_mask, release_ternary_mask, ternary_mask

# Quarters are exact in float32, so that both sides of a border are met.
PLACES = st.integers(-40, 120).map(lambda n: n / 4)
SIDES = st.integers(0, 100).map(lambda n: n / 4)
ALPHAS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))
BOXES = st.lists(st.tuples(PLACES, PLACES, SIDES, SIDES).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])))

Box = tuple[float, float, float, float]


def tensor(boxes: list[Box]) -> torch.Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def touches(low: float, high: float, cell: int) -> bool:
    """Whether the half-open range touches the cell [cell, cell + 1); an empty range touches the cell that it is in."""
    if high <= low:
        return math.floor(low) == cell
    return low < cell + 1 and high > cell


def inside(box: Box, row: int, column: int) -> bool:
    return touches(box[0], box[2], column) and touches(box[1], box[3], row)


def grown(box: Box, share: float) -> Box:
    x, y = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] - x, box[1] - y, box[2] + x, box[3] + y


def by_cells(boxes: list[Box], size: tuple[int, int], value) -> list[list[list[list[float]]]]:
    return [[[[float(value(box, y, x)) for x in range(size[1])] for y in range(size[0])]] for box in boxes]


@given(BOXES, SIZES, ALPHAS)
def test_masks_are_those_of_a_loop_over_cells(boxes: list[Box], size: tuple[int, int], alpha: float) -> None:
    def ternary(box: Box, y: int, x: int) -> int:
        return 1 if inside(box, y, x) else -1 if inside(grown(box, alpha), y, x) else 0

    found = tensor(boxes)
    assert binary_mask(found, size).tolist() == by_cells(boxes, size, inside)
    assert expanded_mask(found, size, alpha).tolist() == by_cells(
        boxes, size, lambda box, y, x: inside(grown(box, alpha), y, x)
    )
    assert ternary_mask(found, size, alpha).tolist() == by_cells(boxes, size, ternary)


@given(BOXES, SIZES)
def test_the_released_ring_is_that_of_a_loop_over_cells(boxes: list[Box], size: tuple[int, int]) -> None:
    def bounds(low: float, high: float) -> tuple[int, int]:
        first = math.floor(low)
        return first, max(math.ceil(high), first + 1)

    def value(box: Box, y: int, x: int, wrap: bool) -> int:
        columns, rows = bounds(box[0], box[2]), bounds(box[1], box[3])
        if columns[0] <= x < columns[1] and rows[0] <= y < rows[1]:
            return 1
        reached = []
        for (first, last), cell, side in ((columns, x, size[1]), (rows, y, size[0])):
            ring = (last - first) // 3
            start = first - ring
            reached.append((start + side if wrap and start < 0 else start) <= cell < last + ring)
        return -1 if all(reached) else 0

    for wrap in (False, True):
        expected = by_cells(boxes, size, lambda box, y, x, wrap=wrap: value(box, y, x, wrap))
        assert release_ternary_mask(tensor(boxes), size, wrap).tolist() == expected


@given(BOXES, ALPHAS)
def test_a_grown_box_has_the_sides_of_the_paper(boxes: list[Box], alpha: float) -> None:
    before, after = tensor(boxes), expand_boxes(tensor(boxes), alpha)
    assert torch.equal(after[:, 2:] - after[:, :2], (1 + 2 * alpha) * (before[:, 2:] - before[:, :2]))
    assert torch.equal(after[:, 2:] + after[:, :2], before[:, 2:] + before[:, :2])  # about the same centre


@given(st.lists(BOXES, min_size=1, max_size=3), st.sampled_from(["ternary", "expanded", "binary"]), st.integers(1, 3))
def test_every_box_masks_its_own_picture(boxes: list[list[Box]], mode: str, fineness: int) -> None:
    size, stride = (5, 7), 4
    features = torch.arange(1, 1 + len(boxes) * 2 * 35, dtype=torch.float32).reshape(len(boxes), 2, *size)
    layer = RoIMasking(mode, alpha=0.5, slack=0.25)  # type: ignore[arg-type]
    pixels = [tensor(own) * stride for own in boxes]
    masked, covered = layer(features, pixels, stride, fineness)
    masks = {"ternary": ternary_mask, "expanded": expanded_mask, "binary": lambda b, s, _: binary_mask(b, s)}[mode]
    flat = [(i, box) for i, own in enumerate(boxes) for box in own]
    assert len(masked) == len(flat)
    fine = (size[0] * fineness, size[1] * fineness)
    for out, region, frame, (i, box) in zip(masked, covered.region, covered.frames, flat, strict=True):
        assert torch.equal(out, features[i] * masks(tensor([box]), size, 0.5)[0])
        assert frame.tolist() == [0, 0, 28, 20]
        scaled = tuple(value * fineness for value in box)
        assert torch.equal(region, expanded_mask(tensor([scaled]), fine, 0.25)[0, 0])  # type: ignore[list-item]
    place = layer.place(pixels, size, stride, fineness)
    assert place.pictures.tolist() == [i for i, _ in flat]
    assert layer.bounds(place.cells).tolist() == [
        [math.floor(g[0]), math.floor(g[1]), max(math.ceil(g[2]), math.floor(g[0]) + 1),
         max(math.ceil(g[3]), math.floor(g[1]) + 1)]
        for g in (grown(box, 0.25) for _, box in flat)
    ]  # fmt: skip
