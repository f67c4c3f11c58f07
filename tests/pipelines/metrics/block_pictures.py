"""Pictures of 40 x 40 pixels whose true instances are rectangles."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_masks

from pipelines.data.coco import CocoPicture

SIDE = 40


def block(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
    """Return the mask of a rectangle."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def rle(mask: NDArray[np.uint8]) -> dict[str, object]:
    """Return a mask as run lengths, by pycocotools itself."""
    encoded = rle_masks.encode(np.asfortranarray(mask))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def picture(image_id: str, *masks: NDArray[np.uint8]) -> CocoPicture:
    """Return a picture with true instances; none of the masks is empty."""
    boxes = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return CocoPicture(
        image_id=image_id,
        path=Path(f"{image_id}.jpg"),
        height=SIDE,
        width=SIDE,
        source="",
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        rles=tuple(rle(mask) for mask in masks),
    )
