"""RoIMasking (paper Sec. 3.3, Fig. 5) and the RoIAlign and RoIPool layers it is compared with (Table 1)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align, roi_pool

RoiMode = Literal["ternary", "expanded", "binary", "roialign", "roipool"]


def _cells_inside(bounds: Tensor, size: tuple[int, int]) -> Tensor:
    """Return [N, 1, H, W] bool: cells in the half-open cell bounds [N, 4] (x0, y0, x1, y1), clipped to the map."""
    x0, y0, x1, y1 = (bounds[:, i].view(-1, 1) for i in range(4))
    y = torch.arange(size[0], device=bounds.device)
    x = torch.arange(size[1], device=bounds.device)
    rows, columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _touched(boxes: Tensor) -> Tensor:
    """Return the bounds [N, 4] of all cells that boxes [N, 4] in feature pixels touch; never fewer than one cell."""
    low = boxes[:, :2].floor()
    return torch.cat([low, torch.maximum(boxes[:, 2:].ceil(), low + 1)], dim=1)


def expand_boxes(boxes: Tensor, alpha: float) -> Tensor:
    """Return boxes [N, 4] grown by alpha times their width (height) on each side: (w + 2 alpha w, h + 2 alpha h)."""
    margin = alpha * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)


def binary_mask(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the masks of binary RoIMasking (Fig. 5a).

    Args:
        boxes: [N, 4] float, xyxy in feature pixels, half-open; may leave the map.
        size: (H, W) of the feature map.

    Returns:
        [N, 1, H, W] float: 1 in every cell that the box touches, 0 elsewhere. N = 0 gives an empty tensor.
    """
    return _cells_inside(_touched(boxes), size).float()


def expanded_mask(boxes: Tensor, size: tuple[int, int], alpha: float = 1 / 3) -> Tensor:
    """Return the masks of expanded RoIMasking (Fig. 5b): 1 in box and ring, 0 elsewhere. Shapes as `binary_mask`."""
    return _cells_inside(_touched(expand_boxes(boxes, alpha)), size).float()


def ternary_mask(boxes: Tensor, size: tuple[int, int], alpha: float = 1 / 3) -> Tensor:
    """Return the masks of ternary RoIMasking (Fig. 5c).

    Args:
        boxes: [N, 4] float, xyxy in feature pixels, half-open; may leave the map.
        size: (H, W) of the feature map.
        alpha: Width of the ring on each side as a share of the box side (Table 2: 1/3 is best); 0 equals binary.

    Returns:
        [N, 1, H, W] float: +1 inside the box, -1 in the ring around it, 0 elsewhere; the ring ends at the border of
        the map. N = 0 gives an empty tensor.
    """
    return 2 * binary_mask(boxes, size) - expanded_mask(boxes, size, alpha)


def release_ternary_mask(boxes: Tensor, size: tuple[int, int], wrap: bool = False) -> Tensor:
    """Return the ternary masks of the released code, whose ring is floor(side / 3) whole cells wide.

    Args:
        boxes: [N, 4] float, xyxy in feature pixels, half-open.
        size: (H, W) of the feature map.
        wrap: Whether to reproduce a fault of that code. A ring that would begin above or left of the map begins as far
            from the opposite border (a negative array index), so that it is lost or lies on the wrong side.

    Returns:
        [N, 1, H, W] float in {-1, 0, 1}.
    """
    inside = _touched(boxes)
    ring = ((inside[:, 2:] - inside[:, :2]) / 3).floor()
    low, high = inside[:, :2] - ring, inside[:, 2:] + ring
    if wrap:
        sides = torch.tensor([size[1], size[0]], device=boxes.device)
        low = torch.where(low < 0, low + sides, low)
    box = _cells_inside(inside, size).float()
    outer = _cells_inside(torch.cat([low, high], dim=1), size).float()
    return torch.where(box > 0, box, -outer)


class MaskFrames(NamedTuple):
    """Where the masks of N boxes lie.

    Attributes:
        frames: [N, 4] float, xyxy in network pixels, the part of the input that each map covers.
        region: [N, h, w] float 0 or 1, the mask cells in which a mask may be: the box and the layer's slack around it.
    """

    frames: Tensor
    region: Tensor


class PlacedBoxes(NamedTuple):
    """N boxes of several pictures, on the feature maps of these pictures.

    Attributes:
        pictures: [N] int64, the picture of each box.
        cells: [N, 4] float, the boxes in feature pixels.
        masks: [N, 1, H, W], the factors of the features of that picture.
        covered: Where the masks of the boxes lie.
    """

    pictures: Tensor
    cells: Tensor
    masks: Tensor
    covered: MaskFrames


class RoIMasking(nn.Module):
    """Multiply the whole map by a mask per box: no crop, no resampling (Sec. 3.3)."""

    def __init__(
        self,
        mode: RoiMode = "ternary",
        alpha: float = 1 / 3,
        slack: float = 0.0,
        released: bool = False,
        wrap_ring: bool = False,
    ) -> None:
        """Choose the mask.

        Args:
            mode: "ternary", "expanded" or "binary".
            alpha: See `ternary_mask`.
            slack: Share of the box side by which a mask may leave its box (paper: 0). A mask that may grow into the
                ring makes up for a box that cuts a limb.
            released: Whether the ring is that of the released code (ternary only; alpha is then 1/3).
            wrap_ring: Whether the ring has the fault of the released code; needs `released`.
        """
        super().__init__()
        if mode not in ("ternary", "expanded", "binary"):
            raise ValueError(f"RoIMasking has the modes ternary, expanded and binary, not {mode!r}")
        self.mode, self.alpha, self.slack = mode, alpha, slack
        self.released, self.wrap_ring = released, wrap_ring

    def masks(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the masks [N, 1, H, W] of boxes [N, 4] in feature pixels."""
        if self.mode == "binary":
            return binary_mask(boxes, size)
        if self.mode == "expanded":
            return expanded_mask(boxes, size, self.alpha)
        if self.released:
            return release_ternary_mask(boxes, size, self.wrap_ring)
        return ternary_mask(boxes, size, self.alpha)

    def place(self, boxes: list[Tensor], size: tuple[int, int], stride: int, fineness: int = 1) -> PlacedBoxes:
        """Find the masks of the boxes of B pictures, and where they lie.

        Args:
            boxes: B tensors [N_i, 4], xyxy in network pixels.
            size: (H, W) of the feature maps.
            stride: Network pixels per cell.
            fineness: Mask cells along a side of a feature cell.
        """
        cells = torch.cat(boxes) / stride
        height, width = size
        region = expanded_mask(cells * fineness, (height * fineness, width * fineness), self.slack)[:, 0]
        frames = torch.zeros(len(cells), 4, device=cells.device)
        frames[:, 2], frames[:, 3] = width * stride, height * stride
        pictures = torch.cat([torch.full((len(own),), i, device=own.device) for i, own in enumerate(boxes)])
        return PlacedBoxes(pictures, cells, self.masks(cells, size), MaskFrames(frames, region))

    def bounds(self, cells: Tensor) -> Tensor:
        """Return the cells (x0, y0, x1, y1), half-open, that the regions of boxes [N, 4] in feature pixels touch."""
        return _touched(expand_boxes(cells, self.slack))

    def forward(
        self, features: Tensor, boxes: list[Tensor], stride: int, fineness: int = 1
    ) -> tuple[Tensor, MaskFrames]:
        """Return the features of each picture masked by each of its boxes, [N, C, H, W], and what they cover.

        Args:
            features: [B, C, H, W], non-negative (after a ReLU), so that the flipped sign marks context.
            boxes: B tensors [N_i, 4], xyxy in network pixels.
            stride: Network pixels per cell.
            fineness: Mask cells along a side of a feature cell.
        """
        placed = self.place(boxes, (features.shape[-2], features.shape[-1]), stride, fineness)
        # Not features[pictures]: its gradient is summed in the order in which threads arrive.
        masked = features.index_select(0, placed.pictures) * placed.masks.to(features.dtype)
        return masked, placed.covered


class RoIResampling(nn.Module):
    """RoIAlign or RoIPool: crop each box and resample it to a fixed grid (the baselines of Table 1)."""

    def __init__(self, mode: RoiMode, output_size: int = 20) -> None:
        """Choose "roialign" or "roipool" and the side of the grid in cells."""
        super().__init__()
        if mode not in ("roialign", "roipool"):
            raise ValueError(f"RoIResampling has the modes roialign and roipool, not {mode!r}")
        self.mode, self.output_size = mode, output_size

    def forward(
        self, features: Tensor, boxes: list[Tensor], stride: int, fineness: int = 1
    ) -> tuple[Tensor, MaskFrames]:
        """Resample the features [B, C, H, W] under each box; arguments as `RoIMasking.forward`."""
        side = (self.output_size, self.output_size)
        # The CPU kernels know float32 alone.
        if self.mode == "roialign":
            crops = roi_align(features.float(), boxes, side, 1 / stride, sampling_ratio=2, aligned=True)
        else:
            crops = roi_pool(features.float(), boxes, side, 1 / stride)
        crops = crops.to(features.dtype)
        cells = self.output_size * fineness
        region = torch.ones(len(crops), cells, cells, device=crops.device)
        return crops, MaskFrames(torch.cat(boxes), region)
