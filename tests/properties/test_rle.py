"""Run lengths and boxes of masks, beside pycocotools."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pipelines.data.rle import boxes_of, decode_masks, encode_masks, read_rle

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, inside pycocotools


@st.composite
def masks(draw: Callable) -> NDArray[np.uint8]:
    """N masks of any size, from empty over striped to full."""
    count, height, width = draw(st.integers(1, 4)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))
    return (generator.random((count, height, width)) < density).astype(np.uint8)


@given(masks())
def test_masks_come_back_and_are_what_pycocotools_reads_and_writes(some: NDArray[np.uint8]) -> None:
    height, width = some.shape[1:]
    rles = encode_masks(some)
    np.testing.assert_array_equal(decode_masks(rles, height, width), some)
    np.testing.assert_array_equal(coco_mask.decode(rles), some.transpose(1, 2, 0))
    assert [read_rle(rle, height, width) for rle in rles] == rles
    for mask, rle in zip(some, rles, strict=True):
        assert coco_mask.encode(np.asfortranarray(mask))["counts"].decode() == rle["counts"]


@given(masks())
def test_plain_run_lengths_of_a_mask_read_as_the_mask(some: NDArray[np.uint8]) -> None:
    height, width = some.shape[1:]
    for mask, rle in zip(some, encode_masks(some), strict=True):
        column = mask.T.ravel()  # column-major
        borders = np.flatnonzero(np.diff(column)) + 1
        runs = np.diff([0, *borders, len(column)]).tolist()
        counts = [0, *runs] if column[0] else runs
        assert read_rle({"size": [height, width], "counts": counts}, height, width) == rle


@given(masks())
def test_boxes_are_the_tight_half_open_ones(some: NDArray[np.uint8]) -> None:
    for mask, box in zip(some, boxes_of(encode_masks(some)).tolist(), strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        else:
            assert box[0] == box[2] and box[1] == box[3]


@given(st.integers(1, 30), st.integers(1, 30), st.lists(st.integers(-3, 40), max_size=12))
def test_plain_run_lengths_are_read_or_refused_but_never_taken_for_another_size(
    height: int, width: int, counts: list[int]
) -> None:
    segmentation = {"size": [height, width], "counts": counts}
    fits = bool(counts) and min(counts) >= 0 and sum(counts) == height * width
    if not fits:
        with pytest.raises(ValueError):
            read_rle(segmentation, height, width)
        return
    expected = np.repeat(np.arange(len(counts)) % 2, counts).reshape(width, height).T
    np.testing.assert_array_equal(decode_masks([read_rle(segmentation, height, width)], height, width)[0], expected)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_any_text_is_read_as_a_mask_of_its_size_or_refused(counts: str, height: int, width: int) -> None:
    try:
        rle = read_rle({"size": [height, width], "counts": counts}, height, width)
    except ValueError:
        return
    np.testing.assert_array_equal(decode_masks([rle], height, width)[0], coco_mask.decode(rle))


@given(masks(), st.data())
def test_a_damaged_text_is_never_read_as_a_mask_of_another_size(some: NDArray[np.uint8], data: st.DataObject) -> None:
    rle = encode_masks(some[:1])[0]
    place = data.draw(st.integers(0, len(rle["counts"]) - 1))
    letter = data.draw(st.characters(min_codepoint=48, max_codepoint=111))
    counts = rle["counts"][:place] + letter + rle["counts"][place + 1 :]
    assume(counts != rle["counts"])
    height, width = some.shape[1:]
    try:
        read = read_rle({"size": [height, width], "counts": counts}, height, width)
    except ValueError:
        return
    assert decode_masks([read], height, width).shape == (1, height, width)
