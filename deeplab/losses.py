"""The loss of a label map."""

import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


def pixel_cross_entropy(logits: Tensor, target: Tensor, ignore: int = IGNORE) -> Tensor:
    """Mean cross-entropy over the pixels that have a label.

    Args:
        logits: [B, n, h, w] at any resolution and in any float type; enlarged bilinearly to the target's.
        target: [B, H, W] int64, class 0..n-1 or `ignore`.
        ignore: Pixels with this value count nowhere.

    Returns:
        Scalar float32; 0 with a gradient of 0 where no pixel has a label (a mean would be 0 / 0 there).
    """
    # Sums over tens of thousands of pixels lose their tail in bf16.
    logits = F.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)
    total = F.cross_entropy(logits, target, ignore_index=ignore, reduction="sum")
    return total / (target != ignore).sum().clamp(min=1)
