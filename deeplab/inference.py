"""Class probabilities of a whole picture, averaged over scales and its mirror image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def predict_logits(
    net: nn.Module, image: Tensor, scales: Sequence[float] = (1.0,), flip: bool = False, at_cells: bool = False
) -> Tensor:
    """Softmax probabilities at the picture's own size.

    Args:
        net: Images [1, 3, h, w] -> logits [1, n, h', w'], in evaluation mode.
        image: [3, H, W] float 0..1, on the network's device; at least one pixel.
        scales: Sizes relative to the picture; above 0, at least one.
        flip: Also reads each scale mirrored.
        at_cells: The network was trained with `at_cells` (see `pixel_loss`): its outermost logits belong to the
            picture's outermost pixels, instead of each to an equal share of the picture.

    Returns:
        [n, H, W] float32; sums to 1 over n. The mean of the probabilities of all passes, each enlarged to the picture.

    Raises:
        ValueError: No scale, or one that is not above 0.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales are {list(scales)}, expected at least one, each above 0")
    size = (image.shape[1], image.shape[2])
    total: Tensor | None = None
    for scale in scales:
        scaled = _resized(image[None], scale)
        for mirrored in (False, True) if flip else (False,):
            logits = net(scaled.flip(3) if mirrored else scaled).float()
            logits = logits.flip(3) if mirrored else logits
            large = F.interpolate(logits, size=size, mode="bilinear", align_corners=at_cells)[0]
            # Classes come last in memory, as out of the network: softmax over the first dimension would copy it all.
            part = large.permute(1, 2, 0).softmax(2).permute(2, 0, 1)
            total = part if total is None else total.add_(part)
    assert total is not None
    return total.div_(len(scales) * (2 if flip else 1))


def _resized(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    height, width = (max(1, round(side * scale)) for side in images.shape[2:])
    return F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False, antialias=scale < 1)
