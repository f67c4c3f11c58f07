from dataclasses import replace

import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import UNASSIGNED
from pipelines.labels.fuse import instance_probabilities, pool, unassigned_pixels, weigh
from pipelines.labels.paint import Painted

SIZE = (1, 4)
TWO = Keywords(("cat", "dog"), (5, 2))  # class 5 of the list comes first


def painted(*found: tuple[list[int], float, int]) -> Painted:
    """Make an instance for each (pixels, score, keyword), in a row of four pixels."""
    masks = np.zeros((len(found), *SIZE), bool)
    for mask, (pixels, _, _) in zip(masks, found, strict=True):
        mask[0, pixels] = True
    return Painted(masks, np.float32([score for _, score, _ in found]), np.int64([keyword for *_, keyword in found]))


def test_the_best_instance_on_top_gives_its_score_to_its_keyword():
    p = instance_probabilities(painted(([0, 1], 0.9, 5), ([1, 2], 0.8, 2)), TWO, SIZE)
    assert p.sum(axis=0) == pytest.approx(np.ones(SIZE))
    # The keyword has 0.5 + 0.45 * 0.9 = 0.905, and the two other classes share the rest. Outside, background has 0.9.
    assert p[:, 0, 0] == pytest.approx([0.0475, 0.905, 0.0475])
    assert p[:, 0, 1] == pytest.approx([0.0475, 0.905, 0.0475])
    assert p[:, 0, 2] == pytest.approx([0.07, 0.07, 0.86])
    assert p[:, 0, 3] == pytest.approx([0.9, 0.05, 0.05])


def test_background_is_not_sure_where_a_keyword_has_no_instance():
    shown = np.array([[True, False, True, False]])
    p = instance_probabilities(painted(([0], 0.9, 5)), TWO, SIZE, {1: shown})
    assert p.sum(axis=0) == pytest.approx(np.ones(SIZE))
    assert p[:, 0, 0] == pytest.approx([0.0475, 0.905, 0.0475])  # under an instance all is as before
    # The dog has no instance: it gets the 0.4 that background loses, and 0.7 where attention shows it.
    assert p[:, 0, 1] == pytest.approx([0.5, 0.05, 0.45])
    assert p[:, 0, 2] == pytest.approx([0.15, 0.15, 0.7])


def test_keywords_without_instance_share_what_background_loses():
    nothing = np.zeros(SIZE, bool)
    p = instance_probabilities(painted(), TWO, SIZE, {0: nothing, 1: nothing})
    assert p[:, 0, 0] == pytest.approx([0.5, 0.25, 0.25])
    assert instance_probabilities(painted(), TWO, SIZE, {})[:, 0, 0] == pytest.approx([0.9, 0.05, 0.05])


def test_an_instance_without_keyword_says_nothing():
    p = instance_probabilities(painted(([0], 0.9, UNASSIGNED)), TWO, SIZE)
    assert p[:, 0, 0] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(("of_kind", "background"), [(0.2, 0.8), (0.0, 0.98), (float("nan"), 1 / 3)])
def test_one_that_looks_like_something_else_is_background_as_probably(of_kind: float, background: float):
    found = replace(painted(([0], 0.9, UNASSIGNED), ([1], 0.9, 5)), of_kind=np.float32([of_kind, 0.1]))
    p = instance_probabilities(found, TWO, SIZE)
    assert p[:, 0, 0] == pytest.approx([background, (1 - background) / 2, (1 - background) / 2])
    assert p[1, 0, 1] == pytest.approx(0.905)  # for an instance with a keyword, of_kind does not count


@pytest.mark.parametrize("keywords", [1, 2, 25])
def test_a_doubtful_instance_still_wins_where_nothing_else_speaks(keywords: int):
    some = Keywords(tuple(map(str, range(keywords))), tuple(range(1, keywords + 1)))
    p = instance_probabilities(painted(([0], 0.1, 1)), some, SIZE)
    assert p[1, 0, 0] == pytest.approx(0.545) and p[:, 0, 0].argmax() == 1
    assert (p > 0).all() and p.sum(axis=0) == pytest.approx(np.ones(SIZE))


def test_unassigned_pixels_are_those_with_such_an_instance_on_top():
    assert unassigned_pixels(painted(([0, 1], 0.9, UNASSIGNED), ([1, 2], 0.95, 5)), SIZE).tolist() == [
        [True, False, False, False]
    ]
    assert unassigned_pixels(painted(), SIZE).all()


def test_opinions_are_multiplied_each_to_the_power_of_its_share():
    instances, segmentation = np.float32([[[0.9]], [[0.1]]]), np.float32([[[0.2]], [[0.8]]])
    # The roots of 0.18 and 0.08 are as 3 to 2.
    assert pool([instances, segmentation], [1, 1])[:, 0, 0] == pytest.approx([0.6, 0.4])
    # Cube roots of 0.9 * 0.2^2 = 0.036 and 0.1 * 0.8^2 = 0.064: 0.33019 and 0.4.
    assert pool([instances, segmentation], [0.5, 1])[:, 0, 0] == pytest.approx([0.45220, 0.54780], abs=1e-5)


def test_what_all_say_alike_grows_no_surer():
    opinion = np.float32([[[0.7]], [[0.2]], [[0.1]]])
    assert pool([opinion] * 3, [1, 0.5, 1])[:, 0, 0] == pytest.approx([0.7, 0.2, 0.1])
    assert pool([opinion], [1]) is opinion


def test_an_opinion_is_never_so_sure_that_nothing_outweighs_it():
    instances, segmentation = np.float32([[[0.01]], [[0.99]]]), np.float32([[[1.0]], [[0.0]]])
    # Roots of 0.01 and of 0.99e-4: 0.1 and 0.00995.
    assert pool([instances, segmentation], [1, 1])[1, 0, 0] == pytest.approx(0.00995 / 0.10995, abs=1e-5)


def test_evidence_multiplies_the_odds():
    probabilities, likelihood = np.float32([[[0.8]], [[0.2]]]), np.float32([[[1]], [[4]]])
    # The odds are 0.8 to 0.2 * 4, and 0.8 to 0.2 * 2 with half the weight.
    assert weigh(probabilities, likelihood, 1)[:, 0, 0] == pytest.approx([0.5, 0.5])
    assert weigh(probabilities, likelihood, 0.5)[:, 0, 0] == pytest.approx([2 / 3, 1 / 3])
