"""Read a picture together with its mirror image: twice the time, and surer boxes and masks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .anchors import AnchorGrid
from .instances import RawDetections
from .network import S4Net
from .postprocess import boxes_to_mask, rank_detections


def can_mirror(anchors: AnchorGrid, size: int) -> bool:
    """Return whether a picture of side `size` and its mirror image have the same anchors, turned round."""
    return not anchors.released and size % anchors.strides[-1] == 0


class MirrorReader:
    """An S4Net that averages scores, boxes and masks of a picture and of its mirror image."""

    def __init__(self, net: S4Net) -> None:
        """Keep the network that reads both."""
        self.net = net

    @torch.no_grad()
    def detect(self, images: Tensor, min_score: float | None = None) -> list[RawDetections]:
        """Do the same as `S4Net.detect`.

        Raises:
            ValueError: The mirror images of the pictures have other anchors.
        """
        net, height, width = self.net, images.shape[-2], images.shape[-1]
        if not can_mirror(net.anchors, width):
            raise ValueError(
                f"a picture of {width} pixels and its mirror image have other anchors; flip needs a preset with "
                f"anchors at the centres of cells, and a side that is a multiple of {net.anchors.strides[-1]}"
            )
        dense = net.dense(images)
        twin = net.dense(images.flip(3).contiguous(memory_format=torch.channels_last))
        cells, per_cell = [(x.shape[-2], x.shape[-1]) for x in dense.levels], net.anchors.per_cell
        scores = (dense.logits.sigmoid() + unmirrored(twin.logits.sigmoid(), cells, per_cell)) / 2
        offsets = (dense.offsets + unmirrored_offsets(twin.offsets, cells, per_cell)) / 2
        proposals, scores = net.propose(scores, offsets, dense.anchors, (height, width), min_score)
        boxes = boxes_to_mask(proposals, scores)
        turned = [mirrored_boxes(own, width) for own in boxes]
        masks, covered = net.mask_branch(dense.levels[net.mask_level], boxes, net.stride, dense.detail)
        mirrored, _ = net.mask_branch(twin.levels[net.mask_level], turned, net.stride, twin.detail)
        probabilities = (masks.sigmoid() + mirrored.sigmoid().flip(2)) / 2
        trust, decay = net.settings.mask_trust, net.settings.overlap_decay
        return rank_detections(boxes, scores, probabilities, covered, trust, decay)


def unmirrored(values: Tensor, cells: Sequence[tuple[int, int]], per_cell: int) -> Tensor:
    """Bring predictions for a mirror image into the order of the anchors of the picture.

    Args:
        values: [B, A, ...], one for each anchor: level by level, row by row, with the anchors of a cell last.
        cells: (h, w) of each level.
        per_cell: Anchors of a cell.

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
    """Bring box offsets [B, A, 4] (dx, dy, dw, dh) for a mirror image into that order, with dx to the other side."""
    return unmirrored(offsets, cells, per_cell) * offsets.new_tensor([-1, 1, 1, 1])


def mirrored_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return where boxes [N, 4] xyxy lie in the mirror image of a picture of this width."""
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    return torch.stack([width - x1, y0, width - x0, y1], dim=1)
