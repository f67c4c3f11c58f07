import pytest
import torch
from torchvision.ops import roi_align, roi_pool

from s4net.roi_masking import (
    RoIMasking,
    RoIResampling,
    binary_mask,
    expanded_mask,
    release_ternary_mask,
    ternary_mask,
)

MAP = (40, 40)


def boxes(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_values_are_minus_one_zero_and_one():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 2, generator=generator) * 40
    sides = torch.rand(200, 2, generator=generator) * 30
    masks = ternary_mask(torch.cat([corners, corners + sides], dim=1), MAP)
    assert masks.shape == (200, 1, 40, 40)
    assert set(masks.unique().tolist()) == {-1.0, 0.0, 1.0}


def test_hand_worked_areas():
    # Box of 12 x 6 cells in the middle; the ring is 4 cells wide left and right, 2 above and below:
    # outer 20 x 10 = 200, inside 72, ring 128.
    masks = ternary_mask(boxes([14, 17, 26, 23]), MAP, alpha=1 / 3)
    assert (masks == 1).sum() == 72
    assert (masks == -1).sum() == 128


def test_a_cell_counts_from_the_first_touch():
    # x 1.5..3.2 touches the columns 1, 2 and 3; y 0..0.1 touches row 0.
    mask = binary_mask(boxes([1.5, 0.0, 3.2, 0.1]), (4, 5))[0, 0]
    assert mask.tolist() == [[0, 1, 1, 1, 0], [0] * 5, [0] * 5, [0] * 5]


@pytest.mark.parametrize(
    ("box", "ring_cells"),
    [
        # 9 x 9 box with a ring of 3: unclipped 15 * 15 - 81 = 144; each border cuts three rows or columns of 15.
        ([0, 15, 9, 24], 144 - 3 * 15),  # left
        ([15, 0, 24, 9], 144 - 3 * 15),  # top
        ([31, 15, 40, 24], 144 - 3 * 15),  # right
        ([15, 31, 24, 40], 144 - 3 * 15),  # bottom
        ([0, 0, 9, 9], 12 * 12 - 81),  # corner
        ([0, 0, 40, 40], 0),  # nothing left around the whole map
    ],
)
def test_the_ring_ends_at_each_border(box, ring_cells):
    masks = ternary_mask(boxes(box), MAP, alpha=1 / 3)
    assert (masks == -1).sum() == ring_cells
    assert (masks == 1).sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_alpha_zero_equals_binary():
    some = boxes([3.2, 4.9, 17.1, 30.0], [-5, -5, 10, 10], [39.2, 0, 60, 3])
    assert torch.equal(ternary_mask(some, MAP, alpha=0.0), binary_mask(some, MAP))


def test_expanded_mask_is_one_in_box_and_ring():
    some = boxes([14, 17, 26, 23], [0, 0, 9, 9])
    assert torch.equal(expanded_mask(some, MAP), ternary_mask(some, MAP).abs())


def test_masks_move_with_their_box():
    here, there = ternary_mask(boxes([10, 12, 16, 20], [13, 9, 19, 17]), MAP)
    assert torch.equal(here.roll((-3, 3), dims=(-2, -1)), there)


def test_no_boxes_give_an_empty_tensor():
    assert ternary_mask(boxes(), MAP).shape == (0, 1, 40, 40)


def test_a_box_of_no_size_still_has_a_cell():
    assert (ternary_mask(boxes([7, 7, 7, 7]), MAP) == 1).sum() == 1


def test_released_ring_has_whole_cells():
    # Rows 10-25, columns 10-22 of the reference: 15 x 12 cells, ring 5 and 4: 25 * 20 - 180 = 320.
    assert (release_ternary_mask(boxes([10, 10, 22, 25]), MAP) == -1).sum() == 320


def test_released_fault_loses_the_ring_at_the_top():
    # y0 = 2, height 20: the ring would begin at -4, is taken as row 36, and is empty: all 40 rows are lost.
    near_top = boxes([10, 2, 22, 22])
    assert (release_ternary_mask(near_top, MAP, wrap=True) == -1).sum() == 0
    assert (release_ternary_mask(near_top, MAP) == -1).sum() > 0


def test_the_gradient_changes_sign_in_the_ring():
    features = torch.rand(1, 2, 40, 40, requires_grad=True)
    box = boxes([112, 136, 208, 184])  # the 12 x 6 cells of above at stride 8
    RoIMasking("ternary")(features, [box], stride=8)[0].sum().backward()
    expected = ternary_mask(box / 8, MAP)[0].expand(2, -1, -1)
    assert torch.equal(features.grad[0], expected)


def test_the_gradient_of_many_boxes_is_the_same_to_the_bit_every_time():
    def gradient() -> torch.Tensor:
        features = torch.rand(1, 64, 40, 40, generator=torch.Generator().manual_seed(0)).requires_grad_()
        weights = torch.rand(30, 64, 40, 40, generator=torch.Generator().manual_seed(1))
        many = boxes(*([8.0 * i, 4.0 * i, 8.0 * i + 80, 4.0 * i + 160] for i in range(30)))
        (RoIMasking("ternary")(features, [many], stride=8)[0] * weights).sum().backward()
        return features.grad

    first = gradient()
    assert all(torch.equal(first, gradient()) for _ in range(10))


def test_each_picture_is_masked_by_its_own_boxes():
    features = torch.stack([torch.full((1, 40, 40), 1.0), torch.full((1, 40, 40), 5.0)])
    masked, covered = RoIMasking("binary")(
        features, [boxes([0, 0, 8, 8]), boxes([0, 0, 8, 8], [8, 8, 24, 24])], stride=8
    )
    assert masked.sum(dim=(1, 2, 3)).tolist() == [1.0, 5.0, 20.0]
    assert covered.frames.tolist() == [[0, 0, 320, 320]] * 3
    assert covered.region.sum(dim=(1, 2)).tolist() == [1.0, 1.0, 4.0]


def test_roialign_is_torchvisions():
    features = torch.rand(2, 3, 40, 40)
    per_picture = [boxes([16, 24, 120, 200]), boxes([0, 0, 319, 319], [33, 35, 90, 99])]
    crops, covered = RoIResampling("roialign", output_size=7)(features, per_picture, stride=8)
    expected = roi_align(features, per_picture, (7, 7), 1 / 8, sampling_ratio=2, aligned=True)
    assert torch.equal(crops, expected)
    assert torch.equal(covered.frames, torch.cat(per_picture))
    assert covered.region.min() == 1


def test_unknown_mode_names_the_known_ones():
    with pytest.raises(ValueError, match="ternary, expanded and binary"):
        RoIMasking("roialign")


def test_without_arguments_it_is_the_papers_ternary_masking():
    layer, some = RoIMasking(), boxes([14, 17, 26, 23], [0, 0, 9, 9])
    assert torch.equal(layer.masks(some, MAP), ternary_mask(some, MAP, alpha=1 / 3))
    assert (layer.mode, layer.alpha, layer.slack, layer.released, layer.wrap_ring) == (
        "ternary",
        1 / 3,
        0,
        False,
        False,
    )
    covered = layer(torch.ones(1, 1, 40, 40), [some * 8], stride=8)[1]
    assert torch.equal(covered.region, binary_mask(some, MAP)[:, 0])  # one mask cell for each feature cell
    assert torch.equal(layer.place([some * 8], MAP, 8).covered.region, covered.region)


def test_the_released_ring_wraps_on_request_alone():
    near_top = boxes([10, 2, 22, 22])
    assert torch.equal(RoIMasking(released=True).masks(near_top, MAP), release_ternary_mask(near_top, MAP))
    wrapped = RoIMasking(released=True, wrap_ring=True).masks(near_top, MAP)
    assert torch.equal(wrapped, release_ternary_mask(near_top, MAP, wrap=True))


def test_a_map_need_not_be_square():
    # 3 rows and 5 columns: a feature map of rows first, and frames of x first.
    features = torch.rand(1, 2, 3, 5)
    masked, covered = RoIMasking("binary")(features, [boxes([8, 0, 24, 8])], stride=8)
    assert torch.equal(masked[0], features[0] * binary_mask(boxes([1, 0, 3, 1]), (3, 5))[0])
    assert covered.frames.tolist() == [[0, 0, 40, 24]]


def test_roipool_is_torchvisions_at_20_cells_and_fine_where_asked():
    features, box = torch.rand(1, 3, 40, 40), boxes([16, 24, 120, 200])
    crops, covered = RoIResampling("roipool")(features, [box], stride=8)
    assert torch.equal(crops, roi_pool(features, [box], (20, 20), 1 / 8))
    assert covered.region.shape == (1, 20, 20)
    fine = RoIResampling("roialign", output_size=7)(features, [box], stride=8, fineness=3)[1]
    assert fine.region.shape == (1, 21, 21)
    with pytest.raises(ValueError, match="roialign and roipool"):
        RoIResampling("ternary")
