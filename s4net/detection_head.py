"""Objectness and box regression, one head shared by all levels."""

import torch
from torch import Tensor, nn


class DetectionHead(nn.Module):
    """One 3x3 convolution with ReLU, then 3x3 predictors, shared by all levels (released code; paper Fig. 2a).

    Objectness is one logit per anchor: the released two-way softmax depends on the difference of its logits alone.
    """

    def __init__(self, channels: int, hidden: int, anchors_per_cell: int) -> None:
        """Build the head for maps of `channels` channels."""
        super().__init__()
        self.tower = nn.Conv2d(channels, hidden, 3, padding=1)
        self.relu = nn.ReLU()
        self.objectness = nn.Conv2d(hidden, anchors_per_cell, 3, padding=1)
        self.offsets = nn.Conv2d(hidden, anchors_per_cell * 4, 3, padding=1)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Predict for all levels.

        Args:
            levels: Maps [B, channels, h, w].

        Returns:
            Objectness logits [B, A] and box offsets [B, A, 4], float32, in the order of `AnchorGrid`.
        """
        logits, offsets = [], []
        for level in levels:
            x = self.relu(self.tower(level))
            batch = len(x)
            # [B, a, h, w] -> [B, h * w * a]
            logits.append(self.objectness(x).permute(0, 2, 3, 1).reshape(batch, -1))
            # [B, a * 4, h, w] -> [B, h * w * a, 4]
            offsets.append(self.offsets(x).permute(0, 2, 3, 1).reshape(batch, -1, 4))
        return torch.cat(logits, dim=1).float(), torch.cat(offsets, dim=1).float()
