"""The network that tells where a picture shows its keywords, by class activation maps (Zhou et al., CVPR 2016)."""

from torch import Tensor, nn

from deeplab.network import FrozenTrunk, prepare_for_inference


class AttentionNet(nn.Module):
    """Multi-label classifier of keywords: trunk, global average pooling, one linear layer.

    Applied to each cell of the last feature map, the linear layer tells how much the cell speaks for a keyword. The
    logits are the means of these answers.

    Attributes:
        trunk: Images -> feature maps.
        classifier: 1x1 convolution with weights [C, channels, 1, 1], which learns from nothing.
    """

    def __init__(self, trunk: FrozenTrunk, channels: int, n_classes: int) -> None:
        """Join a trunk and a new classifier.

        Args:
            trunk: Images -> feature maps, of which the last one is read.
            channels: Channels of that map.
            n_classes: Keywords, without background.
        """
        super().__init__()
        self.trunk = trunk
        self.classifier = nn.Conv2d(channels, n_classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B, C] of images [B, 3, H, W] float 0..1.

        Each logit is for a sigmoid of its own: a picture may have several keywords.
        """
        pooled = self.trunk(images)[-1].mean(dim=(2, 3), keepdim=True)
        logits: Tensor = self.classifier(pooled)
        return logits.flatten(1)

    def prepare_for_inference(self) -> "AttentionNet":
        """Make the network fast for inference, in place, see `deeplab.network.prepare_for_inference`; return itself."""
        prepare_for_inference(self)
        return self
