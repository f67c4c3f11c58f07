"""The segmentation branch (paper Fig. 2c): from features and boxes to one mask per box."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .roi_masking import MaskFrames, RoIMasking
from .windows import reach, run_on_windows

# Logits outside a window: certainly no mask.
_NOTHING = -30.0
# Masks are pasted by bilinear interpolation, which reads one cell beyond the region.
_INTERPOLATION = 1


class ResidualPair(nn.Module):
    """Two 3x3 convolutions with ReLU added to their input; no activation after the sum (released code)."""

    def __init__(self, channels: int) -> None:
        """Keep `channels` channels throughout."""
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to the same shape."""
        y: Tensor = x + self.relu(self.second(self.relu(self.first(x))))
        return y


class MaskBranch(nn.Module):
    """Compression, RoI layer, then Fig. 2c: max-pool, residual pair, max-pool, dilated convolution, residual pair.

    "The first three convolutions have 128 channels, the rest 64." The layouts differ in the first. In the paper a 1x1
    convolution compresses to the width of the FPN before masking, and the first 128-channel convolution follows, once
    per box. The released code runs that 3x3 convolution before masking, once per picture.

    Attributes:
        windowed: Whether a processor runs the layers behind RoIMasking on a window of each box, see `run_on_windows`.
            Where a mask may be, the result is that of the whole map. A GPU is faster with all boxes in one batch.
    """

    def __init__(
        self,
        in_channels: int,
        roi_layer: nn.Module,
        layout: Literal["paper", "release"],
        relu_logits: bool = False,
        detail_channels: int = 0,
        width: int = 128,
    ) -> None:
        """Build the branch.

        Args:
            in_channels: Channels of the stride-8 level.
            roi_layer: RoIMasking or RoIResampling.
            layout: Where the first 128-channel convolution stands, see above.
            relu_logits: Whether to keep the ReLU that the released code has on its two logits.
            detail_channels: Channels of the trunk's stride-4 map. Its 2 x 2 cells are then added to each cell before
                the RoI layer, and a mask has 2 x 2 cells for each cell of the level. 0: neither.
            width: Channels of the first convolutions (paper: 128). The last have 64.
        """
        super().__init__()
        self.roi_layer = roi_layer
        self.relu_logits = relu_logits
        self.fineness = 2 if detail_channels else 1
        if layout == "paper":
            self.compress = nn.Conv2d(in_channels, in_channels, 1)
            self.first: nn.Module = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU())
        else:
            self.compress = nn.Conv2d(in_channels, width, 3, padding=1)
            self.first = nn.Identity()
        if detail_channels:
            compressed = self.compress.out_channels
            self.detail = nn.Sequential(
                nn.Conv2d(detail_channels, compressed, 2, stride=2), nn.GroupNorm(32, compressed)
            )
        self.first_pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.wide_pair = ResidualPair(width)
        self.second_pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.narrow = nn.Conv2d(width, 64, 3, padding=2, dilation=2)
        self.narrow_relu = nn.ReLU()
        self.narrow_pair = ResidualPair(64)
        self.logits = nn.Conv2d(64, 2 * self.fineness**2, 3, padding=1)
        self.windowed = True

    @property
    def layers(self) -> tuple[nn.Module, ...]:
        """The layers behind the RoI layer, first to last."""
        wide = (self.first, self.first_pool, self.wide_pair, self.second_pool)
        return (*wide, self.narrow, self.narrow_relu, self.narrow_pair, self.logits)

    @property
    def radius(self) -> int:
        """Cells that a mask cell sees in each direction behind the RoI layer, from the layers as they are."""
        return sum(map(reach, self.layers))

    def forward(
        self, level: Tensor, boxes: list[Tensor], stride: int, detail: Tensor | None = None
    ) -> tuple[Tensor, MaskFrames]:
        """Predict a mask for each box.

        Args:
            level: [B, C, H, W], the finest level with `stride` pixels per cell.
            boxes: B tensors [N_i, 4], xyxy in network pixels.
            stride: Network pixels per cell of `level`.
            detail: [B, detail_channels, 2 H, 2 W], the trunk's map of half the stride; None for a branch without.

        Returns:
            [N, h, w] float32 foreground logits (difference of the two classes'), and what they cover.
        """
        features = self.compress(level)
        if detail is not None:
            features = features + self.detail(detail)
        features = features.relu()
        # RoIAlign and RoIPool crop each box, so that there is no map of which a window could be taken.
        if self.windowed and not features.is_cuda and isinstance(self.roi_layer, RoIMasking):
            return self._on_windows(self.roi_layer, features, boxes, stride, self.radius + _INTERPOLATION)
        masked, covered = self.roi_layer(features, boxes, stride, self.fineness)
        return self._masks(masked), covered

    def _masks(self, x: Tensor) -> Tensor:
        """Return the foreground logits [N, h, w] float32 of masked features [N, C, H, W]."""
        for layer in self.layers:
            x = layer(x)
        return self._foreground(x)

    def _on_windows(
        self, masking: RoIMasking, features: Tensor, boxes: list[Tensor], stride: int, margin: int
    ) -> tuple[Tensor, MaskFrames]:
        """Return the logits of `_masks` in the regions of the boxes, and "no mask" outside of their windows.

        Args:
            masking: The RoI layer.
            features: [B, C, H, W].
            boxes: B tensors [N_i, 4], xyxy in network pixels.
            stride: Network pixels per cell.
            margin: See `run_on_windows`.
        """
        height, width = features.shape[-2], features.shape[-1]
        placed = masking.place(boxes, (height, width), stride, self.fineness)
        logits = []
        bounds = masking.bounds(placed.cells)
        for two, (x0, y0, x1, y1) in run_on_windows(self.layers, features, placed, bounds, margin):
            around = [side * self.fineness for side in (x0, width - x1, y0, height - y1)]
            logits.append(F.pad(self._foreground(two), around, value=_NOTHING))
        if not logits:
            # Keeps the branch in the graph, as a mask on no box does.
            logits = [self._masks(features[:0])]
        return torch.cat(logits), placed.covered

    def _foreground(self, two: Tensor) -> Tensor:
        """Return the difference [N, h, w] float32 of the two classes' logits [N, 2 * fineness ** 2, H, W]."""
        two = two.to(torch.promote_types(two.dtype, torch.float32))  # up from bf16, but not down from float64
        if self.fineness > 1:
            # [N, 2 * f * f, H, W] -> [N, 2, H * f, W * f]; pixel_shuffle has no gradient for N = 0.
            n, _, h, w = two.shape
            split = two.view(n, 2, self.fineness, self.fineness, h, w).permute(0, 1, 4, 2, 5, 3)
            two = split.reshape(n, 2, h * self.fineness, w * self.fineness)
        if self.relu_logits:
            two = two.relu()
        return two[:, 1] - two[:, 0]
