"""Atrous spatial pyramid pooling: heads that see one map at several dilations."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AsppSum(nn.Module):
    """DeepLab v2: the sum of dilated 3x3 classifiers (Chen et al., TPAMI 2018, Sec. 3.3, ASPP-L)."""

    def __init__(self, channels: int, n_outputs: int, rates: Sequence[int] = (6, 12, 18, 24)) -> None:
        """Make one classifier for each rate, from N(0, 0.01) as published.

        Args:
            channels: Channels of the last feature map.
            n_outputs: Classes with the background.
            rates: Dilations.
        """
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(channels, n_outputs, 3, padding=rate, dilation=rate) for rate in rates)
        for branch in self.branches:
            nn.init.normal_(branch.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.zeros_(branch.bias)  # type: ignore[arg-type]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits [B, n, h, w] of the last feature map [B, C, h, w]."""
        return torch.stack([branch(features[-1]) for branch in self.branches]).sum(0)


_GROUPS = 16


def _conv_norm(inputs: int, outputs: int, size: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, bias=False),
        nn.GroupNorm(_GROUPS, outputs),
        nn.ReLU(inplace=True),
    )


class CompactHead(nn.Module):
    """A narrow ASPP with image pooling at stride 16, refined at stride 8 (after DeepLab v3+, ECCV 2018).

    On a processor, a trunk of output stride 8 costs over four times as much as one of 16. The trunk's own stride-8 map
    costs little beside it, and gives logits of the same size.
    """

    def __init__(
        self, fine_channels: int, coarse_channels: int, n_outputs: int, width: int = 128, rates: Sequence[int] = (3, 6)
    ) -> None:
        """Make the layers.

        They normalise in groups of channels, so that it does not matter how few pictures a batch has.

        Args:
            fine_channels: Channels of the stride-8 map.
            coarse_channels: Channels of the stride-16 map.
            n_outputs: Classes with the background.
            width: Channels of every layer.
            rates: Dilations at stride 16. A crop of 321 is 21 cells wide, so wide rates would read mostly padding.
        """
        super().__init__()
        self.branches = nn.ModuleList(
            [_conv_norm(coarse_channels, width), *(_conv_norm(coarse_channels, width, 3, rate) for rate in rates)]
        )
        # One value a picture and channel: too few for the statistics of a BatchNorm.
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(coarse_channels, width, 1), nn.ReLU(inplace=True))
        self.project = _conv_norm(width * (len(rates) + 2), width)
        self.lateral = _conv_norm(fine_channels, width // 2)
        self.refine = _conv_norm(width + width // 2, width, 3)
        self.drop = nn.Dropout(0.1)
        self.classifier = nn.Conv2d(width, n_outputs, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits [B, n, h, w] of two maps: stride 8 [B, F, h, w] and stride 16 [B, C, h', w']."""
        fine, coarse = features
        pooled = self.pool(coarse).expand(-1, -1, *coarse.shape[2:])
        x = self.project(torch.cat([*(branch(coarse) for branch in self.branches), pooled], dim=1))
        x = F.interpolate(x, size=fine.shape[2:], mode="bilinear", align_corners=False)
        x = self.refine(torch.cat([x, self.lateral(fine)], dim=1))
        logits: Tensor = self.classifier(self.drop(x))
        return logits
