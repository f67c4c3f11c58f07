import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.metrics.occlusion import occluded_instances, occluded_subset, strictly_occluded_subset
from tests.pipelines.metrics.block_pictures import block, picture


def test_occluded_pictures_are_those_with_boxes_that_share_area() -> None:
    pictures = [
        picture("none"),
        picture("one", block(0, 0, 9, 9)),
        picture("touching", block(0, 0, 9, 9), block(9, 0, 20, 9)),
        picture("overlapping", block(0, 0, 9, 9), block(30, 30, 39, 39), block(8, 8, 20, 20)),
        picture("nested", block(0, 0, 20, 20), block(5, 5, 9, 9)),
        picture("same rows only", block(0, 0, 9, 9), block(20, 0, 30, 9)),
    ]
    assert occluded_subset(pictures) == ["overlapping", "nested"]


def test_occluded_instances_are_those_whose_own_box_shares_area() -> None:
    flags = occluded_instances(
        [
            picture("none"),
            picture("one", block(0, 0, 9, 9)),
            picture("three", block(0, 0, 9, 9), block(30, 30, 39, 39), block(8, 8, 20, 20)),
        ]
    )
    assert {image_id: values.tolist() for image_id, values in flags.items()} == {
        "none": [],
        "one": [False],
        "three": [True, False, True],
    }
    assert flags["none"].dtype == flags["three"].dtype == bool


def l_shape(x: int, y: int) -> NDArray[np.uint8]:
    """A thin L of 20 x 20 pixels: its box reaches far beyond it."""
    return block(x, y, x + 20, y + 1) | block(x, y, x + 1, y + 20)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        # Boxes 20x20 and 10x10: 25 shared pixels of 475 are 0.0526, 24 of 476 are 0.0504, 20 of 480 are 0.042.
        (block(15, 15, 25, 25), True),
        (block(16, 14, 26, 24), True),
        (block(16, 15, 26, 25), False),
    ],
)
def test_boxes_of_one_twentieth_overlap_are_strictly_occluded(second: NDArray[np.uint8], expected: bool) -> None:
    assert (strictly_occluded_subset([picture("a", l_shape(0, 0), second)]) == ["a"]) is expected


@pytest.mark.parametrize(
    ("corner", "expected"),
    [((10, 0), True), ((11, 0), True), ((12, 0), False), ((11, 11), True), ((12, 11), False), ((11, 12), False)],
    ids=["side by side", "one pixel between", "two pixels between", "diagonal", "diagonal far", "diagonal low"],
)
def test_masks_with_at_most_one_pixel_between_are_strictly_occluded(corner: tuple[int, int], expected: bool) -> None:
    x, y = corner
    pictures = [picture("a", block(0, 0, 10, 10), block(x, y, x + 10, y + 10)), picture("b", block(0, 0, 9, 9))]
    assert (strictly_occluded_subset(pictures) == ["a"]) is expected
    turned = picture("a", block(0, 0, 10, 10).T, block(x, y, x + 10, y + 10).T)
    assert (strictly_occluded_subset([turned]) == ["a"]) is expected


def test_boxes_that_share_little_area_with_masks_apart_are_not_strictly_occluded() -> None:
    apart = picture("apart", l_shape(0, 0), block(18, 18, 24, 24))
    assert occluded_subset([apart]) == ["apart"]
    assert strictly_occluded_subset([apart, picture("none")]) == []
