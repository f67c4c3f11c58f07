"""The losses: Eq. 1-2 of the paper, the released code's, and those of preset `modern`."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, roi_align

from .anchors import decode, encode
from .matching import NEGATIVE


def mean_or_zero(values: Tensor) -> Tensor:
    """Return the mean of `values`, or a zero that still has a gradient when there are none."""
    return values.sum() / max(values.numel(), 1)


class PaperDetectionLoss:
    """L_obj of Eq. 2, positives and negatives averaged apart, and smooth L1 of the positives' offsets.

    Smooth L1 is quadratic below 1/9 (sigma = 3 of Faster R-CNN, to which the paper refers), and a mean over the
    positives of the picture.
    """

    def objectness(self, logits: Tensor, matches: Tensor, ious: Tensor) -> Tensor:
        """Return -(mean over positives of log p + mean over negatives of log(1 - p)) for [A] logits and matches."""
        positive, negative = matches >= 0, matches == NEGATIVE
        return mean_or_zero(F.softplus(-logits[positive])) + mean_or_zero(F.softplus(logits[negative]))

    def boxes(self, offsets: Tensor, anchors: Tensor, boxes: Tensor, levels: Tensor) -> Tensor:
        """Return the regression loss of [P, 4] offsets at positive anchors [P, 4] towards their boxes [P, 4].

        Args:
            offsets: Predicted offsets.
            anchors: xyxy of the positive anchors.
            boxes: xyxy of the matched ground truth.
            levels: [P] pyramid level of each anchor.
        """
        return smooth_l1(offsets, anchors, boxes).sum() / max(len(offsets), 1)


class ReleaseDetectionLoss:
    """The released code's: both halves x 0.3, the 256 hardest negatives alone, boxes averaged level by level."""

    weight, hard_negatives = 0.3, 256

    def objectness(self, logits: Tensor, matches: Tensor, ious: Tensor) -> Tensor:
        """Return 0.3 (mean over positives + sum over the 256 hardest negatives / 256) for [A] logits and matches."""
        positive, negative = matches >= 0, matches == NEGATIVE
        hard = F.softplus(logits[negative])
        hard = hard.topk(min(self.hard_negatives, len(hard))).values
        return self.weight * (mean_or_zero(F.softplus(-logits[positive])) + hard.sum() / self.hard_negatives)

    def boxes(self, offsets: Tensor, anchors: Tensor, boxes: Tensor, levels: Tensor) -> Tensor:
        """Return the sum over levels of the level's mean loss, / 4; arguments as `PaperDetectionLoss.boxes`."""
        per_anchor = smooth_l1(offsets, anchors, boxes).sum(dim=1)
        counts = torch.bincount(levels, minlength=1).clamp(min=1)
        return (per_anchor / counts[levels]).sum() / 4


class ModernDetectionLoss:
    """Objectness learns the IoU of its own box (quality focal loss, Li et al. 2020), boxes learn by generalised IoU.

    A score that says how good the box is ranks a whole person above its parts. With 20 proposals and a pooled AP, the
    ranking counts. GIoU measures what the metric measures, whatever the size of the box.
    """

    box_weight = 2.0

    def objectness(self, logits: Tensor, matches: Tensor, ious: Tensor) -> Tensor:
        """Return the quality focal loss of [A] logits, divided by the number of positives.

        Args:
            logits: Objectness.
            matches: See `match_anchors`; ignored anchors do not count.
            ious: [P] IoU of the predicted boxes of the positives with their ground truth: the target of the score.
        """
        target = torch.zeros_like(logits)
        target[matches >= 0] = ious
        weight = (target - logits.detach().sigmoid()).square()
        loss = weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return loss[(matches >= 0) | (matches == NEGATIVE)].sum() / max(len(ious), 1)

    def boxes(self, offsets: Tensor, anchors: Tensor, boxes: Tensor, levels: Tensor) -> Tensor:
        """Return the generalised IoU loss; arguments as `PaperDetectionLoss.boxes`."""
        return self.box_weight * mean_or_zero(generalized_box_iou_loss(decode(offsets, anchors), boxes))


DetectionLoss = PaperDetectionLoss | ReleaseDetectionLoss | ModernDetectionLoss


def smooth_l1(offsets: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return the [P, 4] smooth L1 losses (quadratic below 1/9) of offsets against the coded boxes."""
    return F.smooth_l1_loss(offsets, encode(boxes, anchors), beta=1 / 9, reduction="none")


def matched_iou(offsets: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return the [P] IoU of each decoded box with its own ground truth, without gradient."""
    with torch.no_grad():
        predicted = decode(offsets, anchors)
        overlap = (torch.minimum(predicted[:, 2:], boxes[:, 2:]) - torch.maximum(predicted[:, :2], boxes[:, :2])).clamp(
            min=0
        )
        intersection = overlap.prod(dim=1)
        union = (predicted[:, 2:] - predicted[:, :2]).prod(dim=1) + (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
        return intersection / (union - intersection).clamp(min=1e-6)


def covered_shares(masks: Tensor, frames: Tensor, cells: tuple[int, int]) -> Tensor:
    """Return the share [N, h, w] of each cell that a mask covers, 0..1: the target of the mask losses.

    Args:
        masks: [N, S, S] of 0 and 1, N at least 1.
        frames: [N, 4] xyxy in pixels, the part of the mask that the cells divide.
        cells: (h, w).
    """
    # One mask per box: [N, 1, S, S] with box k on mask k.
    boxes = [frame[None] for frame in frames]
    shares: Tensor = roi_align(masks[:, None].float(), boxes, cells, sampling_ratio=-1, aligned=True)[:, 0]
    return shares


def mask_cross_entropy(logits: Tensor, targets: Tensor, region: Tensor) -> Tensor:
    """Return L_seg of Eq. 1 as released: cross-entropy over all cells inside the boxes, one mean over all boxes.

    Args:
        logits: [N, h, w] foreground logits.
        targets: [N, h, w] share of each cell that the instance covers, 0..1. Cells count as foreground from 0.5.
        region: [N, h, w] 1 where the loss counts. It is the box alone, so that the ring is context only.
    """
    loss = F.binary_cross_entropy_with_logits(logits, (targets >= 0.5).float(), reduction="none")
    return (loss * region).sum() / region.sum().clamp(min=1)


def saliency_loss(logits: Tensor, masks: list[Tensor]) -> Tensor:
    """Return cross-entropy plus dice of one saliency map for the whole picture, whatever the instances.

    The features that the mask branch reads learn what stands out at all, in every cell and not only under boxes.

    Args:
        logits: [B, h, w].
        masks: B tensors [N_i, S, S] of 0 and 1. The target of a picture is their union.
    """
    unions = [m.amax(dim=0).float() if len(m) else torch.zeros(m.shape[1:], device=m.device) for m in masks]
    size = (logits.shape[-2], logits.shape[-1])
    targets = F.adaptive_avg_pool2d(torch.stack(unions)[:, None], size)[:, 0]
    return mask_cross_entropy_and_dice(logits, targets, torch.ones_like(logits))


def mask_cross_entropy_and_dice(logits: Tensor, targets: Tensor, region: Tensor) -> Tensor:
    """Return cross-entropy with the covered share, plus dice; arguments as `mask_cross_entropy`.

    Each box has its own mean first, so that small instances count like large ones.
    """
    cross = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * region
    per_box = cross.sum(dim=(1, 2)) / region.sum(dim=(1, 2)).clamp(min=1)
    probability, truth = logits.sigmoid() * region, targets * region
    overlap = 2 * (probability * truth).sum(dim=(1, 2)) + 1
    total = probability.square().sum(dim=(1, 2)) + truth.square().sum(dim=(1, 2)) + 1
    return mean_or_zero(per_box + 1 - overlap / total)
