"""VGG16 with a large field of view: DeepLab-LargeFOV (Chen et al., ICLR 2015).

The convolutions are those of VGG16. The first three pools halve the map and the last two do not, so that the output
stride is 8. conv5 is dilated by 2 and fc6 by 12, so that the view stays as wide as in the classifier.
"""

from collections import OrderedDict

import timm
import torch
from torch import Tensor, nn

_HALVING_POOLS = 3
_FC6, _FC7 = "pre_logits.fc1", "pre_logits.fc2"  # timm's names of the classifier's layers


class LargeFovTrunk(nn.Sequential):
    """conv1_1 to pool5: images [B, 3, H, W] -> [B, 512, h, w], h = ceil((H - 1) / 8) + 1 (321 -> 41).

    Parameters are named as in timm's `vgg16` with `features_only=True`: `features_0.weight` and so on.
    """

    def __init__(self) -> None:
        """Take the convolutions from timm and put the recipe's pools between them."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        pools = 0
        with torch.device("meta"):  # timm makes the classifier too, and nobody needs its 124 million weights
            vgg = timm.create_model("vgg16", features_only=True, pretrained=False)
        for name, layer in vgg.named_children():
            if isinstance(layer, nn.MaxPool2d):
                pools += 1
                stride = 2 if pools <= _HALVING_POOLS else 1
                # Caffe rounds the size of a pooled map up
                layer = nn.MaxPool2d(3, stride, padding=1, ceil_mode=True)
            elif isinstance(layer, nn.Conv2d) and pools > _HALVING_POOLS:  # conv5, behind pool4
                layer.dilation = layer.padding = (2, 2)
            layers[name] = layer
        layers["average"] = nn.AvgPool2d(3, 1, padding=1)
        super().__init__(layers)
        self.to_empty(device="cpu")
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                _initialise(conv)


class LargeFovHead(nn.Module):
    """fc6 (3x3, dilation 12), fc7 and fc8 as convolutions; [B, 512, h, w] -> logits [B, n, h, w]."""

    def __init__(self, n_outputs: int) -> None:
        """Make the layers with random weights, those of fc8 from N(0, 0.01) as published."""
        super().__init__()
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.fc8 = nn.Conv2d(1024, n_outputs, 1)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        _initialise(self.fc6)
        _initialise(self.fc7)
        nn.init.normal_(self.fc8.weight, std=0.01)
        nn.init.zeros_(self.fc8.bias)  # type: ignore[arg-type]

    def load_classifier(self, state: dict[str, Tensor]) -> bool:
        """Start fc6 and fc7 from VGG16's ImageNet classifier, as published: every third tap, every fourth channel.

        Args:
            state: VGG16 weights in timm's naming; fc6 [4096, 512, 7, 7] and fc7 [4096, 4096, 1, 1].

        Returns:
            Whether the classifier was there; without it nothing changes.
        """
        names = [f"{layer}.{kind}" for layer in (_FC6, _FC7) for kind in ("weight", "bias")]
        if any(name not in state for name in names):
            return False
        fc6, bias6, fc7, bias7 = (state[name] for name in names)
        parts = {
            "fc6.weight": fc6[::4, :, ::3, ::3],
            "fc6.bias": bias6[::4],
            "fc7.weight": fc7[::4, ::4],
            "fc7.bias": bias7[::4],
        }
        self.load_state_dict(self.state_dict() | parts)
        return True

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits [B, n, h, w] of the last feature map [B, 512, h, w]."""
        x = self.drop(self.relu(self.fc6(features[-1])))
        x = self.drop(self.relu(self.fc7(x)))
        logits: Tensor = self.fc8(x)
        return logits


def _initialise(conv: nn.Conv2d) -> None:
    nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
