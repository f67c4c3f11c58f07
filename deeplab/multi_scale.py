"""One network at several picture scales, trained together and fused by their maximum (DeepLab v2).

Chen et al., TPAMI 2018, Sec. 4.1: the picture and two smaller copies go through the same network. The maximum of the
three results is the answer. In training, each result and the maximum have losses of their own.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deeplab.network import DeepLab


class MultiScale(nn.Module):
    """A DeepLab that reads its pictures at full and at smaller scales.

    Attributes:
        net: The network, the same at every scale.
        output_stride: Output stride of the network.
        n_outputs: Outputs of the network.
        scales: Scales of the smaller copies.
    """

    def __init__(self, net: DeepLab, scales: Sequence[float] = (0.75, 0.5)) -> None:
        """Put the scales around a network.

        Args:
            net: The network. At several scales it does not ask which classes a picture shows; the published one does
                not either.
            scales: Scales of the smaller copies, below 1; by default as published.
        """
        super().__init__()
        self.net, self.scales = net.without_presence(), tuple(scales)
        self.output_stride, self.n_outputs = net.output_stride, net.n_outputs

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of images [B, 3, H, W] float 0..1, RGB.

        Returns:
            In evaluation [B, n, h, w], the maximum over the scales, at the cells of the full one. In training a list:
            the logits of the full scale, those of each smaller one at its own size, and the maximum, each for a loss
            of its own.
        """
        full: Tensor = self.net(images)
        smaller: list[Tensor] = [self.net(_resized(images, _shrunk(images.shape[2:], scale))) for scale in self.scales]
        fused = torch.stack([full, *(_resized(logits, full.shape[2:]) for logits in smaller)]).amax(0)
        return [full, *smaller, fused] if self.training else fused

    def new_parameters(self) -> Iterator[nn.Parameter]:
        """Yield those of the network."""
        return self.net.new_parameters()

    def trunk_parameters(self) -> Iterator[nn.Parameter]:
        """Yield those of the network."""
        return self.net.trunk_parameters()

    def prepare_for_inference(self) -> "MultiScale":
        """Make the network fast for inference, in place, see `DeepLab.prepare_for_inference`; return itself."""
        self.eval()
        self.net.prepare_for_inference()
        return self


def _shrunk(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Return height and width of a smaller copy whose outermost pixels are the picture's: 321 -> 241 and 161."""
    height, width = (round((side - 1) * scale) + 1 for side in size)
    return height, width


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(images, size=tuple(size), mode="bilinear", align_corners=True)
