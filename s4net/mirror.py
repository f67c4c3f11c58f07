"""Reading a picture together with its mirror image: what the mirror image says, in the coordinates of the picture."""

from collections.abc import Sequence

import torch
from torch import Tensor


def unmirrored(values: Tensor, cells: Sequence[tuple[int, int]], per_cell: int) -> Tensor:
    """Bring what a network says of a mirror image into the order of the picture's own anchors.

    Args:
        values: [B, A, ...], one for each anchor: level by level, row by row, the anchors of a cell last.
        cells: (h, w) of each level.
        per_cell: anchors of a cell.

    Returns:
        [B, A, ...] with the columns of every level turned round.
    """
    levels = torch.split(values, [h * w * per_cell for h, w in cells], dim=1)
    turned = [
        level.reshape(len(level), h, w, per_cell, -1).flip(2).reshape(level.shape)
        for level, (h, w) in zip(levels, cells, strict=True)
    ]
    return torch.cat(turned, dim=1)


def unmirrored_offsets(offsets: Tensor, cells: Sequence[tuple[int, int]], per_cell: int) -> Tensor:
    """Do the same to box offsets [B, A, 4] (dx, dy, dw, dh): what lay to the right lies to the left."""
    return unmirrored(offsets, cells, per_cell) * offsets.new_tensor([-1, 1, 1, 1])


def mirrored_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return where boxes [N, 4] xyxy lie in the mirror image of a picture of this width."""
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    return torch.stack([width - x1, y0, width - x0, y1], dim=1)
