"""Which pictures and instances show occlusion: the subsets behind mAP_O.

The paper reports mAP_O, and does not say how its pictures were chosen. So there is more than one definition.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.coco import CocoPicture

_STRICT_IOU = 0.05


def occluded_subset(pictures: Sequence[CocoPicture]) -> list[str]:
    """Return the ids of the pictures in which at least two true boxes share some area."""
    return [picture.image_id for picture in pictures if _shared_areas(picture.boxes).any()]


def occluded_instances(pictures: Sequence[CocoPicture]) -> dict[str, NDArray[np.bool_]]:
    """Return for each picture's id [N] bool: whether the instance's box shares some area with another box."""
    return {picture.image_id: _shared_areas(picture.boxes).max(axis=1, initial=0) > 0 for picture in pictures}


def strictly_occluded_subset(pictures: Sequence[CocoPicture]) -> list[str]:
    """Return the ids of the pictures with two instances that are really close.

    Either the IoU of their boxes is above 0.05, or their masks meet when both grow by one pixel in all eight
    directions. Such masks have at most one pixel between them.
    """
    return [
        picture.image_id
        for picture in pictures
        if (_box_ious(picture.boxes) > _STRICT_IOU).any() or _masks_meet(picture)
    ]


def _shared_areas(boxes: NDArray[np.float32], margin: float = 0) -> NDArray[np.float64]:
    """Return [N, N] the area that two boxes share when both grow by a margin in pixels; 0 for a box with itself."""
    grown = boxes.astype(np.float64) + np.array([-margin, -margin, margin, margin])
    sides = np.minimum(grown[:, None, 2:], grown[None, :, 2:]) - np.maximum(grown[:, None, :2], grown[None, :, :2])
    areas: NDArray[np.float64] = sides.clip(min=0).prod(axis=2)
    np.fill_diagonal(areas, 0)
    return areas


def _box_ious(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return [N, N] the IoU of two boxes; 0 for a box with itself."""
    shared = _shared_areas(boxes)
    own = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1)
    ious: NDArray[np.float64] = shared / (own[:, None] + own[None, :] - shared)
    return ious


def _masks_meet(picture: CocoPicture) -> bool:
    # Masks can meet only where the grown boxes do. So most pictures are judged without decoding a mask.
    near = np.argwhere(np.triu(_shared_areas(picture.boxes, margin=1)) > 0)
    if not len(near):
        return False
    grown = [_grown(mask) for mask in picture.masks()]
    return any(bool((grown[first] & grown[second]).any()) for first, second in near)


def _grown(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask [H, W] of 0 and 1 with all eight neighbours of its pixels."""
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    grown: NDArray[np.uint8] = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return grown
