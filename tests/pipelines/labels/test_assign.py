import numpy as np
import pytest
import torch

from pipelines.labels.assign import (
    UNASSIGNED,
    Assignment,
    assign_attention,
    assign_single,
    compose_label_map,
    divide_by_evidence,
    mean_inside,
    split_fused,
)


def columns(*spans: tuple[int, int], width: int = 8, height: int = 2) -> np.ndarray:
    """Masks that each fill the columns start..stop."""
    masks = np.zeros((len(spans), height, width), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[:, start:stop] = True
    return masks


def maps_of(affinity: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Masks and maps whose means inside the masks are the given [N, K] table: one pixel for each instance."""
    table = np.array(affinity, np.float32)
    masks = np.eye(len(table), dtype=bool)[:, None, :]  # [N, 1, N]
    return masks, table.T[:, None, :]  # [K, 1, N]


def test_one_keyword_goes_to_every_instance():
    result = assign_single(3, 1)
    assert result.keyword.tolist() == [0, 0, 0]
    assert result.margin.tolist() == [1, 1, 1]
    assert result.affinity.shape == (3, 1)
    assert result.rule == "single"


def test_several_keywords_without_maps_leave_all_instances_unassigned():
    result = assign_single(2, 3)
    assert result.keyword.tolist() == [-1, -1]
    assert result.affinity.shape == (2, 3)
    assert result.rule == "none"


def test_no_instance_gives_an_empty_assignment():
    for result in (
        assign_single(0, 1),
        assign_attention(np.zeros((0, 4, 4), bool), np.ones((2, 3, 3), np.float32), 0.1),
    ):
        assert len(result.keyword) == len(result.affinity) == len(result.margin) == 0
        assert result.rule == "none"


def test_mean_inside_equals_the_mean_of_the_bilinearly_scaled_map():
    generator = np.random.default_rng(0)
    maps = generator.random((3, 5, 7), np.float32)
    masks = generator.random((4, 33, 50)) < 0.3
    scaled = torch.nn.functional.interpolate(torch.from_numpy(maps)[None], size=(33, 50), mode="bilinear")[0].numpy()
    expected = [[scaled[k][mask].mean() for k in range(3)] for mask in masks]
    np.testing.assert_allclose(mean_inside(masks, maps), expected, rtol=1e-4)


def test_mean_inside_by_hand():
    # Cells 1, 3 over 8 columns: cell centres lie at columns 1.5 and 5.5; columns 0, 1 read 1, columns 6, 7 read 3, and
    # column 2 lies 0.5 / 4 on the way: 1 + 2 * 0.125 = 1.25.
    maps = np.array([[[1, 3]]], np.float32)
    assert mean_inside(columns((0, 2), (6, 8), (2, 3)), maps)[:, 0].tolist() == [1, 3, 1.25]


def test_mean_inside_an_empty_mask_is_zero():
    assert mean_inside(np.zeros((1, 4, 4), bool), np.ones((2, 2, 2), np.float32)).tolist() == [[0, 0]]


def test_each_instance_takes_the_keyword_with_the_largest_affinity():
    result = assign_attention(*maps_of([[0.9, 0.1], [0.2, 0.6], [0.7, 0.1]]), margin=0.05)
    assert result.keyword.tolist() == [0, 1, 0]
    np.testing.assert_allclose(result.margin, [0.8, 0.4, 0.6], rtol=1e-5)
    assert result.rule == "attention"


def test_every_keyword_gets_its_best_instance_where_there_are_enough():
    # By affinity alone all three would take keyword 0. The one-to-one sum is largest when the second instance takes
    # keyword 1: 0.9 + 0.75 against 0.8 + 0.1 or 0.9 + 0.2.
    result = assign_attention(*maps_of([[0.9, 0.1], [0.8, 0.75], [0.7, 0.2]]), margin=0.05)
    assert result.keyword.tolist() == [0, 1, 0]
    np.testing.assert_allclose(result.margin, [0.8, -0.05, 0.5], atol=1e-6)


def test_an_instance_that_clearly_shows_another_keyword_is_not_made_the_best_one():
    result = assign_attention(*maps_of([[0.9, 0.1], [0.8, 0.5], [0.7, 0.2]]), margin=0.05)
    assert result.keyword.tolist() == [0, 0, 0]


def test_fewer_instances_than_keywords_are_assigned_by_affinity_alone():
    result = assign_attention(*maps_of([[0.9, 0.5, 0.1], [0.8, 0.2, 0.1]]), margin=0.05)
    assert result.keyword.tolist() == [0, 0]


def test_a_lead_below_the_margin_leaves_the_instance_unassigned():
    table = [[0.9, 0.1], [0.1, 0.9], [0.5, 0.46]]
    assert assign_attention(*maps_of(table), margin=0.05).keyword.tolist() == [0, 1, -1]
    assert assign_attention(*maps_of(table), margin=0.03).keyword.tolist() == [0, 1, 0]


def test_the_only_candidate_of_a_keyword_needs_no_margin():
    # The second instance is undecided, but keyword 1 has nobody else.
    result = assign_attention(*maps_of([[0.9, 0.1], [0.5, 0.49]]), margin=0.05)
    assert result.keyword.tolist() == [0, 1]
    assert result.margin[1] == pytest.approx(-0.01, abs=1e-6)


def test_an_instance_is_not_taken_from_a_keyword_that_has_no_other():
    # One-to-one: 0 -> 1, 1 -> 0 gives 0.85 + 0.9. But instance 0 by itself is sure of keyword 0 and instance 1 too, so
    # that one of them must move; only the first has the assignment on its side.
    result = assign_attention(*maps_of([[0.9, 0.85], [0.9, 0.1]]), margin=0.05)
    assert result.keyword.tolist() == [1, 0]


def test_one_keyword_with_maps_is_assigned_without_a_contest():
    result = assign_attention(*maps_of([[0.25], [0.0]]), margin=0.5)
    assert result.keyword.tolist() == [0, 0]
    assert result.affinity.tolist() == [[0.25], [0.0]]
    assert result.rule == "single"


def test_a_keyword_without_instance_is_cut_out_of_the_instance_that_shows_it():
    # One instance of four columns; the maps say keyword 0 on the left and, weaker in the mean, keyword 1 on the right.
    masks, maps = columns((0, 4), width=4), np.array([[[3, 3, 0, 0]], [[0, 0, 1, 1]]], np.float32)
    assignment = assign_attention(masks, maps, margin=0.05)
    assert assignment.keyword.tolist() == [0]
    parts, parents, result = split_fused(masks, assignment, maps)
    assert parts[:, 0].astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert parents.tolist() == [0, 0]
    assert result.keyword.tolist() == [0, 1]
    assert result.margin.tolist() == [3, 1]
    assert masks[0].all()  # the caller's masks stay


def test_an_undecided_instance_is_decided_once_its_other_keyword_is_cut_out():
    masks, maps = columns((0, 4), width=4), np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], np.float32)
    assignment = assign_attention(masks, maps, margin=0.05)
    assert assignment.keyword.tolist() == [-1]
    _, _, result = split_fused(masks, assignment, maps)
    assert sorted(result.keyword.tolist()) == [0, 1]


def test_a_sliver_is_not_cut_out():
    masks = columns((0, 8))
    maps = np.array([[[1] * 7 + [0]], [[0] * 7 + [1]]], np.float32)  # an eighth is below the smallest part
    assignment = assign_attention(masks, maps, margin=0.05)
    parts, parents, result = split_fused(masks, assignment, maps)
    assert len(parts) == 1 and parents.tolist() == [0] and result.keyword.tolist() == [0]


def test_nothing_is_cut_where_every_keyword_has_an_instance():
    masks = columns((0, 3), (3, 8))
    maps = np.array([[[1, 1, 1, 0, 0, 1, 1, 0]], [[0, 0, 0, 1, 1, 0, 0, 1]]], np.float32)
    assignment = assign_attention(masks, maps, margin=0.0)
    assert sorted(assignment.keyword.tolist()) == [0, 1]
    parts, _, result = split_fused(masks, assignment, maps)
    assert np.array_equal(parts, masks) and result is assignment


def test_overlaps_go_to_the_higher_score():
    masks = columns((0, 5), (3, 8))
    label_map, confidence = compose_label_map(
        masks, np.array([0.4, 0.8], np.float32), np.array([7, 9], np.uint8), (2, 8)
    )
    assert label_map.tolist() == [[7, 7, 7, 9, 9, 9, 9, 9]] * 2
    assert confidence.tolist() == [[102, 102, 102, 204, 204, 204, 204, 204]] * 2  # 0.4 * 255 = 102, 0.8 * 255 = 204
    assert label_map.dtype == confidence.dtype == np.uint8


def test_equal_scores_leave_the_overlap_to_the_earlier_instance():
    label_map, _ = compose_label_map(
        columns((0, 5), (3, 8)), np.array([0.5, 0.5], np.float32), np.array([1, 2], np.uint8), (2, 8)
    )
    assert label_map[0].tolist() == [1, 1, 1, 1, 1, 2, 2, 2]


def test_an_unassigned_instance_is_unknown_and_the_rest_is_background():
    label_map, confidence = compose_label_map(
        columns((2, 4)), np.array([0.9], np.float32), np.array([255], np.uint8), (2, 8)
    )
    assert label_map[0].tolist() == [0, 0, 255, 255, 0, 0, 0, 0]
    assert confidence[0].tolist() == [255, 255, 0, 0, 255, 255, 255, 255]


def test_no_instance_composes_to_background():
    label_map, confidence = compose_label_map(
        np.zeros((0, 3, 4), bool), np.zeros(0, np.float32), np.zeros(0, np.uint8), (3, 4)
    )
    assert label_map.tolist() == [[0] * 4] * 3
    assert confidence.tolist() == [[255] * 4] * 3


def test_pixels_of_an_instance_go_to_the_keyword_that_both_witnesses_name():
    # One row of four pixels, one cell each; the instance is of keyword 0 with p = 0.9: log 0.9 - log 0.1 = 2.2.
    masks = np.ones((1, 1, 4), bool)
    maps = np.array([[[0, 0, 0, 0]], [[0, 2, 3, 3]]], np.float32)
    given = Assignment(np.array([0]), np.array([[0.9, 0.1]], np.float32), np.array([0.8], np.float32), "graph")
    divided, parents, found = divide_by_evidence(masks, given, maps)
    assert divided[:, 0].tolist() == [[True, True, False, False], [False, False, True, True]]
    assert parents.tolist() == [0, 0] and found.keyword.tolist() == [0, 1] and found.rule == "graph"
    assert found.margin == pytest.approx([0.8, -0.8])
    assert masks.all()  # not written into


def test_parts_below_a_tenth_stay_with_the_instance():
    masks = np.ones((1, 1, 20), bool)
    maps = np.zeros((2, 1, 20), np.float32)
    given = Assignment(np.array([0]), np.array([[0.5, 0.5]], np.float32), np.array([0], np.float32), "graph")
    maps[1, 0, 0] = 1  # one pixel of twenty
    assert len(divide_by_evidence(masks, given, maps)[0]) == 1
    maps[1, 0, 1] = 1  # two are a tenth
    assert divide_by_evidence(masks, given, maps)[0].sum(axis=(1, 2)).tolist() == [18, 2]


def test_an_instance_that_looks_like_another_keyword_throughout_becomes_it_whole():
    maps = np.stack([np.zeros((1, 4)), np.full((1, 4), 5)]).astype(np.float32)
    given = Assignment(np.array([0]), np.array([[0.9, 0.1]], np.float32), np.array([0.8], np.float32), "graph")
    divided, parents, found = divide_by_evidence(np.ones((1, 1, 4), bool), given, maps)
    assert divided.sum() == 4 and parents.tolist() == [0] and found.keyword.tolist() == [1]


def test_instances_without_keyword_are_not_divided():
    maps = np.array([[[3, 0]], [[0, 3]]], np.float32)
    given = Assignment(np.array([UNASSIGNED]), np.full((1, 2), 0.5, np.float32), np.array([0], np.float32), "graph")
    divided, _, found = divide_by_evidence(np.ones((1, 1, 2), bool), given, maps)
    assert divided.shape == (1, 1, 2) and found.keyword.tolist() == [UNASSIGNED]
