"""The losses of a label map: plain, and three that bear wrong labels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
# A log-probability. With -inf, the gradient of a sum of nothing would be undefined. Below -87, exp underflows, which
# takes some processors four times as long.
_RULED_OUT = -80.0
BETA = 0.95
"""Share of the label in the target of `bootstrapped`; the value of Reed et al. for soft bootstrapping."""
SHARPNESS = 2.5
"""Power of a label's odds in `sharpened`. Pooling three witnesses made labels less sure; MixMatch's power is 2."""
FOREGROUND_FROM = 0.4
"""Probability from which `sharpened` takes a pixel for the foreground: at an IoU of 2/3 it gives the largest mIoU."""


def pixel_loss(
    logits: Tensor, target: Tensor, weights: Tensor | None = None, loss: str = "plain", at_cells: bool = False
) -> Tensor:
    """Return one of `LOSSES` over the pixels that have a label.

    Args:
        logits: [B, n, h, w] at any resolution and in any float type.
        target: [B, H, W] int64, class 0..n-1, 0 being the background, or 255: counts nowhere.
        weights: [B, H, W] float, 0 or more: how much each pixel counts. None: all alike.
        loss: A name of `LOSSES`.
        at_cells: Whether to compare at the cells of the logits, with the labels that lie under them. Else the logits
            are enlarged bilinearly to the labels.

    Returns:
        Scalar float32; 0 with a gradient of 0 where no pixel has a label (a mean would be 0 / 0 there).

    Raises:
        ValueError: The loss is unknown.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss {loss!r} is unknown, expected one of {', '.join(LOSSES)}")
    if weights is None:
        weights = torch.ones_like(target, dtype=torch.float32)
    logits, target, weights = _matched(logits, target, weights, at_cells)
    return LOSSES[loss](logits, target, weights * (target != IGNORE))


def soft_loss(logits: Tensor, target: Tensor, confidence: Tensor, in_picture: Tensor, at_cells: bool = False) -> Tensor:
    """Return the cross-entropy with labels that count as far as they are sure; a loss of our own.

    S are the background and the classes of the picture. A label y of confidence q says that the pixel is y with
    probability q, and with probability 1 - q another class of S. The cost is that of this yes or no,
    -q log p(y) - (1 - q) log sum_{k in S, k != y} p(k), or -q log p(y) where S has nothing but y. The cost is lowest
    where the prediction is as sure as the label. With one class beside the background, it is the cross-entropy with
    (q, 1 - q).

    Args:
        logits: [B, n, h, w] at any resolution and in any float type.
        target: [B, H, W] int64, 0..n-1 or 255: counts nowhere.
        confidence: [B, H, W] float, 0..1.
        in_picture: [B, n - 1] bool, the classes that the picture shows.
        at_cells: As in `pixel_loss`.

    Returns:
        Scalar float32, the mean over the pixels that have a label; 0 where there is none.
    """
    logits, target, confidence = _matched(logits, target, confidence, at_cells)
    log_p = logits.log_softmax(1)
    possible = F.pad(in_picture, (1, 0), value=True)  # [B, n]
    classes = torch.arange(logits.shape[1], device=target.device)[None, :, None, None]
    others = possible[:, :, None, None] & (classes != target[:, None])
    log_others = log_p.masked_fill(~others, _RULED_OUT).logsumexp(1)
    doubt = (1 - confidence) * others.any(dim=1)
    known = (target != IGNORE).float()
    cost = F.nll_loss(log_p, target, ignore_index=IGNORE, reduction="none")
    return _mean(confidence * cost - doubt * log_others, known)


def sharpened(confidence: Tensor, target: Tensor) -> Tensor:
    """Return confidence as `soft_loss` learns best from it in a short training for IoU.

    1. The IoU of a class is largest if pixels count as the class from a probability of IoU / (1 + IoU) on. This is less
       than one half (it is half of F1: Lipton et al., ECML PKDD 2014). So the odds of a class are multiplied by 3 / 2,
       and those of the background by 2 / 3: a probability of 0.4 becomes one half.
    2. A label of 0.55 pulls nearly as much one way as the other. Until a training has found out which, the pixel stays
       background, as most are. So odds are raised to a power, as in MixMatch (Berthelot et al., NeurIPS 2019).

    Args:
        confidence: [B, H, W] float, 0..1.
        target: [B, H, W] int64, 0 being the background.

    Returns:
        [B, H, W] in 0..1, which may be below one half; 0 and 1 stay what they are.
    """
    even = torch.where(target == 0, 1 - FOREGROUND_FROM, FOREGROUND_FROM)
    return (SHARPNESS * (confidence.logit() - even.logit())).sigmoid()


def presence_loss(shown: Tensor, target: Tensor, in_picture: Tensor) -> Tensor:
    """Return the binary cross-entropy of whether a crop shows each class.

    Args:
        shown: [B, C] logits, without background.
        target: [B, H, W] int64 labels of the crops, 0..C or 255.
        in_picture: [B, C] bool, whether the whole picture shows the class. A class that the picture shows, and no label
            of the crop, may lie under a pixel without label, and counts nowhere.

    Returns:
        Scalar float32, the mean over what is known.
    """
    classes = torch.arange(1, shown.shape[1] + 1, device=target.device)
    labelled = (target.flatten(1)[:, None] == classes[:, None]).any(dim=2)  # [B, 1, HW] = [C, 1] -> [B, C]
    known = (labelled | ~in_picture).float()
    costs = F.binary_cross_entropy_with_logits(shown.float(), labelled.float(), reduction="none")
    return _mean(costs, known)


def labels_at_cells(labels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the label that is nearest to the centre of each cell; the outermost cells lie on the outermost pixels.

    Cells lie there in networks of padded 3x3 layers: at stride 8, cell i lies over pixel 8 i. So the 41 cells of a crop
    of 321 see the pixels 0, 8, ..., 320.

    Args:
        labels: [B, H, W].
        size: (h, w), at least one cell.

    Returns:
        [B, h, w].
    """
    rows, columns = (
        torch.linspace(0, pixels - 1, cells, device=labels.device).round().long()
        for pixels, cells in zip(labels.shape[1:], size, strict=True)
    )
    return labels[:, rows[:, None], columns]


def _matched(logits: Tensor, target: Tensor, plane: Tensor, at_cells: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits in float32, target and another plane [B, H, W] at one resolution, see `pixel_loss`."""
    logits = logits.float()  # sums over tens of thousands of pixels lose their tail in bf16
    if at_cells:
        return logits, labels_at_cells(target, logits.shape[2:]), labels_at_cells(plane, logits.shape[2:])
    return F.interpolate(logits, size=target.shape[1:], mode="bilinear", align_corners=False), target, plane


def _plain(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of -log p(label)."""
    return _mean(_cross_entropy(logits, target), weights)


def _balanced(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of two means of -log p(label): over foreground pixels, and over background pixels.

    It is half the balanced seeding loss of DSRG (Huang et al., CVPR 2018), so that learning rates hold. The means are
    over the pixels of the batch: a crop with three foreground pixels shall not count as one full of them. Where there
    are pixels of one kind alone, their mean is the loss.
    """
    costs = _cross_entropy(logits, target)
    parts = [weights * (target == 0), weights * (target != 0)]
    kinds = torch.stack([part.sum() > 0 for part in parts]).sum().clamp(min=1)
    return torch.stack([_mean(costs, part) for part in parts]).sum() / kinds


def _bootstrapped(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy with labels that are partly the network's own (Reed et al., ICLR 2015; the soft kind).

    The target of a pixel is beta of its label and 1 - beta of the predicted distribution p. So the cost is
    -beta log p(label) - (1 - beta) sum_k p_k log p_k. A label pulls less where the network is sure of another. The
    gradient goes through p too.
    """
    log_p = logits.log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1)
    return _mean(BETA * _cross_entropy(log_p, target) + (1 - BETA) * entropy, weights)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "plain": _plain,
    "balanced": _balanced,
    "bootstrapped": _bootstrapped,
}
"""By name: (logits [B, n, H, W], target [B, H, W], weights [B, H, W], 0 where there is no label) -> scalar."""


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return -log p(label) [B, H, W]; 0 without a label."""
    return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")


def _mean(costs: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean; 0 where all weights are 0."""
    total = weights.sum()
    return (costs * weights).sum() / torch.where(total > 0, total, 1)
