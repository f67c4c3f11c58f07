import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.cells import CellProbe, cells_per_picture, fit_cells, labels_of_cells, sample_cells


def test_cells_have_the_label_of_their_pixels_and_none_where_these_differ():
    label_map = np.uint8([[1, 1, 2, 2], [1, 1, 2, 0], [0, 0, 255, 255], [0, 0, 255, 255]])
    assert labels_of_cells(label_map, (2, 2), np.arange(4, dtype=np.int32)).tolist() == [1, 255, 0, 255]
    assert labels_of_cells(label_map, (2, 2), np.int32([2])).tolist() == [0]


def test_cells_of_an_enlarged_picture_are_less_than_a_pixel():
    label_map = np.uint8([[1, 2]])
    assert labels_of_cells(label_map, (2, 4), np.arange(8, dtype=np.int32)).tolist() == [1, 1, 2, 2] * 2


def test_the_same_cells_are_drawn_again():
    features = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    cells = sample_cells(features, 5, "a")
    assert len(set(cells.places.tolist())) == 5
    for place, feature in zip(cells.places.tolist(), cells.features.tolist(), strict=True):
        assert feature == [place, 12 + place]
    assert sample_cells(features, 5, "a").places.tolist() == cells.places.tolist()
    assert sample_cells(features, 99, "a").places.tolist() == list(range(12))


@pytest.mark.parametrize(("pictures", "cells"), [(1, 128), (3_125, 128), (10_000, 40), (1_000_000, 16)])
def test_large_sets_learn_from_fewer_cells_of_each_picture(pictures: int, cells: int):
    assert cells_per_picture(pictures) == cells


def test_a_picture_is_judged_by_what_others_say():
    """The first feature shows the keyword; the second shows a lump of picture 0 alone, labelled like the keyword."""
    rng = np.random.default_rng(0)
    labels = np.uint8([0, 1] * 200)
    features = np.stack([labels * 4 + rng.normal(size=400), rng.normal(size=400) / 10], axis=1)
    pictures = np.arange(400) // 10
    lump = np.array([[0, 8.0]] * 40) + rng.normal(size=(40, 2)) / 10
    probe = fit_cells(
        np.concatenate([features, lump]).astype(np.float16),
        np.concatenate([labels, np.ones(40, np.uint8)]),
        np.concatenate([pictures, np.zeros(40, np.int64)]),
        1,
    )
    assert probe is not None
    seen = np.float32([[0, 4, 0], [0, 0, 8]])[:, None]  # background, the keyword, the lump
    even = probe(seen, 0, Keywords(("a",), (1,)), (1, 3))
    odd = probe(seen, 1, Keywords(("a",), (1,)), (1, 3))
    assert even[1, 0].round().tolist() == [0, 1, 0]
    assert odd[1, 0].round().tolist() == [0, 1, 1]  # this one has learned from picture 0


def test_unknown_cells_teach_nothing_and_too_few_make_no_classifier():
    features, pictures = np.ones((30, 2), np.float16), np.arange(30)
    assert fit_cells(features, np.full(30, 255, np.uint8), pictures, 1) is None
    labels = np.full(30, 255, np.uint8)
    labels[:18] = 1  # nine cells for each classifier
    assert fit_cells(features, labels, pictures, 1) is None


def test_probabilities_are_of_the_keywords_alone_and_interpolated():
    log = np.log(np.float32([1, 3, 2, 4]))  # background and three keywords
    weights = np.stack([np.zeros(4), log])[None].transpose(0, 2, 1)
    probe = CellProbe(np.repeat(weights, 2, axis=0).astype(np.float32), np.zeros((2, 4), np.float32))
    features = np.float32([[[0, 0]], [[0, 1]]])  # in the first cell all classes are alike, in the second as 1, 3, 2, 4
    shown = probe(features, 0, Keywords(("c", "a"), (3, 1)), (1, 4))
    assert shown.shape == (3, 1, 4)
    # pixel centres lie at 0 (clipped), 1/4, 3/4 and 1 of the way between the cells
    first, last = np.float32([1, 1, 1]) / 3, np.float32([1, 4, 3]) / 8
    for pixel, share in enumerate([0, 0.25, 0.75, 1]):
        np.testing.assert_allclose(shown[:, 0, pixel], (1 - share) * first + share * last, rtol=1e-5)
