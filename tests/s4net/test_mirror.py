import pytest
import torch

from s4net import build_s4net
from s4net.mirror import MirrorReader, mirrored_boxes, unmirrored, unmirrored_offsets

SMALL = "timm/mobilenetv3_small_050"


def test_columns_of_every_level_are_turned_round_and_ratios_stay():
    # A level of 1 x 2 cells and one of 1 x 1, two anchors a cell.
    values = torch.tensor([[1.0, 2, 3, 4, 5, 6]])
    assert unmirrored(values, [(1, 2), (1, 1)], 2).tolist() == [[3, 4, 1, 2, 5, 6]]


def test_rows_stay_where_they_are():
    # 2 x 2 cells of one anchor: [[1, 2], [3, 4]] becomes [[2, 1], [4, 3]].
    assert unmirrored(torch.tensor([[1, 2, 3, 4]]), [(2, 2)], 1).tolist() == [[2, 1, 4, 3]]


def test_only_the_horizontal_shift_changes_its_sign():
    offsets = torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8]]])
    assert unmirrored_offsets(offsets, [(1, 2)], 1).tolist() == [[[-5, 6, 7, 8], [-1, 2, 3, 4]]]


def test_boxes_are_mirrored_within_the_width():
    assert mirrored_boxes(torch.tensor([[10.0, 1, 30, 2]]), 100).tolist() == [[70, 1, 90, 2]]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "modern"])
@pytest.mark.parametrize("roi", ["ternary", "roialign"])
def test_of_a_reader_of_both_a_picture_and_its_mirror_image_have_mirrored_instances(preset, roi):
    torch.manual_seed(0)
    net = build_s4net(preset, SMALL, roi=roi, proposals=5).eval().double()
    images = torch.rand(1, 3, 128, 128, dtype=torch.float64)
    found, turned = (MirrorReader(net).detect(x)[0] for x in (images, images.flip(3)))
    assert len(found.boxes) == len(turned.boxes) > 0
    torch.testing.assert_close(found.scores, turned.scores)
    torch.testing.assert_close(mirrored_boxes(found.boxes, 128), turned.boxes)
    torch.testing.assert_close(found.mask_probabilities.flip(2), turned.mask_probabilities)
    # The network alone is no mirror of itself.
    once, once_turned = (net.detect(x)[0].scores for x in (images, images.flip(3)))
    assert not torch.allclose(once, once_turned)


def test_a_picture_whose_mirror_image_has_other_anchors_is_refused():
    images = torch.rand(1, 3, 128, 128)
    with pytest.raises(ValueError, match="flip needs a preset with anchors at the centres of cells"):
        MirrorReader(build_s4net("release", SMALL).eval()).detect(images)
    with pytest.raises(ValueError, match="a multiple of 64"):
        MirrorReader(build_s4net("paper", SMALL).eval()).detect(images[..., :96, :96])
