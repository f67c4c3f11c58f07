"""Which classes a picture shows, from what ImageNet's classifier would look at."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

_CONV, _NORM = "conv_head", "bn2"  # timm's names in its EfficientNets
_EPSILON = 1e-3  # of that BatchNorm, in the networks that were ported from TensorFlow


class PresenceHead(nn.Module):
    """The last convolution of an EfficientNet, pooled over the picture, and a linear layer.

    The trunk's own last map is a narrow linear one, of which a mean keeps little. The wide one behind it is what
    ImageNet's species were told apart by; its maximum also sees what is small. Ours.
    """

    def __init__(self, channels: int, n_classes: int, width: int = 1280) -> None:
        """Makes both layers.

        Args:
            channels: Channels of the trunk's last map.
            n_classes: Classes without the background.
            width: Channels of the wide map.
        """
        super().__init__()
        self.expand = nn.Conv2d(channels, width, 1)
        self.classifier = nn.Linear(2 * width, n_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def load_imagenet(self, state: dict[str, Tensor]) -> bool:
        """Starts the convolution from ImageNet's, its BatchNorm merged into it: batches are too small for statistics.

        Args:
            state: Weights in timm's naming; `conv_head` [width, channels, 1, 1] and `bn2` [width].

        Returns:
            Whether they were there; without them nothing changes.
        """
        names = [f"{_CONV}.weight", *(f"{_NORM}.{part}" for part in ("running_mean", "running_var", "weight", "bias"))]
        if any(name not in state for name in names):
            return False
        conv, mean, variance, scale, shift = (state[name] for name in names)
        weight, bias = fuse_conv_bn_weights(conv, None, mean, variance, _EPSILON, scale, shift)
        self.expand.load_state_dict({"weight": weight, "bias": bias})
        return True

    def forward(self, features: Tensor) -> Tensor:
        """The trunk's last map [B, channels, h, w] -> logits [B, n_classes]."""
        wide = F.relu6(self.expand(features))
        logits: Tensor = self.classifier(torch.cat([wide.mean(dim=(2, 3)), wide.amax(dim=(2, 3))], dim=1))
        return logits
