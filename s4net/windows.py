"""Layers behind RoIMasking on a window of each box instead of the whole map, which a processor does much faster.

A window holds the region in which a mask may be, and all cells around it that the layers see from there. So in the
region the result is that of the whole map. The window needs these cells even where the features are masked to zero:
layers have biases, and max-pooling makes zeros of the negative ring. A window that ends at the border of the map has
the padding of the map there.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from .roi_masking import PlacedBoxes

Window = list[int]
"""Cells (x0, y0, x1, y1), half-open."""

# Sides of windows in cells. oneDNN makes a kernel for each new size of a map, which takes as long as running it a few
# times, and remembers about a thousand; with sides of any length a real picture takes 1.3 times as long.
_STEP = 4


def reach(module: nn.Module) -> int:
    """Return the cells that layers of stride 1, one behind the other, see in each direction."""
    total = 0
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            total += max(d * (k - 1) // 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
        elif isinstance(layer, nn.MaxPool2d):
            assert isinstance(layer.kernel_size, int)
            total += (layer.kernel_size - 1) // 2
    return total


def nested_windows(bounds: Tensor, size: tuple[int, int], margins: Sequence[int]) -> list[list[Window]]:
    """Return for each margin the windows of N regions, each window inside that of the margin before.

    Sides are rounded up to multiples of 4 cells where there is room, so that few sizes occur.

    Args:
        bounds: [N, 4] float, the cells (x0, y0, x1, y1) of each region, half-open; may leave the map.
        size: (H, W) of the map, to which the windows are clipped; none is empty.
        margins: Cells on each side of a region, falling.
    """
    sides = torch.tensor([size[1], size[0]], device=bounds.device)
    first, last = torch.zeros_like(bounds[:, :2]), sides.expand(len(bounds), 2)
    windows: list[list[Window]] = []
    for margin in margins:
        low = (bounds[:, :2] - margin).clamp(min=0).minimum(sides - 1)
        high = (bounds[:, 2:] + margin).clamp(min=1).minimum(sides)
        length = (((high - low) / _STEP).ceil() * _STEP).minimum(last - first)
        low = low.minimum(last - length)
        first, last = low, low + length
        windows.append(torch.cat([first, last], dim=1).int().tolist())
    return windows


def run_on_windows(
    layers: Sequence[nn.Module], features: Tensor, placed: PlacedBoxes, bounds: Tensor, margin: int
) -> Iterator[tuple[Tensor, Window]]:
    """Run layers on a window of each box; behind each layer, a window loses the cells that no later layer needs.

    Args:
        layers: Layers of stride 1, each of which keeps the size of its input.
        features: [B, C, H, W].
        placed: N boxes on these features.
        bounds: [N, 4], the cells of the region of each box, see `nested_windows`.
        margin: Cells between a region and the border of its first window: what the layers see, and more if wanted.

    Yields:
        For each box the result [1, C', h, w], and the window of the map that it covers.
    """
    margins = [margin]
    for layer in layers:
        margins.append(max(margins[-1] - reach(layer), 0))
    size = (features.shape[-2], features.shape[-1])
    masks = placed.masks.to(features.dtype)
    of_boxes = zip(*nested_windows(bounds, size, margins), strict=True)
    for i, (picture, windows) in enumerate(zip(placed.pictures.tolist(), of_boxes, strict=True)):
        x0, y0, x1, y1 = windows[0]
        x = features[picture : picture + 1, :, y0:y1, x0:x1] * masks[i : i + 1, :, y0:y1, x0:x1]
        for layer, before, after in zip(layers, windows, windows[1:], strict=False):
            x = _cut(layer(x), before, after)
        yield x, windows[-1]


def _cut(x: Tensor, before: Window, after: Window) -> Tensor:
    """Return of x [1, C, h, w], which covers the window `before`, the part in the window `after`."""
    if before == after:
        return x
    (x0, y0, _, _), (left, top, right, bottom) = before, after
    return x[:, :, top - y0 : bottom - y0, left - x0 : right - x0]
