"""Where a picture shows its keywords: class activation maps (Zhou et al., CVPR 2016)."""

import torch.nn.functional as F
from torch import Tensor, nn

from deeplab.network import FrozenTrunk, prepare_for_inference


class AttentionNet(nn.Module):
    """Multi-label classifier of keywords: trunk, global average pooling, one linear layer.

    The linear layer before the pooling, applied at every cell, tells how much the cell speaks for a keyword.

    Attributes:
        classifier: [C, channels, 1, 1] convolution; learns from nothing.
    """

    def __init__(self, trunk: FrozenTrunk, channels: int, n_classes: int) -> None:
        """Joins a trunk and a new classifier.

        Args:
            trunk: Images -> feature maps; the last one is read.
            channels: Channels of that map.
            n_classes: Keywords, without background.
        """
        super().__init__()
        self.trunk = trunk
        self.classifier = nn.Conv2d(channels, n_classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] float 0..1 -> logits [B, C], for a sigmoid each (a picture may have several keywords)."""
        pooled = self.trunk(images)[-1].mean(dim=(2, 3), keepdim=True)
        logits: Tensor = self.classifier(pooled)
        return logits.flatten(1)

    def maps(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] float 0..1 -> activation maps [B, C, h, w], 0 or more, not scaled to any maximum.

        The classifier's bias is left out: it says how common a keyword is, not where it lies.
        """
        return F.relu(F.conv2d(self.trunk(images)[-1], self.classifier.weight))

    def prepare_for_inference(self) -> "AttentionNet":
        """Folds every BatchNorm into its convolution and turns to channels_last, in place; not to be trained again."""
        prepare_for_inference(self)
        return self
