"""The segmentation branch (paper Fig. 2c): from features and boxes to one mask per box."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from .roi_masking import RoIFeatures


class ResidualPair(nn.Module):
    """Two 3x3 convolutions with ReLU added to their input; no activation after the sum (released code)."""

    def __init__(self, channels: int) -> None:
        """Keep `channels` channels throughout."""
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to the same shape."""
        y: Tensor = x + self.second(self.first(x).relu()).relu()
        return y


class MaskBranch(nn.Module):
    """Compression, RoI layer, then Fig. 2c: max-pool, residual pair, max-pool, dilated convolution, residual pair.

    "The first three convolutions have 128 channels, the rest 64." The paper compresses by a 1x1 convolution to the
    FPN's width before masking and has the first 128-channel convolution behind it, once per box; the released code
    runs that 3x3 convolution before masking, once per picture (`layout`).
    """

    def __init__(
        self, in_channels: int, roi_layer: nn.Module, layout: Literal["paper", "release"], relu_logits: bool = False
    ) -> None:
        """Build the branch.

        Args:
            in_channels: channels of the stride-8 level.
            roi_layer: RoIMasking or RoIResampling.
            layout: where the first 128-channel convolution stands, see above.
            relu_logits: keep the ReLU that the released code has on its two logits.
        """
        super().__init__()
        self.roi_layer = roi_layer
        self.relu_logits = relu_logits
        if layout == "paper":
            self.compress = nn.Conv2d(in_channels, in_channels, 1)
            self.first: nn.Module = nn.Sequential(nn.Conv2d(in_channels, 128, 3, padding=1), nn.ReLU())
        else:
            self.compress = nn.Conv2d(in_channels, 128, 3, padding=1)
            self.first = nn.Identity()
        self.residual_128 = ResidualPair(128)
        self.narrow = nn.Conv2d(128, 64, 3, padding=2, dilation=2)
        self.residual_64 = ResidualPair(64)
        self.logits = nn.Conv2d(64, 2, 3, padding=1)

    def forward(self, level: Tensor, boxes: list[Tensor], stride: int) -> tuple[Tensor, RoIFeatures]:
        """Predict a mask for each box.

        Args:
            level: [B, C, H, W], the finest level with `stride` pixels per cell.
            boxes: B tensors [N_i, 4], xyxy in network pixels.
            stride: network pixels per cell of `level`.

        Returns:
            [N, h, w] float32 foreground logits (difference of the two classes'), and the frames they cover.
        """
        rois: RoIFeatures = self.roi_layer(self.compress(level).relu(), boxes, stride)
        x = self.first(rois.features)
        x = self.residual_128(F.max_pool2d(x, 3, stride=1, padding=1))
        x = self.narrow(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        two = self.logits(self.residual_64(x)).float()
        if self.relu_logits:
            two = two.relu()
        return two[:, 1] - two[:, 0], rois
