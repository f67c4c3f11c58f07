"""Which anchors are positive, negative or ignored."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

NEGATIVE, IGNORED = -1, -2


def match_anchors(
    anchors: Tensor, boxes: Tensor, positive_iou: float, negative_iou: float | None = None, force_best: bool = False
) -> Tensor:
    """Assign ground-truth boxes to anchors by IoU.

    Args:
        anchors: [A, 4] xyxy.
        boxes: [N, 4] xyxy ground truth; N = 0 makes every anchor negative.
        positive_iou: IoU with some box from which an anchor is positive (paper 0.5, released code 0.4).
        negative_iou: IoU below which an anchor is negative; anchors between are ignored. None: `positive_iou`, as in
            the paper.
        force_best: Whether the best anchor of every box is positive whatever its IoU, so that no instance goes unseen.

    Returns:
        [A] int64: index of the matched box, NEGATIVE or IGNORED.
    """
    if len(boxes) == 0:
        return torch.full((len(anchors),), NEGATIVE, dtype=torch.int64, device=anchors.device)
    iou = box_iou(anchors, boxes)
    best, matches = iou.max(dim=1)
    matches = torch.where(best >= positive_iou, matches, IGNORED)
    matches = torch.where(best < (positive_iou if negative_iou is None else negative_iou), NEGATIVE, matches)
    if force_best:
        matches[iou.argmax(dim=0)] = torch.arange(len(boxes), device=anchors.device)
    return matches
