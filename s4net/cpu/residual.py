"""Residual blocks of ResNets whose last convolution adds the shortcut and applies the ReLU itself."""

import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from .folding import is_folded
from .packing import PackedConv2d


class PackedResidual(nn.Module):
    """relu(last(layers(x)) + shortcut(x)), with the sum and the ReLU inside the last convolution.

    An ordinary block makes two more passes over the largest map of a stage, one for the sum and one for the ReLU.
    """

    def __init__(self, layers: nn.Sequential, last: PackedConv2d, shortcut: nn.Module) -> None:
        """Join the parts of a block.

        Args:
            layers: All before the last convolution.
            last: The last convolution, without activation.
            shortcut: Projection of the input, or nn.Identity.
        """
        super().__init__()
        self.layers, self.last, self.shortcut = layers, last, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] as the block did."""
        return self.last.add_relu(self.layers(x), self.shortcut(x))


@torch.no_grad()
def pack_residuals(module: nn.Module) -> int:
    """Replace timm's ResNet blocks by `PackedResidual`, in place, where nothing stands between sum and convolution.

    Args:
        module: Network in evaluation mode, with BatchNorm folded and convolutions packed.

    Returns:
        Number of blocks replaced.
    """
    parts = [(name, own) for name, block in module.named_modules() if (own := _parts(block)) is not None]
    for name, own in parts:
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, own)
    return len(parts)


def _parts(block: nn.Module) -> PackedResidual | None:
    """Return the packed form of a block; None for another kind of block, and for one with further layers."""
    if type(block) is Bottleneck:
        names = ["conv1", "bn1", "act1", "conv2", "bn2", "drop_block", "act2", "aa"]
        last, norm, act = block.conv3, block.bn3, block.act3
    elif type(block) is BasicBlock:
        names = ["conv1", "bn1", "drop_block", "act1", "aa"]
        last, norm, act = block.conv2, block.bn2, block.act2
    else:
        return None
    plain = block.se is None and block.drop_path is None and type(act) is nn.ReLU
    if not (plain and is_folded(norm) and isinstance(last, PackedConv2d) and isinstance(last.activation, nn.Identity)):
        return None
    layers = nn.Sequential(*(getattr(block, name) for name in names))
    return PackedResidual(layers, last, nn.Identity() if block.downsample is None else block.downsample)
