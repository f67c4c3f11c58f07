"""The windowed mask branch gives the masks of the whole map, in float64, where rounding hides nothing."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from s4net import build_s4net
from s4net.mask_branch import MaskBranch
from s4net.roi_masking import RoIMasking
from s4net.windows import nested_windows

# On a map of 24 x 32 cells of 8 pixels: small, at each border, in two corners, larger than the map, beyond it, thin.
BOXES = torch.tensor(
    [
        [90.0, 80, 130, 110],
        [0, 60, 30, 120],
        [200, 50, 256, 140],
        [100, 0, 150, 40],
        [60, 150, 120, 192],
        [-20, -10, 300, 250],
        [230, 170, 256, 192],
        [400, 400, 500, 500],
        [100.5, 100.5, 101, 102],
    ],
    dtype=torch.float64,
)


def branch(layout: Literal["paper", "release"], slack: float = 0.0, detail: int = 0) -> MaskBranch:
    """A branch with weights and biases so large that a cell one step too far away shows."""
    torch.manual_seed(0)
    made = MaskBranch(32, RoIMasking(slack=slack), layout, detail_channels=detail).double().eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.15 if parameter.ndim > 1 else 1.0)
    return made


def both_ways(made: MaskBranch, detail: int, boxes: Tensor = BOXES) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(2, 32, 24, 32, generator=generator, dtype=torch.float64)
    fine = torch.randn(2, detail, 48, 64, generator=generator, dtype=torch.float64) if detail else None
    split = [boxes[:4], boxes[4:]]
    with torch.no_grad():
        made.windowed = False
        plain, covered = made(level, split, 8, fine)
        made.windowed = True
        windowed, own = made(level, split, 8, fine)
    assert torch.equal(covered.region, own.region)
    assert torch.equal(covered.frames, own.frames)
    return plain, windowed, covered.region


@pytest.mark.parametrize("layout", ["paper", "release"])
@pytest.mark.parametrize(("slack", "detail"), [(0.0, 0), (0.2, 0), (0.2, 8)])
def test_windows_equal_the_whole_map_inside_the_boxes(layout, slack, detail):
    plain, windowed, region = both_ways(branch(layout, slack, detail), detail)
    assert (plain.abs() * region).max() > 10  # the network is not numb
    assert ((plain - windowed) * region).abs().max() < 1e-9 * plain.abs().max()
    assert region.sum() > 0


def test_the_cell_that_interpolation_reads_beyond_the_box_is_equal_too():
    plain, windowed, region = both_ways(branch("release"), 0)
    around = torch.nn.functional.max_pool2d(region, 3, stride=1, padding=1)
    assert ((plain - windowed) * around).abs().max() < 1e-9 * plain.abs().max()


@pytest.mark.parametrize(("layout", "radius"), [("paper", 10), ("release", 9)])
def test_the_radius_follows_from_the_layers_and_one_cell_less_fails(layout, radius, monkeypatch):
    # max-pool 1, pair 1 + 1, max-pool 1, dilated 2, pair 1 + 1, logits 1; the paper's first convolution one more.
    made = branch(layout)
    assert made.radius == radius
    # The ring of a box of 33 cells is wider than the radius: there, what the window leaves out is not zero.
    level = torch.randn(1, 32, 56, 56, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    box = [torch.tensor([[96.0, 88, 360, 352]], dtype=torch.float64)]
    with torch.no_grad():
        made.windowed = False
        plain, covered = made(level, box, 8)
        features = made.compress(level).relu()
        exact, _ = made._on_windows(made.roi_layer, features, box, 8, radius)
        short, _ = made._on_windows(made.roi_layer, features, box, 8, radius - 1)
    assert ((plain - exact) * covered.region).abs().max() < 1e-12 * plain.abs().max()
    assert ((plain - short) * covered.region).abs().max() > 1e-9 * plain.abs().max()


def test_a_wider_layer_widens_the_radius():
    made = branch("release")
    made.narrow = nn.Conv2d(128, 64, 5, padding=4, dilation=2)
    assert made.radius == 9 - 2 + 4


@pytest.mark.slow
def test_windows_have_the_gradients_of_the_whole_map():
    gradients = []
    for windowed in (False, True):
        made = branch("release", 0.2)
        made.windowed = windowed
        level = torch.randn(2, 32, 24, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        level.requires_grad_()
        logits, covered = made(level, [BOXES[:4], BOXES[4:]], 8)
        (logits.tanh() * covered.region).sum().backward()
        gradients.append([level.grad, *(p.grad for p in made.parameters())])
    for whole, window in zip(*gradients, strict=True):
        assert torch.allclose(whole, window, rtol=1e-9, atol=1e-9 * float(whole.abs().max()))


def test_no_boxes_give_no_masks():
    made = branch("release")
    logits, covered = made(torch.zeros(2, 32, 24, 32, dtype=torch.float64), [BOXES[:0], BOXES[:0]], 8)
    assert logits.shape == (0, 24, 32)
    assert covered.region.shape == (0, 24, 32)


@pytest.mark.parametrize("preset", ["paper", "release", "modern"])
def test_detections_do_not_depend_on_windows(preset):
    torch.manual_seed(0)
    net = build_s4net(preset, "timm/mobilenetv3_small_050").eval()
    images = torch.rand(2, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    found = []
    for windowed in (True, False):
        net.mask_branch.windowed = windowed
        with torch.no_grad():
            found.append(net(images))
    for first, second in zip(*found, strict=True):
        assert torch.allclose(first.scores, second.scores, atol=1e-5)
        assert torch.equal(first.masks, second.masks)


def test_windows_hold_their_margin_lie_in_one_another_and_come_in_few_sizes():
    layer, cells, size = RoIMasking(slack=0.2), BOXES.float() / 8, (24, 32)
    margins = [10, 9, 9, 4, 0]
    windows = torch.tensor(nested_windows(layer.bounds(cells), size, margins))  # [5, 9, 4]
    grown = torch.cat([1.2 * cells[:, :2] - 0.2 * cells[:, 2:], 1.2 * cells[:, 2:] - 0.2 * cells[:, :2]], dim=1)
    border = torch.tensor([32, 24, 32, 24])
    for margin, own in zip(margins, windows, strict=True):
        inside = grown[:-2]  # all but the box beyond the map, and the thin one
        needed = torch.cat([inside[:, :2].floor() - margin, inside[:, 2:].ceil() + margin], dim=1).clamp(min=0)
        needed = needed.minimum(border)
        assert (own[:-2, :2] <= needed[:, :2]).all()
        assert (own[:-2, 2:] >= needed[:, 2:]).all()
        assert (own[:, :2] >= 0).all()
        assert (own[:, 2:] <= border[:2]).all()
        sides = own[:, 2:] - own[:, :2]
        assert (sides > 0).all()
        assert ((sides % 4 == 0) | (sides == border[:2])).all()
    assert (windows[1:, :, :2] >= windows[:-1, :, :2]).all()
    assert (windows[1:, :, 2:] <= windows[:-1, :, 2:]).all()
