"""Joint transforms of picture and instance masks: a random window of the scene, squashed to the network's square."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import masks_to_boxes
from torchvision.transforms.v2 import functional as TF

from pipelines.data.label_crops import FILL

_MIN_VISIBLE, _MIN_PIXELS = 0.25, 64


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What training varies.

    Attributes:
        flip: Probability of a horizontal flip.
        scale: Range of magnification; below 1 the picture is surrounded by plain colour, above 1 it is cropped.
        stretch: Largest factor between horizontal and vertical magnification.
        colour: Range of brightness, contrast and saturation around 1.
        scale_probability: Share of samples that are scaled and shifted at all.
        paste: Share of samples over which instances of another picture are pasted.
        paste_scale: Range of magnification of that other picture.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (1.0, 1.0)
    stretch: float = 1.0
    colour: float = 0.0
    scale_probability: float = 1.0
    paste: float = 0.0
    paste_scale: tuple[float, float] = (0.4, 1.0)


def to_network(picture: NDArray[np.uint8], size: int) -> Tensor:
    """Return the picture [H, W, 3] squashed to [3, size, size] uint8 (antialiased bilinear), as S4Net takes it."""
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    return _resize(tensor, size)


def augment(
    picture: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    size: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Make one training sample.

    Args:
        picture: [H, W, 3] RGB.
        masks: [N, H, W] of 0 and 1; N may be 0.
        size: Side S of the network's input.
        augmentation: What to vary.
        generator: Random numbers of this sample.

    Returns:
        The image [3, S, S] uint8 and {boxes [M, 4] float32 xyxy half-open, masks [M, S, S] uint8}. An instance is left
        out where less than a quarter of it, or less than 64 pixels, is inside the window.
    """
    window = _window(masks, augmentation, generator)
    image = _resize(torch.from_numpy(_cut(picture, window, FILL)).permute(2, 0, 1), size)
    kept = _visible(masks, window)
    layers = np.ascontiguousarray(_cut(masks[kept].transpose(1, 2, 0), window, 0).transpose(2, 0, 1))
    scaled = torch.zeros(0, size, size, dtype=torch.uint8)
    if len(layers):
        scaled = (_resize(torch.from_numpy(layers) * 255, size) > 127).to(torch.uint8)
        scaled = scaled[scaled.sum(dim=(1, 2)) >= _MIN_PIXELS]
    if generator.random() < augmentation.flip:
        image, scaled = image.flip(-1), scaled.flip(-1)
    if augmentation.colour:
        image = _colour(image, augmentation.colour, generator)
    return image, {"boxes": half_open_boxes(scaled), "masks": scaled}


def paste(
    image: Tensor,
    target: dict[str, Tensor],
    other_image: Tensor,
    other_target: dict[str, Tensor],
    generator: np.random.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Paste instances of one sample over another, without blending ("simple copy-paste", Ghiasi et al., CVPR 2021).

    Each instance of the other sample is taken with probability 1/2, at least one if there is any.

    Args:
        image: [3, S, S] uint8 of the sample below.
        target: Boxes and masks of the sample below, as `augment` returns them.
        other_image: [3, S, S] uint8 of the sample whose instances lie on top.
        other_target: Boxes and masks of that other sample.
        generator: Random numbers of this sample.

    Returns:
        A new sample. The masks below lose the pixels that a pasted instance covers. An instance below is dropped where
        less than a quarter of it, or less than 64 pixels, is left.
    """
    taken = generator.random(len(other_target["masks"])) < 0.5
    if not len(taken):
        return image, target
    taken[generator.integers(len(taken))] = True
    above = other_target["masks"][torch.from_numpy(taken)]
    cover = above.amax(dim=0)
    below = target["masks"] * (1 - cover)
    left, before = below.sum(dim=(1, 2)), target["masks"].sum(dim=(1, 2))
    below = below[(left >= _MIN_PIXELS) & (left >= _MIN_VISIBLE * before)]
    masks = torch.cat([below, above])
    return torch.where(cover.bool(), other_image, image), {"boxes": half_open_boxes(masks), "masks": masks}


def _resize(layers: Tensor, size: int) -> Tensor:
    """Squash [C, H, W] uint8 to [C, size, size], bilinear with antialiasing."""
    resized: Tensor = TF.resize(layers, [size, size], antialias=True)
    return resized


def half_open_boxes(masks: Tensor) -> Tensor:
    """Return the tight boxes [N, 4] float32 of non-empty masks [N, H, W], right and bottom sides outside."""
    boxes: Tensor = masks_to_boxes(masks).float()
    boxes[:, 2:] += 1  # torchvision's are inclusive
    return boxes


def _window(
    masks: NDArray[np.uint8], augmentation: Augmentation, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Choose the window (x0, y0, x1, y1) in picture pixels; it may reach beyond the picture."""
    height, width = masks.shape[1:]
    whole = (0, 0, width, height)
    if augmentation.scale == (1.0, 1.0) or generator.random() >= augmentation.scale_probability:
        return whole
    for _ in range(10):
        factor = np.exp(generator.uniform(*np.log(augmentation.scale)))
        stretch = np.exp(generator.uniform(-1, 1) * np.log(augmentation.stretch) / 2)
        columns, rows = max(1, round(width / (factor * stretch))), max(1, round(height / (factor / stretch)))
        x0 = round(generator.uniform(min(0, width - columns), max(0, width - columns)))
        y0 = round(generator.uniform(min(0, height - rows), max(0, height - rows)))
        window = (x0, y0, x0 + columns, y0 + rows)
        # A window that shows no instance teaches little, so another one is drawn.
        if not len(masks) or _visible(masks, window).any():
            return window
    return whole


def _visible(masks: NDArray[np.uint8], window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return [N]: whether enough of each mask is inside the window."""
    x0, y0, x1, y1 = window
    inside = masks[:, max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)].sum(axis=(1, 2), dtype=np.int64)
    total = masks.sum(axis=(1, 2), dtype=np.int64)
    visible: NDArray[np.bool_] = (inside > 0) & (inside >= _MIN_VISIBLE * total)
    return visible


def _cut(
    array: NDArray[np.uint8], window: tuple[int, int, int, int], fill: int | tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Return the window of [H, W, C], filled where it leaves the array."""
    x0, y0, x1, y1 = window
    height, width = array.shape[:2]
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return np.ascontiguousarray(array[y0:y1, x0:x1])
    result = np.empty((y1 - y0, x1 - x0, array.shape[2]), dtype=np.uint8)
    result[:] = fill
    left, top, right, bottom = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    result[top - y0 : bottom - y0, left - x0 : right - x0] = array[top:bottom, left:right]
    return result


def _colour(image: Tensor, strength: float, generator: np.random.Generator) -> Tensor:
    """Vary brightness, contrast and saturation of [3, H, W] uint8."""
    brightness, contrast, saturation = (float(generator.uniform(1 - strength, 1 + strength)) for _ in range(3))
    image = TF.adjust_brightness(image, brightness)
    image = TF.adjust_contrast(image, contrast)
    varied: Tensor = TF.adjust_saturation(image, saturation)
    return varied
