"""Class probabilities of a whole picture, averaged over scales and its mirror image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_GRID = 16  # the coarsest stride of any trunk here
_ROWS = 64  # rows of pixels of which the probabilities are computed at a time
_FILL = 127 / 255  # grey, about 0 for a network: as beyond the edges of the pictures in training


@torch.no_grad()
def predict_probabilities(
    net: nn.Module, image: Tensor, scales: Sequence[float] = (1.0,), flip: bool = False
) -> Tensor:
    """Return the softmax probabilities of the classes at the picture's own size.

    In a network of padded convolutions of stride s, cell i sees pixel s i if the sides of the picture are a multiple of
    s and one more, like the crops of training (321). With other sides it may not: TensorFlow's padding, for which some
    ImageNet weights were made, then pads one side more than the other, and shifts what is seen by up to s - 1 pixels.
    So pictures are padded to such a size, as DeepLab's authors do (513 for all of VOC).

    Args:
        net: Images [1, 3, h, w] -> logits [1, n, h', w'], in evaluation mode. The outermost logits belong to the
            outermost pixels.
        image: [3, H, W] float 0..1, on the network's device, of at least one pixel.
        scales: Sizes relative to the picture, at least one, each above 0.
        flip: Whether to read each scale mirrored too.

    Returns:
        [n, H, W] float32, summing to 1 over n: the mean of the probabilities of all passes at the picture's size.

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
            part = _softmax(net, scaled, mirrored, size)
            total = part if total is None else total.add_(part)
            del part  # so that the next pass has room
    assert total is not None
    return total.div_(len(scales) * (2 if flip else 1))


def _softmax(net: nn.Module, images: Tensor, mirrored: bool, size: tuple[int, int]) -> Tensor:
    """Return the probabilities [n, H, W] of one pass over [1, 3, h, w], which is read mirrored or as it is."""
    logits = _logits_of_pixels(net, images.flip(3) if mirrored else images)
    logits = logits.flip(3) if mirrored else logits
    if logits.shape[2:] != size:
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    # Classes come last in memory, as the network makes them: softmax over the first dimension would copy them.
    pixels = logits[0].permute(1, 2, 0)
    for top in range(0, len(pixels), _ROWS):
        # In place, because the probabilities of a large picture take as much memory as its logits.
        rows = pixels[top : top + _ROWS]
        rows.copy_(rows.softmax(2))
    return pixels.permute(2, 0, 1)


def _logits_of_pixels(net: nn.Module, images: Tensor) -> Tensor:
    """Return logits [1, n, h, w] float32 of images [1, 3, h, w], which are padded on all sides alike."""
    height, width = images.shape[2:]
    missing = [(1 - side) % _GRID for side in (height, width)]
    top, left = (each // 2 for each in missing)
    whole = F.pad(images, (left, missing[1] - left, top, missing[0] - top), value=_FILL)
    large = F.interpolate(net(whole).float(), size=whole.shape[2:], mode="bilinear", align_corners=True)
    return large[:, :, top : top + height, left : left + width]


def _resized(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    height, width = (max(1, round(side * scale)) for side in images.shape[2:])
    return F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False, antialias=scale < 1)
