"""Feature pyramid of S4Net: strides 8 to 64 as in the paper, or 4 to 64 as in the released code."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Top-down pyramid over the trunk's maps (paper Fig. 2a).

    The paper keeps conv3 to conv6; the released code keeps conv2 as well. Which levels exist follows from
    `in_channels`. As in the released code there is no activation, and no 3x3 convolution on the topmost lateral. The
    last level is an average pool of the level before.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256, normalise: bool = False) -> None:
        """Build the laterals.

        Args:
            in_channels: Channels of the trunk's maps, finest first. Each map has twice the stride of the map before.
            channels: Channels of every level.
            normalise: Whether group normalisation follows each lateral. Trunks differ by a factor of ten in the size of
                their features, and new layers learn best from features of size one.
        """
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1), nn.GroupNorm(32, channels) if normalise else nn.Identity())
            for c in in_channels
        )
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels[:-1])
        self.channels = channels

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return len(features) + 1 maps [B, channels, h, w], finest first, for maps [B, C_i, h_i, w_i]."""
        top = self.laterals[-1](features[-1])
        levels = [top, F.avg_pool2d(top, 2, ceil_mode=True)]
        for i in range(len(features) - 2, -1, -1):
            lateral = self.laterals[i](features[i])
            top = lateral + F.interpolate(top, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
            levels.insert(0, self.smooth[i](top))
        return levels
