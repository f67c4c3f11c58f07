from typing import Any

import numpy as np
import pytest

from pipelines.data.rle import decode_masks
from pipelines.web.strokes import stroke_mask


def pixels(points: list[list[float]], radius: float, height: int = 50, width: int = 100) -> np.ndarray:
    rle = stroke_mask(points, radius, height, width)
    assert rle is not None and rle["size"] == [height, width]
    return decode_masks([rle], height, width)[0].astype(bool)


def test_a_dot_is_a_disc_around_its_point() -> None:
    found = pixels([[0.5, 0.5]], 0.1)
    rows, columns = np.indices(found.shape)
    away = np.hypot(rows + 0.5 - 25, columns + 0.5 - 50)
    assert found[away < 9].all() and not found[away > 11.2].any()
    assert found.sum() == pytest.approx(np.pi * 100, rel=0.1)


def test_a_line_covers_all_that_is_near_it() -> None:
    found = pixels([[0.2, 0.2], [0.8, 0.8]], 0.05)
    rows, columns = np.indices(found.shape)
    x, y = columns + 0.5 - 20, rows + 0.5 - 10
    length = np.hypot(60, 30)
    along = np.clip((x * 60 + y * 30) / length**2, 0, 1)
    away = np.hypot(x - along * 60, y - along * 30)
    assert found[away < 4].all() and not found[away > 6.2].any()


def test_the_smallest_brush_paints_one_pixel_and_one_beside_the_picture_none() -> None:
    assert 1 <= pixels([[0.505, 0.51]], 1e-6).sum() <= 4
    assert stroke_mask([[-1, -1]], 0.01, 50, 100) is None


@pytest.mark.parametrize(
    ("points", "radius"),
    [
        ([], 0.1), (None, 0.1), ([[0.5]], 0.1), ([[0.5, "0"]], 0.1), ([[0.5, float("nan")]], 0.1), ([[0.5, 9]], 0.1),
        ([[0.5, 0.5]], 0), ([[0.5, 0.5]], 0.6), ([[0.5, 0.5]], None), ([[0.5, 0.5]], True),
        ([[0.5, 0.5]] * 10_001, 0.1),
        ([[True, 0.5]], 0.1), ("ab", 0.1), ([[0.5, 0.5]], float("inf")),
    ],
)  # fmt: skip
def test_unusable_strokes_are_none(points: Any, radius: Any) -> None:
    assert stroke_mask(points, radius, 50, 100) is None


@pytest.mark.parametrize("number", [10**400, -(10**400), float("nan"), float("inf"), 1e308, True, "1", None])
def test_numbers_that_are_none_or_too_large_are_refused(number: Any) -> None:
    assert stroke_mask([[0.5, 0.5]], number, 20, 30) is None
    assert stroke_mask([[0.5, 0.5], [number, 0.5]], 0.1, 20, 30) is None
