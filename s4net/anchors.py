"""Anchors of every pyramid level, and the coding of boxes against them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# A side grows to e^4.135 = 62.5 times that of its anchor at most. This keeps exp() from overflowing, as in torchvision.
MAX_LOG_SCALE = math.log(1000 / 16)


def anchor_shapes(size: float, ratios: Sequence[float], rounded: bool = False) -> Tensor:
    """Return [R, 2] widths and heights of area size^2, one for each height / width ratio.

    Args:
        size: Side of the square anchor in pixels.
        ratios: Height / width.
        rounded: Whether to round as the released code does. Shapes of a 16 pixel anchor have whole pixels (23x12,
            16x16, 11x22), and those of other anchors are multiples of these.
    """
    base = 16.0 if rounded else size
    ratio = torch.tensor(list(ratios), dtype=torch.float32)
    width = base / ratio.sqrt()
    if rounded:
        width = width.round()  # half to even, as NumPy's
        return torch.stack([width, (width * ratio).round()], dim=1) * (size / base)
    return torch.stack([width, width * ratio], dim=1)


class AnchorGrid:
    """Anchors centred on the cells of each level."""

    def __init__(
        self,
        strides: Sequence[int],
        sizes: Sequence[float],
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        released: bool = False,
    ) -> None:
        """Describe the levels.

        Args:
            strides: Pixels per cell of each level.
            sizes: Anchor side in pixels of each level.
            ratios: Height / width of the anchors of a cell.
            released: Whether anchors are those of the released code: rounded shapes, and centres at stride * i + 8 on
                every level (7.5 in its inclusive coordinates). Else their centres are those of the cells.
        """
        if len(strides) != len(sizes):
            raise ValueError(f"one anchor size per level: {len(strides)} strides, {len(sizes)} sizes")
        self.strides = tuple(strides)
        self.per_cell = len(ratios)
        self.released = released
        self.shapes = [anchor_shapes(size, ratios, rounded=released) for size in sizes]
        self._cache: dict[tuple[tuple[tuple[int, int], ...], torch.device], Tensor] = {}

    def __call__(self, cells: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
        """Return [A, 4] xyxy anchors in pixels for levels of (h, w) cells: level by level, row by row, ratio last."""
        key = (tuple(cells), device)
        if key not in self._cache:
            levels = [self._level(i, h, w) for i, (h, w) in enumerate(cells)]
            self._cache = {key: torch.cat(levels).to(device)}
        return self._cache[key]

    def _level(self, i: int, h: int, w: int) -> Tensor:
        stride, shapes = self.strides[i], self.shapes[i]
        offset = 8.0 if self.released else stride / 2
        y = torch.arange(h, dtype=torch.float32) * stride + offset
        x = torch.arange(w, dtype=torch.float32) * stride + offset
        centre = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).view(-1, 1, 2)
        return torch.cat([centre - shapes / 2, centre + shapes / 2], dim=-1).view(-1, 4)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the [N, 4] offsets (dx, dy, dw, dh) that turn anchors [N, 4] into boxes [N, 4], as in Faster R-CNN."""
    size, anchor_size = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    shift = (boxes[:, :2] + size / 2 - anchors[:, :2] - anchor_size / 2) / anchor_size
    return torch.cat([shift, (size / anchor_size).log()], dim=1)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes [..., 4] of offsets [..., 4] against anchors [..., 4]; not clipped to the picture."""
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + anchor_size / 2 + offsets[..., :2] * anchor_size
    half = anchor_size * offsets[..., 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)
