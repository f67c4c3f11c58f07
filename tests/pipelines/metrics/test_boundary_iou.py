import numpy as np
import pytest

from pipelines.metrics.boundary_iou import boundary_counts, boundary_iou, inner_boundary


def square(x0: int, y0: int, x1: int, y1: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_boundary_of_a_square_is_a_frame_inside_of_it():
    for distance in (1, 2, 3):
        expected = square(10, 10, 20, 20) & ~square(10 + distance, 10 + distance, 20 - distance, 20 - distance)
        assert np.array_equal(inner_boundary(square(10, 10, 20, 20), distance), expected)


def test_the_border_of_the_picture_is_a_boundary():
    assert np.array_equal(inner_boundary(np.ones((40, 40), bool), 2), ~square(2, 2, 38, 38))


@pytest.mark.parametrize("seed", range(3))
def test_boundaries_are_those_of_an_erosion(seed):
    from scipy.ndimage import binary_erosion

    mask = np.random.default_rng(seed).random((20, 30)) < 0.9
    eroded = binary_erosion(mask, np.ones((3, 3)), iterations=2)
    assert np.array_equal(inner_boundary(mask, 2), mask & ~eroded)


def test_counts_as_derived_by_hand():
    # Diagonal 56.6 pixels, so a strip of 1: of a 10 x 10 square 36 pixels. Moved by one: the upper and lower edge
    # share 9 pixels each; the left edge of one is inside the other, not on its boundary.
    truth, moved = square(10, 10, 20, 20).astype(np.uint8), square(11, 10, 21, 20).astype(np.uint8)
    assert boundary_counts(truth, moved, 3)[1].tolist() == [18, 36 + 36 - 18]
    assert boundary_counts(truth, truth, 3)[1].tolist() == [36, 36]
    assert boundary_counts(truth, truth, 3)[2].tolist() == [0, 0]
    scores = boundary_iou(boundary_counts(truth, moved, 3))
    assert scores[1] == pytest.approx(1 / 3)
    assert np.isnan(scores[2])


def test_pixels_without_truth_do_not_count():
    truth = square(10, 10, 20, 20).astype(np.uint8)
    truth[10] = 255  # the upper edge
    counts = boundary_counts(truth, square(10, 10, 20, 20).astype(np.uint8), 2)
    # The truth is a 10 x 9 square now: its boundary has 34 pixels; the label's has 36 - 10 judged ones, of which the
    # two sides and the lower edge are shared.
    assert counts[1].tolist() == [26, 34]


def test_the_strip_grows_with_the_diagonal_of_the_picture():
    # 300 x 400: diagonal 500, so a strip of 10 pixels: 60 * 60 - 40 * 40 = 2,000 pixels of a square of 60.
    truth = np.zeros((300, 400), np.uint8)
    truth[100:160, 100:160] = 1
    assert boundary_counts(truth, truth, 2)[1].tolist() == [2000, 2000]


def test_a_class_in_truth_or_prediction_alone_counts():
    truth, nothing = square(10, 10, 20, 20).astype(np.uint8), np.zeros((40, 40), np.uint8)
    assert boundary_counts(truth, nothing, 2)[1].tolist() == [0, 36]
    assert boundary_counts(nothing, truth, 2)[1].tolist() == [0, 36]
