import pytest
import torch
from torch import Tensor, nn

from s4net import build_s4net
from s4net.anchors import AnchorGrid
from s4net.gradient_map import gradient_map, gradient_shares, instance_gradients
from s4net.network import DenseOutput, S4Net, S4NetSettings
from s4net.roi_masking import RoIMasking

STRIDE = 8
SIDE = 40  # cells
WEIGHTS = (2.0, -3.0)
# 12 x 6 cells; a ring of a third makes it 20 x 10.
MIDDLE = [14, 17, 26, 23]


class LinearBranch(nn.Module):
    """Every logit is the sum over all cells and channels of weight x masked feature: dL/dH is weight x mask."""

    def __init__(self, roi_layer: nn.Module) -> None:
        super().__init__()
        self.roi_layer, self.windowed = roi_layer, True
        self.weights = nn.Parameter(torch.tensor(WEIGHTS)[:, None, None])

    def forward(self, level: Tensor, boxes: list[Tensor], stride: int, detail: Tensor | None):
        features, covered = self.roi_layer(level, boxes, stride)
        total = (self.weights * features).sum(dim=(1, 2, 3))
        return total[:, None, None].expand(-1, *level.shape[-2:]), covered


def linear_net(roi_layer: nn.Module) -> S4Net:
    def mean_logit(logits: Tensor, shares: Tensor, region: Tensor) -> Tensor:
        return (logits * region).sum() / region.sum()

    # Jitter and copies, which training has and the map must not have.
    settings = S4NetSettings(box_jitter=0.4, box_copies=3)
    parts = (nn.Identity(), nn.Identity(), nn.Identity(), LinearBranch(roi_layer))
    return S4Net(*parts, AnchorGrid((STRIDE,), (32,)), None, mean_logit, settings)


def dense(channels: int = 2, detail: Tensor | None = None) -> DenseOutput:
    level = torch.rand(1, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return DenseOutput([level], detail, *(torch.empty(0) for _ in range(3)))


def target(*cells: list[float]) -> dict[str, Tensor]:
    """Boxes in cells, each filled by its instance."""
    boxes = torch.tensor(cells, dtype=torch.float32).reshape(-1, 4) * STRIDE
    masks = torch.zeros(len(boxes), SIDE * STRIDE, SIDE * STRIDE, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = 1
    return {"boxes": boxes, "masks": masks}


def linear(mode: str, *cells: list[float], slack: float = 0.0):
    return instance_gradients(linear_net(RoIMasking("ternary", slack=slack)), dense(), target(*cells), mode)


def shares_of(found) -> dict[str, list[float]]:
    shares = gradient_shares(gradient_map(found.gradients), found.zones, found.region)
    return {name: values.tolist() for name, values in shares._asdict().items()}


def test_a_linear_branch_has_the_gradient_known_by_hand():
    found = linear("ternary", MIDDLE)
    assert torch.equal(found.gradients[0], torch.tensor(WEIGHTS)[:, None, None] * found.masks[0])
    maps = gradient_map(found.gradients)[0]
    # |2| + |-3| in the 72 cells of the box and the 128 of the ring.
    assert maps.unique().tolist() == [0.0, 5.0] and (maps > 0).sum() == 200
    assert found.losses.tolist() == pytest.approx([(found.features * found.gradients[0]).sum().item()])


def test_the_gradient_in_the_ring_has_opposite_signs_for_ternary_and_expanded_masks():
    ternary, expanded = linear("ternary", MIDDLE), linear("expanded", MIDDLE)
    ring = ternary.zones[0] < 0
    assert ring.sum() == 128
    assert torch.equal(ternary.gradients[0][:, ring], -expanded.gradients[0][:, ring])
    assert torch.equal(ternary.gradients[0][:, ~ring], expanded.gradients[0][:, ~ring])


@pytest.mark.parametrize(("mode", "ring"), [("binary", 0.0), ("expanded", 128 / 200), ("ternary", 128 / 200)])
def test_shares_are_those_of_the_areas_where_the_gradient_is_even(mode, ring):
    found = linear(mode, MIDDLE)
    shares = shares_of(found)
    assert shares["ring"] == shares["ring_outside_region"] == pytest.approx([ring])
    assert shares["box"] == pytest.approx([1 - ring]) and shares["elsewhere"] == [0.0]


def test_the_part_of_the_ring_in_which_the_loss_counts_is_told_apart():
    # Slack 0.2: 2.4 and 1.2 cells on each side; touched are the columns 11-28 and the rows 15-24 of 10-29 and 15-24.
    shares = shares_of(linear("ternary", MIDDLE, slack=0.2))
    assert shares["ring"] == pytest.approx([128 / 200])
    assert shares["ring_outside_region"] == pytest.approx([20 / 200])


def test_a_ring_is_cut_at_the_border_of_the_picture():
    # 9 x 9 in the corner: 12 x 12 with its ring.
    found = linear("ternary", [0, 0, 9, 9], [0, 0, 40, 40])
    assert shares_of(found)["ring"] == pytest.approx([63 / 144, 0.0])


def test_every_instance_has_a_map_of_its_own():
    both, alone = linear("ternary", MIDDLE, [0, 0, 9, 9]), linear("ternary", [0, 0, 9, 9])
    assert torch.equal(both.gradients[1], alone.gradients[0]) and torch.equal(both.losses[1:], alone.losses)


def test_shares_sum_to_one_and_are_nan_without_gradient():
    generator = torch.Generator().manual_seed(1)
    zones = torch.randint(-1, 2, (5, 7, 9), generator=generator)
    maps, region = torch.rand(5, 7, 9, generator=generator), (zones > 0).float()
    maps[4] = 0
    shares = gradient_shares(maps, zones, region)
    assert (shares.box + shares.ring + shares.elsewhere)[:4].tolist() == pytest.approx([1] * 4)
    assert all(values[4].isnan() for values in shares)


@pytest.mark.parametrize("preset", ["paper", "release", "modern"])
def test_cells_that_a_mask_leaves_out_have_a_gradient_of_exactly_zero(preset):
    net = build_s4net(preset, "timm/mobilenetv3_small_050").eval()
    before = (net.mask_branch.roi_layer, net.mask_branch.windowed, net.settings)
    with torch.no_grad():
        nn.init.normal_(net.mask_branch.logits.weight)
        outputs = net.dense(torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0)))
        for mode in ("binary", "expanded", "ternary"):
            found = instance_gradients(net, outputs, target(MIDDLE, [0, 0, 9, 9]), mode)
            maps = gradient_map(found.gradients)
            assert maps.shape == found.zones.shape == found.masks.shape == found.region.shape
            assert not maps[found.masks == 0].any()
            assert all(of_box[mask != 0].any() for of_box, mask in zip(maps, found.masks, strict=True))
    assert before == (net.mask_branch.roi_layer, net.mask_branch.windowed, net.settings)
    assert all(p.grad is None for p in net.parameters())


def test_the_gradient_predicts_what_a_change_of_the_features_does_to_the_loss():
    torch.manual_seed(0)
    net = build_s4net("paper", "timm/mobilenetv3_small_050").eval()
    outputs, one = dense(channels=256), target(MIDDLE)
    with torch.no_grad():
        for parameter in net.mask_branch.parameters():
            parameter.normal_(std=0.05) if parameter.ndim > 1 else parameter.zero_()
    found = instance_gradients(net, outputs, one)

    def loss(scale: float) -> float:
        # Without biases, compression times `scale` is H times `scale`.
        weight = net.mask_branch.compress.weight.data
        weight.mul_(scale)
        value = instance_gradients(net, outputs, one).losses.item()
        weight.div_(scale)
        return value

    slope = (loss(1.01) - loss(0.99)) / 0.02
    assert (found.features * found.gradients[0]).sum().item() == pytest.approx(slope, rel=1e-2)


def test_what_has_no_gradient_map_is_refused():
    with pytest.raises(ValueError, match="RoIResampling"):
        instance_gradients(build_s4net("paper", "timm/mobilenetv3_small_050", roi="roialign"), dense(), target(MIDDLE))
    with pytest.raises(ValueError, match="one instance"):
        linear("ternary")
