import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipelines.data.rle import boxes_of, decode_masks, encode_masks, read_rle


def random_masks(count: int, height: int, width: int, density: float) -> np.ndarray:
    return (np.random.default_rng(count).random((count, height, width)) < density).astype(np.uint8)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_masks_come_back_exactly(density: float) -> None:
    masks = random_masks(5, 37, 53, density)
    rles = encode_masks(masks)
    assert all(isinstance(rle["counts"], str) and rle["size"] == [37, 53] for rle in rles)
    np.testing.assert_array_equal(decode_masks(rles, 37, 53), masks)
    assert [read_rle(rle, 37, 53) for rle in rles] == rles


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, inside pycocotools
def test_masks_are_what_pycocotools_decodes() -> None:
    rles = encode_masks(random_masks(8, 61, 23, 0.2))
    np.testing.assert_array_equal(decode_masks(rles, 61, 23), coco_mask.decode(rles).transpose(2, 0, 1))


def test_bool_masks_are_encoded_as_uint8_masks_are() -> None:
    masks = random_masks(3, 9, 7, 0.3)
    assert encode_masks(masks.astype(bool)) == encode_masks(masks)


def test_no_masks_are_an_empty_list_and_back() -> None:
    assert encode_masks(np.zeros((0, 4, 6), np.uint8)) == []
    assert decode_masks([], 4, 6).shape == (0, 4, 6)
    assert boxes_of([]).shape == (0, 4)
    with pytest.raises(ValueError, match=r"expected \[N, H, W\]"):
        encode_masks(np.zeros((4, 6), np.uint8))


def test_boxes_are_tight_and_half_open() -> None:
    masks = np.zeros((2, 10, 20), np.uint8)
    masks[0, 2:5, 7:11] = 1
    masks[1, 9, 19] = 1
    boxes = boxes_of(encode_masks(masks))
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[7, 2, 11, 5], [19, 9, 20, 10]]


def test_plain_run_lengths_go_down_the_columns() -> None:
    # 2 rows, 3 columns: one zero, three ones, two zeros in column order -> (1,0), (0,1), (1,1)
    rle = read_rle({"size": [2, 3], "counts": [1, 3, 2]}, 2, 3)
    assert decode_masks([rle], 2, 3)[0].tolist() == [[0, 1, 0], [1, 1, 0]]


def test_polygons_are_filled_and_joined() -> None:
    squares = [[1, 1, 4, 1, 4, 3, 1, 3], [6.0, 5.0, 8.0, 5.0, 8.0, 8.0, 6.0, 8.0]]
    mask = decode_masks([read_rle(squares, 10, 12)], 10, 12)[0]
    expected = np.zeros((10, 12), np.uint8)
    expected[1:3, 1:4] = 1
    expected[5:8, 6:8] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        17,
        {},
        {"size": [4, 6]},
        {"size": [6, 4], "counts": [24]},  # height and width swapped
        {"size": [4, 6], "counts": []},
        {"size": [4, 6], "counts": [23]},  # one pixel short
        {"size": [4, 6], "counts": [25]},
        {"size": [4, 6], "counts": [30, -6]},
        {"size": [4, 6], "counts": [24.0]},
        {"size": [4, 6], "counts": [True, 23]},
        {"size": [4, 6], "counts": [10**30]},
        {"size": [4, 6], "counts": None},
        {"size": [4, 6], "counts": ""},
        {"size": [4, 6], "counts": "0"},  # ends early: the decoder would show uninitialised memory
        {"size": [4, 6], "counts": "h"},  # says that the number goes on
        {"size": [4, 6], "counts": "oooooooooo0"},  # a number of 55 bits
        {"size": [4, 6], "counts": "\x00 ~"},
        {"size": [4, 6], "counts": "é"},
        [],
        [[1, 2, 3, 4]],  # two corners: pycocotools would take it for a box
        [[1, 1, 2, 2, 3]],
        [["1", "1", "2", "2", "3", "3"]],
        [[0, 0, 5, 0, float("nan"), 3]],
        [[0, 0, 5, 0, 1e12, 3]],
        [{}],
    ],
)
def test_segmentations_that_cannot_be_are_refused(segmentation: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_rle(segmentation, 4, 6)


@pytest.mark.parametrize(
    ("runs", "box"),
    [
        ([20], [0, 0, 0, 0]),
        ([20, 0], [0, 0, 0, 0]),  # pycocotools: 4e9
        ([7, 0, 13], [0, 0, 0, 0]),
        ([0, 0, 20, 0], [0, 0, 0, 0]),
        # 4 high and 5 wide: the pixels 13 and 14 are rows 1 and 2 of column 3.
        ([13, 2, 5], [3, 1, 4, 3]),
        ([5, 0, 8, 2, 5, 0], [3, 1, 4, 3]),
        ([13, 1, 0, 1, 5], [3, 1, 4, 3]),
        ([0, 0, 13, 2, 2, 0, 3], [3, 1, 4, 3]),
        ([0, 2, 18], [0, 0, 1, 2]),
    ],
)
def test_empty_runs_change_no_box(runs: list[int], box: list[int]) -> None:
    text = coco_mask.frPyObjects({"size": [4, 5], "counts": runs}, 4, 5)["counts"].decode()
    for counts in (runs, text):
        rle = read_rle({"size": [4, 5], "counts": counts}, 4, 5)
        assert boxes_of([rle]).tolist() == [box]
        mask = np.repeat(np.arange(len(runs)) % 2, runs).reshape(5, 4).T
        np.testing.assert_array_equal(decode_masks([rle], 4, 5)[0], mask)
    if not any(box):
        assert boxes_of([{"size": [4, 5], "counts": text}]).tolist() == [box]


def test_damaged_text_is_refused_or_describes_a_whole_mask() -> None:
    good = encode_masks(random_masks(1, 30, 40, 0.1))[0]["counts"]
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        counts = list(good)
        counts[random.integers(len(counts))] = chr(48 + random.integers(64))
        try:
            rle = read_rle({"size": [30, 40], "counts": "".join(counts)}, 30, 40)
        except ValueError:
            refused += 1
        else:
            mask = decode_masks([rle], 30, 40)[0]
            assert coco_mask.area(rle) == mask.sum() <= 1200
    assert refused > 250
