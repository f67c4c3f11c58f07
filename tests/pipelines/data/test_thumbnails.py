from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data import thumbnails
from pipelines.data.thumbnails import thumbnail
from pipelines.data.working_size import LONGEST_SIDE


def test_a_picture_of_a_long_side_is_resized_from_its_working_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resizing takes memory for each pixel of a side, of which a picture may have forty million."""
    halves = np.zeros((20_000, 1, 3), np.uint8)
    halves[10_000:] = 200
    Image.fromarray(halves).save(tmp_path / "a.png")
    seen: list[tuple[int, ...]] = []
    whole = thumbnails.reduced
    monkeypatch.setattr(thumbnails, "reduced", lambda pixels, most: (seen.append(pixels.shape), whole(pixels, most))[1])
    small = thumbnail(tmp_path / "a.png", 100)
    assert seen == [(10_000, 1, 3)] and 10_000 <= LONGEST_SIDE
    assert small.shape == (100, 1, 3)
    assert small[:, 0, 0].tolist() == [0] * 50 + [200] * 50


def test_a_picture_that_is_not_large_is_resized_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(thumbnail(tmp_path / "a.png", 30), expected)
    assert np.array_equal(thumbnail(tmp_path / "a.png", 60), pixels)
