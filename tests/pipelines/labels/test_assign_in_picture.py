import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import assign_attention, assign_named, assign_single

# Columns 0, 1, 2 of the evidence are the classes 5, 2 and 9 of the list.
ONE = Keywords(("cat",), (5,))
TWO = Keywords(("cat", "dog"), (5, 2))
THREE = Keywords(("cat", "dog", "cow"), (5, 2, 9))


def maps_of(affinity: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of one pixel each, and maps whose means inside the masks are the table [N, K]."""
    table = np.array(affinity, np.float32)
    masks = np.eye(len(table), dtype=bool)[:, None, :]  # [N, 1, N]
    return masks, table.T[:, None, :]  # [K, 1, N]


def test_one_keyword_goes_to_every_instance():
    result = assign_single(3, ONE)
    assert result.keyword.tolist() == [5, 5, 5]
    assert result.margin.tolist() == [1, 1, 1]
    assert result.affinity.shape == (3, 1)
    assert result.rule == "single"


def test_several_keywords_without_maps_leave_all_instances_unassigned():
    result = assign_single(2, THREE)
    assert result.keyword.tolist() == [255, 255]
    assert result.affinity.shape == (2, 3)
    assert result.rule == "none"


def test_no_instance_gives_an_empty_assignment():
    for result in (
        assign_single(0, ONE),
        assign_attention(np.zeros((0, 4, 4), bool), np.ones((2, 3, 3), np.float32), TWO, 0.1),
    ):
        assert len(result.keyword) == len(result.affinity) == len(result.margin) == 0
        assert result.rule == "none"


def test_each_instance_takes_the_keyword_with_the_largest_affinity():
    result = assign_attention(*maps_of([[0.9, 0.1], [0.2, 0.6], [0.7, 0.1]]), TWO, margin=0.05)
    assert result.keyword.tolist() == [5, 2, 5]
    np.testing.assert_allclose(result.margin, [0.8, 0.4, 0.6], rtol=1e-5)
    assert result.rule == "attention"


def test_every_keyword_gets_its_best_instance_where_there_are_enough():
    # By affinity alone all three would take keyword 0. The one-to-one sum is largest when the second instance takes
    # keyword 1: 0.9 + 0.75 against 0.8 + 0.1 or 0.9 + 0.2.
    result = assign_attention(*maps_of([[0.9, 0.1], [0.8, 0.75], [0.7, 0.2]]), TWO, margin=0.05)
    assert result.keyword.tolist() == [5, 2, 5]
    np.testing.assert_allclose(result.margin, [0.8, -0.05, 0.5], atol=1e-6)


def test_an_instance_that_clearly_shows_another_keyword_is_not_made_the_best_one():
    result = assign_attention(*maps_of([[0.9, 0.1], [0.8, 0.5], [0.7, 0.2]]), TWO, margin=0.05)
    assert result.keyword.tolist() == [5, 5, 5]


def test_fewer_instances_than_keywords_are_assigned_by_affinity_alone():
    result = assign_attention(*maps_of([[0.9, 0.5, 0.1], [0.8, 0.2, 0.1]]), THREE, margin=0.05)
    assert result.keyword.tolist() == [5, 5]


def test_a_lead_below_the_margin_leaves_the_instance_unassigned():
    table = [[0.9, 0.1], [0.1, 0.9], [0.5, 0.46]]
    assert assign_attention(*maps_of(table), TWO, margin=0.05).keyword.tolist() == [5, 2, 255]
    assert assign_attention(*maps_of(table), TWO, margin=0.03).keyword.tolist() == [5, 2, 5]


def test_the_only_candidate_of_a_keyword_needs_no_margin():
    # The second instance is undecided, but keyword 1 has no other instance.
    result = assign_attention(*maps_of([[0.9, 0.1], [0.5, 0.49]]), TWO, margin=0.05)
    assert result.keyword.tolist() == [5, 2]
    assert result.margin[1] == pytest.approx(-0.01, abs=1e-6)


def test_an_instance_is_not_taken_from_a_keyword_that_has_no_other():
    # Both instances are sure of keyword 0, so one of them must move to keyword 1. The best one-to-one sum is
    # 0.85 + 0.9: it moves instance 0.
    result = assign_attention(*maps_of([[0.9, 0.85], [0.9, 0.1]]), TWO, margin=0.05)
    assert result.keyword.tolist() == [2, 5]


def test_one_keyword_with_maps_is_assigned_without_a_contest():
    result = assign_attention(*maps_of([[0.25], [0.0]]), ONE, margin=0.5)
    assert result.keyword.tolist() == [5, 5]
    assert result.affinity.tolist() == [[0.25], [0.0]]
    assert result.rule == "single"


def test_a_keyword_that_comes_with_an_instance_goes_before_all_others():
    found = assign_attention(*maps_of([[1, 0], [0, 1], [0.5, 0.5]]), TWO, 0.1)
    assert found.keyword.tolist() == [5, 2, 255]
    named = assign_named(found, np.array([2, 0, 5]))
    assert named.keyword.tolist() == [2, 2, 5]
    assert named.margin.tolist() == [1, found.margin[1], 1]
    assert named.rule == "attention" and named.is_named.tolist() == [True, False, True]
    assert assign_named(found, np.zeros(3, np.int64)).is_named.tolist() == [False] * 3
