"""Anchors, box coding, matching, losses and the choice of proposals, each against numbers worked by hand."""

import math

import pytest
import torch

from s4net.anchors import AnchorGrid, anchor_shapes, decode, encode
from s4net.losses import (
    ModernDetectionLoss,
    PaperDetectionLoss,
    ReleaseDetectionLoss,
    mask_cross_entropy,
    mask_cross_entropy_and_dice,
    matched_iou,
    saliency_loss,
)
from s4net.matching import IGNORED, NEGATIVE, match_anchors
from s4net.postprocess import (
    decay_overlaps,
    joint_scores,
    least_objectness,
    mask_quality,
    paste_masks,
    select_proposals,
)


def test_anchor_shapes_keep_the_area_and_follow_the_ratio():
    shapes = anchor_shapes(32, (0.5, 1.0, 2.0))
    assert torch.allclose(shapes.prod(dim=1), torch.full((3,), 1024.0))
    assert torch.allclose(shapes[:, 1] / shapes[:, 0], torch.tensor([0.5, 1.0, 2.0]))


def test_released_anchor_shapes():
    # Whole pixels at 16 px: 23x12, 16x16, 11x22; the 256 level is 16 times that.
    assert anchor_shapes(16, (0.5, 1.0, 2.0), rounded=True).tolist() == [[23, 12], [16, 16], [11, 22]]
    assert anchor_shapes(256, (0.5, 1.0, 2.0), rounded=True).tolist() == [[368, 192], [256, 256], [176, 352]]


def test_anchor_counts_of_the_paper_and_of_the_release():
    paper, release = [8, 16, 32, 64], [4, 8, 16, 32, 64]
    cells = {s: (320 // s, 320 // s) for s in release}
    for strides, count in ((paper, 6_375), (release, 25_575)):
        grid = AnchorGrid(strides, [4 * s for s in strides])
        assert len(grid([cells[s] for s in strides], torch.device("cpu"))) == count


def test_anchors_run_along_rows_with_the_ratio_last():
    grid = AnchorGrid([8], [8], ratios=(1.0,))
    anchors = grid([(2, 3)], torch.device("cpu"))
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_released_anchors_are_centred_at_eight_on_every_level():
    anchors = AnchorGrid([4], [16], ratios=(1.0,), released=True)([(1, 2)], torch.device("cpu"))
    assert anchors.tolist() == [[0, 0, 16, 16], [4, 0, 20, 16]]


def test_decode_inverts_encode():
    anchors = torch.tensor([[0.0, 0, 10, 20], [5, 5, 40, 30]])
    boxes = torch.tensor([[2.0, 1, 14, 18], [0, 0, 80, 12]])
    assert torch.allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-4)
    # By hand: centre (8, 9.5) against (5, 10) of a 10 x 20 anchor, sides 12 / 10 and 17 / 20.
    expected = torch.tensor([0.3, -0.025, math.log(1.2), math.log(0.85)])
    assert torch.allclose(encode(boxes, anchors)[0], expected)


def test_decode_does_not_overflow():
    assert decode(torch.full((1, 4), 1e4), torch.tensor([[0.0, 0, 10, 10]])).isfinite().all()


ANCHORS = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4], [50, 50, 60, 60]])
# IoU with the box (0, 0, 10, 10): 1, 0.5, 0.4, 0.


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        (0.5, None, [0, 0, NEGATIVE, NEGATIVE]),
        (0.4, None, [0, 0, 0, NEGATIVE]),
        (0.9, 0.45, [0, IGNORED, NEGATIVE, NEGATIVE]),
    ],
)
def test_matching_by_iou(positive, negative, expected):
    matches = match_anchors(ANCHORS, torch.tensor([[0.0, 0, 10, 10]]), positive, negative)
    assert matches.tolist() == expected


def test_an_instance_without_good_anchor_is_seen_only_with_force_best():
    small = torch.tensor([[0.0, 0, 10, 10], [51, 51, 54, 54]])  # the second has IoU 0.09 with the last anchor
    assert match_anchors(ANCHORS, small, 0.5).tolist() == [0, 0, NEGATIVE, NEGATIVE]
    assert match_anchors(ANCHORS, small, 0.5, force_best=True).tolist() == [0, 0, NEGATIVE, 1]


def test_a_picture_without_instance_has_only_negatives():
    assert match_anchors(ANCHORS, torch.zeros(0, 4), 0.5, force_best=True).tolist() == [NEGATIVE] * 4


LN2 = math.log(2)


def test_equation_2_averages_positives_and_negatives_apart():
    # One positive at p = 0.5 (log 2), three negatives at p = 0.5 (log 2 each): log 2 + log 2, whatever the counts.
    loss = PaperDetectionLoss().objectness(torch.zeros(4), torch.tensor([0, -1, -1, -1]), torch.ones(1))
    assert float(loss) == pytest.approx(2 * LN2)


def test_released_objectness_takes_the_hardest_256_and_weighs_by_0_3():
    logits = torch.cat([torch.zeros(1), torch.zeros(256), torch.full((1000,), -20.0)])
    matches = torch.cat([torch.zeros(1), torch.full((1256,), -1)]).long()
    loss = ReleaseDetectionLoss().objectness(logits, matches, torch.ones(1))
    assert float(loss) == pytest.approx(0.3 * (LN2 + LN2), rel=1e-5)


def test_ignored_anchors_have_no_gradient():
    logits = torch.zeros(3, requires_grad=True)
    for loss in (PaperDetectionLoss(), ReleaseDetectionLoss(), ModernDetectionLoss()):
        logits.grad = None
        loss.objectness(logits, torch.tensor([0, IGNORED, NEGATIVE]), torch.ones(1)).backward()
        assert logits.grad[1] == 0
        assert logits.grad[0] < 0 < logits.grad[2]


def test_quality_focal_loss_vanishes_where_the_score_is_the_iou():
    # sigmoid(0) = 0.5 is right for an IoU of 0.5; a score of 0.5 on a negative costs 0.25 log 2.
    loss = ModernDetectionLoss().objectness(torch.zeros(2), torch.tensor([0, -1]), torch.tensor([0.5]))
    assert float(loss) == pytest.approx(0.25 * LN2)


def test_released_boxes_are_averaged_level_by_level():
    # Offsets 0 against an anchor one width off: smooth L1 of 1 with beta 1/9 is 1 - 1/18 for dx, 0 for the rest.
    anchors = torch.tensor([[0.0, 0, 10, 10]] * 3)
    boxes = torch.tensor([[10.0, 0, 20, 10]] * 3)
    per_anchor = 1 - 1 / 18
    levels = torch.tensor([0, 0, 2])
    offsets = torch.zeros(3, 4)
    assert float(PaperDetectionLoss().boxes(offsets, anchors, boxes, levels)) == pytest.approx(per_anchor)
    assert float(ReleaseDetectionLoss().boxes(offsets, anchors, boxes, levels)) == pytest.approx(2 * per_anchor / 4)


@pytest.mark.parametrize("loss", [PaperDetectionLoss(), ReleaseDetectionLoss(), ModernDetectionLoss()])
def test_losses_without_positives_are_finite(loss):
    none = torch.zeros(0, 4)
    assert float(loss.boxes(none, torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))) == 0
    assert loss.objectness(torch.zeros(5), torch.full((5,), -1), torch.zeros(0)).isfinite()


def test_matched_iou_by_hand():
    anchors = torch.tensor([[0.0, 0, 10, 10]])
    assert float(matched_iou(torch.zeros(1, 4), anchors, torch.tensor([[5.0, 0, 15, 10]]))) == pytest.approx(1 / 3)


def test_mask_loss_counts_inside_the_box_alone():
    logits = torch.zeros(1, 4, 4, requires_grad=True)
    region = torch.zeros(1, 4, 4)
    region[:, :2, :2] = 1
    loss = mask_cross_entropy(logits, torch.ones(1, 4, 4), region)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(LN2)
    assert (logits.grad != 0).sum() == 4


def test_dice_counts_small_and_large_instances_alike():
    logits = torch.zeros(2, 8, 8)
    region = torch.zeros(2, 8, 8)
    region[0, :2, :2], region[1] = 1, 1
    one, other = (mask_cross_entropy_and_dice(logits[i : i + 1], region[i : i + 1], region[i : i + 1]) for i in (0, 1))
    both = mask_cross_entropy_and_dice(logits, region, region)
    assert float(both) == pytest.approx(float(one + other) / 2, rel=1e-5)


def test_proposals_are_sorted_suppressed_and_limited():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [40, 40, 50, 50]])[None]
    scores = torch.tensor([[0.8, 0.9, 0.3, 0.6]])
    kept, kept_scores = select_proposals(scores, boxes, (64, 64), 0.4, proposals=2, pre_nms=100, min_score=0.0)
    assert kept.tolist() == [[[0, 0, 10, 9], [40, 40, 50, 50]]]
    assert kept_scores[0].tolist() == pytest.approx([0.9, 0.6])
    kept, kept_scores = select_proposals(scores, boxes, (64, 64), 0.4, proposals=20, pre_nms=100, min_score=0.7)
    assert kept.shape == (1, 20, 4)
    assert (kept_scores > 0).sum() == 1


def test_boxes_outside_the_picture_are_no_proposals():
    boxes = torch.tensor([[[-50.0, 0, -10, 10], [-5, -5, 5, 5]]])
    kept, kept_scores = select_proposals(torch.tensor([[0.9, 0.8]]), boxes, (64, 64), 0.4, 20, 100, 0.0)
    assert kept[kept_scores > 0].tolist() == [[0, 0, 5, 5]]


def test_pictures_of_a_batch_have_the_proposals_that_they_have_alone():
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(3, 200, 2, generator=generator) * 60 - 5
    boxes = torch.cat([low, low + 1 + torch.rand(3, 200, 2, generator=generator) * 30], dim=-1)
    scores = torch.rand(3, 200, generator=generator)
    scores[2] *= 0.1  # nothing reaches the score here
    together, their_scores = select_proposals(scores, boxes, (64, 64), 0.4, 7, 150, 0.2)
    assert (their_scores > 0).sum(dim=1).tolist() == [7, 7, 0]
    for i in range(3):
        kept, kept_scores = select_proposals(scores[i : i + 1], boxes[i : i + 1], (64, 64), 0.4, 7, 150, 0.2)
        assert torch.equal(their_scores[i], kept_scores[0])
        assert torch.equal(together[i][their_scores[i] > 0], kept[0][kept_scores[0] > 0])


def test_proposals_are_those_of_suppressing_all_candidates_at_once():
    # 40 good boxes on one spot and 20 without area come first, so that the first look finds one proposal alone.
    same = torch.tensor([0.0, 0, 20, 20]).repeat(40, 1)
    empty = torch.tensor([-30.0, 0, -10, 9]).repeat(20, 1)
    apart = torch.tensor([[24.0 + 4 * i, 30, 27 + 4 * i, 50] for i in range(8)])
    boxes = torch.cat([same, empty, apart])
    scores = torch.linspace(0.9, 0.1, len(boxes))
    kept, kept_scores = select_proposals(
        scores[None], boxes[None], (64, 64), 0.5, proposals=3, pre_nms=100, min_score=0
    )
    assert kept[0].tolist() == [[0, 0, 20, 20], *apart[:2].tolist()]
    assert torch.equal(kept_scores[0], scores[[0, 60, 61]])


def test_mask_quality_is_the_mean_probability_of_the_mask():
    probabilities = torch.tensor([[[0.9, 0.7], [0.4, 0.95]], [[0.1, 0.2], [0.3, 0.4]]])
    inside = torch.tensor([[[1.0, 1], [1, 0]], [[1, 1], [1, 1]]])
    assert mask_quality(probabilities, inside).tolist() == pytest.approx([0.8, 0.0])


def test_saliency_learns_the_union_of_the_instances():
    masks = torch.zeros(2, 8, 8, dtype=torch.uint8)
    masks[0, :4], masks[1, :, :4] = 1, 1
    none = torch.zeros(0, 8, 8, dtype=torch.uint8)
    right = torch.tensor([[[20.0, 20], [20, -20]], [[-20.0, -20], [-20, -20]]])
    assert saliency_loss(right, [masks, none]).item() == pytest.approx(0, abs=1e-6)
    # All wrong: cross-entropy 20 in each cell; dice 1 - 1 / (1 + 1 + 3) and 1 - 1 / (4 + 0 + 1).
    assert saliency_loss(-right, [masks, none]).item() == pytest.approx(20 + 0.8, abs=1e-4)


def test_trust_in_the_mask_moves_the_score_between_box_and_mask():
    box, mask = torch.tensor([0.64]), torch.tensor([0.25])
    assert joint_scores(box, mask, 0.0) is box
    assert joint_scores(box, mask, 1.0).item() == pytest.approx(0.16)
    assert joint_scores(box, mask, 3.0).item() == pytest.approx(0.8 * 0.125)  # 0.64^(1/2) 0.25^(3/2)


@pytest.mark.parametrize(("mask_trust", "least"), [(0.0, 0.5), (1.0, 0.5), (3.0, 0.25)])
def test_a_box_below_the_least_objectness_cannot_reach_the_score(mask_trust: float, least: float) -> None:
    assert least_objectness(0.5, mask_trust) == pytest.approx(least)
    reached = joint_scores(torch.tensor([least - 1e-3, least + 1e-3]), torch.ones(2), mask_trust) >= 0.5
    assert reached.tolist() == [False, True]


def test_a_mask_that_a_surer_one_covers_loses_score():
    left, half = torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    left[:, :2], half[:, :1] = True, True
    right = ~left
    masks = torch.stack([half, right, left, half])
    decayed = decay_overlaps(torch.tensor([0.8, 0.7, 0.9, 0.6]), masks, strength=2.0)
    # IoU(half, left) = 4 / 8: exp(-2 / 4). The second half: exp(-2 / 4) from left, exp(-2 (1 - 1 / 4)) from its twin.
    expected = [0.8 * math.exp(-0.5), 0.7, 0.9, 0.6 * math.exp(-1.5)]
    assert decayed.tolist() == pytest.approx(expected)


def test_without_strength_and_without_masks_scores_stay():
    scores = torch.tensor([0.5, 0.4])
    masks = torch.ones(2, 3, 3, dtype=torch.bool)
    assert decay_overlaps(scores, masks, 0.0) is scores
    assert decay_overlaps(scores[:0], masks[:0], 2.0).shape == (0,)


def test_paste_equals_bilinear_interpolation_inside_the_box():
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand(3, 40, 40, generator=generator)
    frames = torch.tensor([[0.0, 0, 500, 375]]).repeat(3, 1)
    boxes = torch.tensor([[10.0, 20, 200, 300], [0, 0, 500, 375], [100.3, 50.7, 101.2, 52.0]])
    masks = paste_masks(probabilities, frames, boxes, (375, 500))
    whole = torch.nn.functional.interpolate(probabilities[:, None], (375, 500), mode="bilinear")[:, 0] > 0.5
    clipped = torch.zeros_like(whole)
    for i, (x0, y0, x1, y1) in enumerate([(10, 20, 200, 300), (0, 0, 500, 375), (100, 50, 102, 52)]):
        clipped[i, y0:y1, x0:x1] = whole[i, y0:y1, x0:x1]
    assert (masks != clipped).float().mean() < 1e-5  # values at 0.5 may round either way


def test_slack_lets_a_mask_leave_its_box():
    masks = paste_masks(
        torch.ones(1, 4, 4), torch.tensor([[0.0, 0, 100, 100]]), torch.tensor([[40.0, 40, 60, 60]]), (100, 100), 0.2
    )
    assert masks.sum() == 28 * 28
