"""Masks of COCO files: run lengths and polygons, checked before the decoder sees them.

pycocotools does not check its input. Counts that end too early make it show uninitialised memory as a mask; far corners
of a polygon make it allocate memory without limit. So this module has checks and a decoder of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Rle = dict[str, Any]  # {"size": [height, width], "counts": str}, column-major runs as COCO packs them

_LONGEST_NUMBER = 7  # characters of one run length: 5 bits each, so up to 2**34


class MaskSizeError(ValueError):
    """A mask belongs to a picture of another size."""


def read_rle(segmentation: Any, height: int, width: int) -> Rle:
    """Convert any form of a COCO segmentation to compressed run lengths.

    Args:
        segmentation: Compressed or uncompressed run lengths, or a list of polygons [x0, y0, x1, y1, ...]. Polygons that
            cannot be are left out if there are others, see `usable_polygons`.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.

    Raises:
        MaskSizeError: The run lengths are for a picture of another size.
        ValueError: The segmentation cannot be used. The message says what was found; file and annotation are up to the
            caller.
    """
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, height, width)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("segmentation is neither run lengths nor polygons")
    if segmentation["size"] != [height, width]:
        raise MaskSizeError(f"mask is for a picture of size {segmentation['size']}, the picture has {[height, width]}")
    counts = segmentation["counts"]
    if isinstance(counts, str):
        runs = _unpack(counts)
    elif isinstance(counts, list) and all(type(run) is int and 0 <= run <= height * width for run in counts):
        runs = np.array(counts, np.int64)
    else:
        raise ValueError("run lengths are neither text nor whole numbers")
    if runs.size == 0 or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"run lengths cover {runs.sum()} pixels, the picture has {height * width}")
    if isinstance(counts, str):
        return {"size": [height, width], "counts": counts}
    return _as_text(coco_mask.frPyObjects(segmentation, height, width))


def encode_masks(masks: NDArray[np.uint8] | NDArray[np.bool_]) -> list[Rle]:
    """Compress masks.

    Args:
        masks: [N, H, W] uint8 0/1 or bool; N may be 0.

    Returns:
        N run lengths as in JSON: counts are text.
    """
    if masks.ndim != 3:
        raise ValueError(f"masks have shape {masks.shape}, expected [N, H, W]")
    if len(masks) == 0:
        return []
    columns = np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)  # [N, H, W] -> [H, W, N]
    return [_as_text(rle) for rle in coco_mask.encode(columns)]


def decode_masks(rles: Sequence[Rle], height: int, width: int) -> NDArray[np.uint8]:
    """Return masks [N, H, W] uint8, 0 or 1, of N run lengths that `read_rle` or `encode_masks` gave."""
    masks = np.zeros((len(rles), height, width), np.uint8)
    for mask, rle in zip(masks, rles, strict=True):
        runs = _unpack(rle["counts"])
        values = np.arange(runs.size, dtype=np.uint8) & 1  # runs of zeros and ones in turn
        mask[:] = np.repeat(values, runs).reshape(width, height).T
    return masks


def boxes_of(rles: Sequence[Rle]) -> NDArray[np.float32]:
    """Return the tightest half-open xyxy box [N, 4] float32 of each mask, in pixels; an empty box for an empty mask."""
    if not rles:
        return np.zeros((0, 4), np.float32)
    boxes = np.asarray(coco_mask.toBbox(list(rles)), np.float32)  # xywh
    boxes[:, 2:] += boxes[:, :2]
    boxes[np.asarray(coco_mask.area(list(rles))) == 0] = (
        0  # toBbox gives sides of 4e9 where a run of such a mask is empty
    )
    return boxes


def _unpack(counts: str) -> NDArray[np.int64]:
    """Return the run lengths in a compressed string.

    Each character has 5 bits of a number and, in bit 5, whether the number goes on. Bit 4 of a number's last character
    is its sign. From the fourth number on, a number is the difference to the number two places before.
    """
    codes = np.frombuffer(counts.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("run lengths are damaged text")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST_NUMBER:
        raise ValueError("run lengths are damaged text")
    shifts = 5 * (np.arange(codes.size) - np.repeat(starts, lengths))
    numbers: NDArray[np.int64] = np.add.reduceat((codes & 31) << shifts, starts)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << 5 * lengths, 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def usable_polygons(polygons: Sequence[Any], height: int, width: int) -> tuple[list[list[float]], list[str]]:
    """Sort out the polygons of a segmentation.

    Args:
        polygons: What stands in the file.
        height: Height in pixels of the picture that the polygons were drawn on.
        width: Width in pixels.

    Returns:
        The polygons that can be filled, and for each of the others what is wrong with it.
    """
    usable, faults = [], []
    for polygon in polygons:
        corners = polygon if isinstance(polygon, list) else []
        if len(corners) < 6 or len(corners) % 2 or not all(type(value) in (int, float) for value in corners):
            faults.append("a polygon is not a list of three or more x, y pairs")
            continue
        # Not as an array, since a number may have more digits than a float. NaN fails as well.
        sides = (width, height) * (len(corners) // 2)
        if all(-side <= value <= 2 * side for value, side in zip(corners, sides, strict=True)):
            usable.append(corners)
        else:
            faults.append("a polygon has a corner far outside of the picture")
    return usable, faults


def _from_polygons(polygons: list[Any], height: int, width: int) -> Rle:
    if not polygons:
        raise ValueError("segmentation holds no polygon")
    usable, faults = usable_polygons(polygons, height, width)
    if not usable:
        raise ValueError(faults[0])
    return _as_text(coco_mask.merge(coco_mask.frPyObjects(usable, height, width)))


def _as_text(rle: Rle) -> Rle:
    counts = rle["counts"]
    return {
        "size": [int(side) for side in rle["size"]],
        "counts": counts.decode() if isinstance(counts, bytes) else counts,
    }
