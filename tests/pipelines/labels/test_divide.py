from dataclasses import replace

import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import UNASSIGNED, Assignment, assign_attention, assign_named
from pipelines.labels.divide import divide_by_evidence, split_fused
from tests.pipelines.labels.column_masks import columns

# Columns 0, 1, 2 of the evidence are the classes 5, 2 and 9 of the list.
ONE = Keywords(("cat",), (5,))
TWO = Keywords(("cat", "dog"), (5, 2))
THREE = Keywords(("cat", "dog", "cow"), (5, 2, 9))
NAMED = np.array([5, 0])  # the source names the first of two instances


def test_a_keyword_without_instance_is_cut_out_of_the_instance_that_shows_it():
    # One instance of four columns; the maps say keyword 0 on the left and, weaker in the mean, keyword 1 on the right.
    masks, maps = columns((0, 4), width=4), np.array([[[3, 3, 0, 0]], [[0, 0, 1, 1]]], np.float32)
    assignment = assign_attention(masks, maps, TWO, margin=0.05)
    assert assignment.keyword.tolist() == [5]
    parts, parents, result = split_fused(masks, assignment, maps, TWO)
    assert parts[:, 0].astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert parents.tolist() == [0, 0]
    assert result.keyword.tolist() == [5, 2]
    assert result.margin.tolist() == [3, 1]
    assert masks[0].all()  # the caller's masks stay


def test_an_undecided_instance_is_decided_once_its_other_keyword_is_cut_out():
    masks, maps = columns((0, 4), width=4), np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], np.float32)
    assignment = assign_attention(masks, maps, TWO, margin=0.05)
    assert assignment.keyword.tolist() == [255]
    _, _, result = split_fused(masks, assignment, maps, TWO)
    assert sorted(result.keyword.tolist()) == [2, 5]


def test_a_sliver_is_not_cut_out():
    masks = columns((0, 8))
    maps = np.array([[[1] * 7 + [0]], [[0] * 7 + [1]]], np.float32)  # an eighth is below the smallest part
    assignment = assign_attention(masks, maps, TWO, margin=0.05)
    parts, parents, result = split_fused(masks, assignment, maps, TWO)
    assert len(parts) == 1 and parents.tolist() == [0] and result.keyword.tolist() == [5]


def test_nothing_is_cut_where_every_keyword_has_an_instance():
    masks = columns((0, 3), (3, 8))
    maps = np.array([[[1, 1, 1, 0, 0, 1, 1, 0]], [[0, 0, 0, 1, 1, 0, 0, 1]]], np.float32)
    assignment = assign_attention(masks, maps, TWO, margin=0.0)
    assert sorted(assignment.keyword.tolist()) == [2, 5]
    parts, _, result = split_fused(masks, assignment, maps, TWO)
    assert np.array_equal(parts, masks) and result is assignment


def test_pixels_of_an_instance_go_to_the_keyword_that_both_witnesses_name():
    # One row of four pixels, one cell each; the instance is of keyword 0 with p = 0.9: log 0.9 - log 0.1 = 2.2.
    masks = np.ones((1, 1, 4), bool)
    maps = np.array([[[0, 0, 0, 0]], [[0, 2, 3, 3]]], np.float32)
    given = Assignment(np.array([5]), np.array([[0.9, 0.1]], np.float32), np.array([0.8], np.float32), "graph")
    divided, parents, found = divide_by_evidence(masks, given, maps, TWO)
    assert divided[:, 0].tolist() == [[True, True, False, False], [False, False, True, True]]
    assert parents.tolist() == [0, 0] and found.keyword.tolist() == [5, 2] and found.rule == "graph"
    assert found.margin == pytest.approx([0.8, -0.8])
    assert masks.all()  # not written into


def test_parts_below_a_tenth_stay_with_the_instance():
    masks = np.ones((1, 1, 20), bool)
    maps = np.zeros((2, 1, 20), np.float32)
    given = Assignment(np.array([5]), np.array([[0.5, 0.5]], np.float32), np.array([0], np.float32), "graph")
    maps[1, 0, 0] = 1  # one pixel of twenty
    assert len(divide_by_evidence(masks, given, maps, TWO)[0]) == 1
    maps[1, 0, 1] = 1  # two are a tenth
    assert divide_by_evidence(masks, given, maps, TWO)[0].sum(axis=(1, 2)).tolist() == [18, 2]


def test_an_instance_that_looks_like_another_keyword_throughout_becomes_it_whole():
    maps = np.stack([np.zeros((1, 4)), np.full((1, 4), 5)]).astype(np.float32)
    given = Assignment(np.array([5]), np.array([[0.9, 0.1]], np.float32), np.array([0.8], np.float32), "graph")
    divided, parents, found = divide_by_evidence(np.ones((1, 1, 4), bool), given, maps, TWO)
    assert divided.sum() == 4 and parents.tolist() == [0] and found.keyword.tolist() == [2]


def test_an_instance_that_its_source_names_stays_whole_and_the_others_are_divided():
    # Both instances show keyword 0 on the left and keyword 1 on the right. The larger one is named.
    masks = columns((0, 6), (6, 10), width=10)
    maps = np.array([[[1, 1, 1, 0, 0, 0, 1, 1, 0, 0]], [[0, 0, 0, 1, 1, 1, 0, 0, 1, 1]]], np.float32)
    given = assign_named(Assignment(np.array([5, 5]), np.zeros((2, 2), np.float32), np.zeros(2), "attention"), NAMED)
    for divided, parents, found in (
        split_fused(masks, given, maps, TWO),
        divide_by_evidence(masks, replace(given, affinity=np.full((2, 2), 0.5, np.float32)), maps, TWO),
    ):
        assert divided[:, 0].sum(axis=1).tolist() == [6, 2, 2] and parents.tolist() == [0, 1, 1]
        assert found.keyword.tolist() == [5, 5, 2] and found.is_named.tolist() == [True, False, False]
        assert found.margin[0] == 1


def test_instances_without_keyword_are_not_divided():
    maps = np.array([[[3, 0]], [[0, 3]]], np.float32)
    given = Assignment(np.array([UNASSIGNED]), np.full((1, 2), 0.5, np.float32), np.array([0], np.float32), "graph")
    divided, _, found = divide_by_evidence(np.ones((1, 1, 2), bool), given, maps, TWO)
    assert divided.shape == (1, 1, 2) and found.keyword.tolist() == [UNASSIGNED]
