import numpy as np

from pipelines.data.instance_sources.background import background_masks

OBJECT = np.zeros((40, 40), bool)
OBJECT[10:26, 10:26] = True


def marked(*masks: np.ndarray) -> list[bool]:
    return background_masks(np.stack(masks)).tolist()


def test_what_lies_behind_an_object_is_background() -> None:
    assert marked(OBJECT, ~OBJECT) == [False, True]
    assert marked(~OBJECT, OBJECT) == [True, False]


def test_parts_of_the_object_cover_what_the_background_leaves() -> None:
    left, right = OBJECT.copy(), OBJECT.copy()
    left[:, 18:], right[:, :18] = False, False
    assert marked(left, ~OBJECT, right) == [False, True, False]


def test_a_large_object_is_kept_if_nothing_lies_in_front_of_it() -> None:
    assert marked(~OBJECT) == [False]
    corner = np.zeros((40, 40), bool)
    corner[:5, :5] = True
    assert marked(~OBJECT, corner) == [False, False]
    assert marked(np.ones((40, 40), bool), OBJECT) == [False, False]  # it leaves nothing


def test_half_of_the_picture_or_of_the_border_is_not_enough() -> None:
    half = np.zeros((40, 40), bool)
    half[:, :20] = True
    assert marked(half, ~half) == [False, False]
    inner = np.zeros((40, 40), bool)
    inner[1:-1, 1:-1] = True  # most of the picture, nothing of the border
    assert marked(inner, ~inner) == [False, False]


def test_no_masks_are_no_background() -> None:
    assert background_masks(np.zeros((0, 4, 6), bool)).tolist() == []
