"""What stands around a trunk and a head: normalisation, frozen BatchNorm, parameter groups, folding for inference."""

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Normalise(nn.Module):
    """(images - mean) / std with constants that belong to the trunk, not to its weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Keep mean and std [3] of RGB values in 0..1 as buffers outside the state."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Bring images [B, 3, H, W] float 0..1 into the trunk's range, channels_last."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


class FrozenTrunk(nn.Module):
    """An ImageNet network whose BatchNorm is a constant, and whose first stages may be too.

    Batches are too small for statistics, and the labels too few to move the earliest filters.
    """

    def __init__(self, net: nn.Module, normalise: Normalise, frozen: Sequence[str] = ()) -> None:
        """Put a trunk behind its normalisation.

        Args:
            net: Images in the trunk's range -> one map or a list of maps, fine to coarse.
            normalise: The trunk's normalisation.
            frozen: Names of the modules of `net` that do not learn.
        """
        super().__init__()
        self.net, self.normalise = net, normalise
        for module in _batch_norms(net):
            module.requires_grad_(False)
        for name in frozen:
            net.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> "FrozenTrunk":
        """Set training mode as in torch, with BatchNorm in evaluation mode either way."""
        super().train(mode)
        for module in _batch_norms(self.net):
            module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of images [B, 3, H, W] float 0..1, fine to coarse."""
        features = self.net(self.normalise(images))
        return [features] if isinstance(features, Tensor) else list(features)


class DeepLab(nn.Module):
    """Images to the logits of a label map, at the output stride.

    Attributes:
        output_stride: Pixels between two neighbouring logits.
        n_outputs: Classes with the background, which is output 0.
        presence: Linear layer from the mean of the last feature map to one logit for each class but the background:
            whether the picture shows the class. None: the network does not ask.
    """

    def __init__(
        self,
        trunk: FrozenTrunk,
        head: nn.Module,
        output_stride: int,
        n_outputs: int,
        pretrained: Iterable[str] = (),
        presence_channels: int | None = None,
    ) -> None:
        """Join the parts.

        Args:
            trunk: Images -> feature maps.
            head: List of feature maps -> logits [B, n_outputs, h, w].
            output_stride: See the attribute.
            n_outputs: See the attribute.
            pretrained: Names of the head's children that come with weights, and so learn at the rate of the trunk.
            presence_channels: Channels of the last feature map, for `presence`; None: without it.
        """
        super().__init__()
        self.trunk, self.head = trunk, head
        self.output_stride, self.n_outputs = output_stride, n_outputs
        self._pretrained = tuple(pretrained)
        self.presence: nn.Linear | None = None
        if presence_channels is not None:
            self.presence = nn.Linear(presence_channels, n_outputs - 1)
            nn.init.normal_(self.presence.weight, std=0.01)
            nn.init.zeros_(self.presence.bias)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits [B, n_outputs, h, w] of images [B, 3, H, W] float 0..1, RGB; h is about H / output_stride.

        With `presence`, in training its logits [B, n_outputs - 1] come too, for a loss of their own. In evaluation they
        hold down the classes that the picture does not seem to show. So the picture and each pixel are two witnesses
        that learn apart.
        """
        features = self.trunk(images)
        logits: Tensor = self.head(features)
        if self.presence is None:
            return logits
        shown: Tensor = self.presence(features[-1].mean(dim=(2, 3)))
        return (logits, shown) if self.training else hold_down(logits, shown)

    def new_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that learn from nothing, and so ten times as fast."""
        for name, parameter in self.head.named_parameters():
            if parameter.requires_grad and name.partition(".")[0] not in self._pretrained:
                yield parameter
        if self.presence is not None:
            yield from self.presence.parameters()

    def trunk_parameters(self) -> Iterator[nn.Parameter]:
        """Yield all other parameters that learn."""
        new = {id(parameter) for parameter in self.new_parameters()}
        for parameter in self.parameters():
            if parameter.requires_grad and id(parameter) not in new:
                yield parameter

    def without_presence(self) -> "DeepLab":
        """Return a network of the same layers that does not ask which classes a picture shows."""
        net = DeepLab(self.trunk, self.head, self.output_stride, self.n_outputs, self._pretrained)
        return net.train(self.training)

    def with_pretrained(self, names: Iterable[str]) -> "DeepLab":
        """Return a network of the same layers, of whose head those of these names learn at the rate of the trunk."""
        net = DeepLab(self.trunk, self.head, self.output_stride, self.n_outputs, names)
        net.presence = self.presence
        return net.train(self.training)

    def prepare_for_inference(self) -> "DeepLab":
        """Make the network fast for inference, in place, see `prepare_for_inference`; return itself."""
        prepare_for_inference(self)
        return self


def hold_down(logits: Tensor, shown: Tensor) -> Tensor:
    """Multiply the pixels' probability of each class by the probability that the picture shows the class.

    Args:
        logits: [B, n, h, w] of the pixels, background first.
        shown: [B, n - 1] logits of the picture.

    Returns:
        Logits [B, n, h, w], up to a constant a pixel; those of the background stay.
    """
    log_probability = F.logsigmoid(shown.float())[:, :, None, None].to(logits.dtype)
    return torch.cat([logits[:, :1], logits[:, 1:] + log_probability], dim=1)


def prepare_for_inference(net: nn.Module) -> None:
    """Fold BatchNorm, freeze all parameters and lay them out channels_last, in place; no more training."""
    net.eval().requires_grad_(False)
    fold_batch_norm(net)
    net.to(memory_format=torch.channels_last)


def fold_batch_norm(net: nn.Module) -> None:
    """Merge each convolution with the BatchNorm right behind it, in place; results stay up to rounding.

    A BatchNorm is right behind a convolution where one child of a module follows the other: in timm's networks and in
    the heads here, such children run in this order. Any other BatchNorm stays, as in networks that normalise first.

    Args:
        net: In evaluation mode.
    """
    for parent in list(net.modules()):
        before: nn.Module | None = None
        for name, child in list(parent.named_children()):
            if isinstance(before, nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
                folded = fuse_conv_bn_eval(before, child)
                before.weight, before.bias = folded.weight, folded.bias
                # timm's BatchNorm carries the activation that follows it
                setattr(parent, name, getattr(child, "act", None) or nn.Identity())
            before = child


def _batch_norms(net: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (module for module in net.modules() if isinstance(module, nn.BatchNorm2d))
