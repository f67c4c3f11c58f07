"""Working sizes: what is bounded, what stays as it is, and what comes back at the picture's size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import open_image, open_working_picture, picture_frame
from pipelines.data.rle import decode_masks
from pipelines.data.working_size import LONGEST_SIDE, WORKING_PIXELS, WorkingSize, tiles, working_masks

MIXED = WorkingSize((5, 7), (2, 3))  # blocks of 2, 2, 1 rows and 3, 3, 1 columns


@pytest.mark.parametrize(
    ("shown", "factors"),
    [
        ((375, 500), (1, 1)),
        ((1080, 1920), (1, 1)),
        ((1448, 1448), (1, 1)),  # 2,096,704 pixels, 448 less than the most
        ((1449, 1448), (2, 2)),
        ((3024, 4032), (3, 3)),  # 12.2 MP: 1008 x 1344
        ((6928, 6928), (5, 5)),  # 48 MP: a fifth has 1386 x 1386, a quarter would have 3.0 MP
        ((1, 16384), (1, 1)),
        ((1, 40_000_000), (1, 2442)),  # 40,000,000 / 2441 is more than 16384
        ((40_000_000, 1), (2442, 1)),
        ((100, 500_000), (1, 31)),
    ],
)
def test_a_picture_is_reduced_as_little_as_the_bounds_allow(shown: tuple[int, int], factors: tuple[int, int]) -> None:
    size = WorkingSize.of(shown)
    assert size.factors == factors
    assert size.pixels <= WORKING_PIXELS
    assert max(size.size) <= LONGEST_SIDE
    assert size.is_reduced == (factors != (1, 1))


def test_every_legal_shape_stays_within_the_bounds() -> None:
    generator = np.random.default_rng(0)
    for side in np.rint(10 ** generator.uniform(0, np.log10(50e6), 300)).astype(int).tolist():
        for other in (1, 50_000_000 // side):
            size = WorkingSize.of((side, other))
            assert size.pixels <= WORKING_PIXELS
            assert max(size.size) <= LONGEST_SIDE


def test_blocks_are_averaged() -> None:
    picture = np.zeros((5, 7, 3), np.uint8)
    picture[0:2, 0:3, 0] = [[10, 20, 30], [40, 50, 60]]  # mean 35
    picture[4, 6] = 200  # a block of its own
    reduced = MIXED.reduce(picture)
    assert reduced.shape == (3, 3, 3)
    assert reduced[0, 0].tolist() == [35, 0, 0]
    assert reduced[2, 2].tolist() == [200, 200, 200]
    assert reduced.sum() == 35 + 600


def test_tiles_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    mask = picture[..., 0] > 90
    whole = MIXED.factors
    size = WorkingSize((61, 47), whole)
    expected, inside = size.reduce(picture), size.reduce_mask(mask)
    blocks = np.add.reduceat(np.add.reduceat(mask.astype(int), np.arange(0, 61, 2), 0), np.arange(0, 47, 3), 1)
    areas = np.outer(np.minimum(2, 61 - np.arange(0, 61, 2)), np.minimum(3, 47 - np.arange(0, 47, 3)))
    np.testing.assert_array_equal(inside, 2 * blocks > areas)
    monkeypatch.setattr("pipelines.data.working_size.WORKING_PIXELS", 60)  # 10 blocks a tile
    np.testing.assert_array_equal(size.reduce(picture), expected)
    np.testing.assert_array_equal(size.reduce_mask(mask), inside)


def test_results_come_back_at_the_size_of_the_picture() -> None:
    label_map = np.arange(9, dtype=np.uint8).reshape(3, 3)
    large = MIXED.enlarge(label_map)
    assert large.tolist() == [
        [0, 0, 0, 1, 1, 1, 2],
        [0, 0, 0, 1, 1, 1, 2],
        [3, 3, 3, 4, 4, 4, 5],
        [3, 3, 3, 4, 4, 4, 5],
        [6, 6, 6, 7, 7, 7, 8],
    ]
    np.testing.assert_array_equal(MIXED.sample(large), label_map)
    mask = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 1]], bool)
    (rle,) = MIXED.encode([mask])
    np.testing.assert_array_equal(decode_masks([rle], 5, 7)[0], MIXED.enlarge(mask))
    assert MIXED.area(mask) == 2 * 3 + 2 * 1 + 1 == MIXED.enlarge(mask).sum()
    np.testing.assert_array_equal(working_masks([rle], MIXED)[0], mask)


def test_what_is_not_large_is_the_same_object() -> None:
    size, picture = WorkingSize((2, 2)), np.zeros((2, 2, 3), np.uint8)
    assert size.reduce(picture) is picture
    assert size.enlarge(picture[..., 0]).base is picture
    assert size.area(np.eye(2, dtype=bool)) == 2


def test_tiles_cover_an_area_once_and_are_bounded() -> None:
    for size in ((5, 7), (1, 40), (40, 1), (1, 1)):
        covered = np.zeros(size, int)
        for rows, columns in tiles(size, 10):
            covered[rows, columns] += 1
            assert covered[rows, columns].size <= 10
        assert (covered == 1).all()


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_large_picture_is_turned_before_it_is_reduced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (130, 193, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    as_it_is, size = open_working_picture(tmp_path / "a.png")
    assert not size.is_reduced
    np.testing.assert_array_equal(as_it_is, open_image(tmp_path / "a.png"))
    real = WorkingSize.of
    monkeypatch.setattr(WorkingSize, "of", classmethod(lambda cls, shown: real(shown, most=10_000)))
    reduced, size = open_working_picture(tmp_path / "a.png")
    assert size == picture_frame(tmp_path / "a.png").working
    assert size.factors == (2, 2)
    np.testing.assert_array_equal(reduced, size.reduce(as_it_is))
