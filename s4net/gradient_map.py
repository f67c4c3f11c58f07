"""The gradient map of paper Sec. 3.4 (Fig. 6): which features right before RoIMasking decide about a mask.

H [C, h, w] are the features that RoIMasking multiplies by its masks, behind the compression convolution and its ReLU.
As in the paper, H is a variable, every convolution is a constant, the boxes are the ground-truth boxes, and the loss is
L_seg alone. Each instance of a picture has a map of its own, from L_seg of this instance alone.

What is exact, and what is not:

- Where a mask is 0, the gradient is exactly 0. So the ring has a share of exactly 0 with binary masks, for trained and
  untrained weights alike. No kind of mask gives a gradient outside box and ring.
- Binary masks are not blind for that. Features inside the box have seen their surroundings through the trunk, whose
  receptive field is far larger than a ring. The map shows what the mask branch makes of the ring's own features.
- The gradient at the pyramid level, one convolution earlier, is left out on purpose. A 3x3 convolution there (presets
  `release` and `modern`) smears the map by one cell over the borders of box and ring. Then even binary masks have a
  share of the ring.
- Where masks may leave their box (`RoIMasking.slack`), the loss counts a strip of the ring, which adds to the share of
  the ring. `Shares.ring_outside_region` counts only cells in which the loss is not computed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .network import DenseOutput, S4Net, Target
from .roi_masking import MaskFrames, RoIMasking, RoiMode


class InstanceGradients(NamedTuple):
    """What one kind of mask makes of the N instances of one picture.

    Attributes:
        features: [C, h, w] H, non-negative; the same for every kind of mask.
        masks: [N, h, w] in {-1, 0, 1}, the factors of H.
        zones: [N, h, w], whatever the kind of mask: +1 in the cells of the box, -1 in those of its ring, 0 elsewhere.
        region: [N, h, w] 0 or 1, the cells that count in the loss.
        gradients: [N, C, h, w] dL_n / dH, signed, in loss per unit of feature.
        losses: [N] L_n, the mask loss of each instance alone.
    """

    features: Tensor
    masks: Tensor
    zones: Tensor
    region: Tensor
    gradients: Tensor
    losses: Tensor


class Shares(NamedTuple):
    """Where the gradient of each of N instances lies; box, ring and elsewhere sum to 1.

    Attributes:
        box: [N] share inside the box.
        ring: [N] share in the ring around it.
        ring_outside_region: [N] the part of `ring` in cells that do not count in the loss.
        elsewhere: [N] share in the rest of the map.
    """

    box: Tensor
    ring: Tensor
    ring_outside_region: Tensor
    elsewhere: Tensor


def instance_gradients(
    net: S4Net, dense: DenseOutput, target: Target, mode: RoiMode | None = None
) -> InstanceGradients:
    """Compute dL_seg / dH of every instance.

    Args:
        net: A network whose RoI layer is RoIMasking. It is left as it was.
        dense: What the network computed for the one picture, in float32.
        target: The N >= 1 instances of the picture, {boxes [N, 4] xyxy in network pixels, masks [N, S, S] 0 or 1}.
        mode: Kind of mask instead of the network's own; None: the network's own.

    Raises:
        ValueError: The RoI layer is RoIAlign or RoIPool, which crop instead of masking, or there is no instance.
    """
    layer = net.mask_branch.roi_layer
    if not isinstance(layer, RoIMasking):
        raise ValueError(f"a gradient map needs RoIMasking before the mask branch, not {type(layer).__name__}")
    if not len(target["boxes"]):
        raise ValueError("a gradient map needs one instance or more")
    probe = _Probe(mode or layer.mode, layer.alpha, layer.slack, layer.released, layer.wrap_ring)
    gradients, regions, losses = [], [], []
    with torch.enable_grad(), _probed(net, probe):
        for box, mask in zip(target["boxes"], target["masks"], strict=True):
            loss = net.segmentation_loss(dense, [box[None]], [mask[None]])
            gradients.append(torch.autograd.grad(loss, probe.features)[0])
            regions.append(probe.covered.region)
            losses.append(loss.detach())
    size = (probe.features.shape[-2], probe.features.shape[-1])
    cells = target["boxes"] / net.stride
    return InstanceGradients(
        features=probe.features.detach()[0],
        masks=probe.masks(cells, size)[:, 0],
        zones=probe.ternary().masks(cells, size)[:, 0],
        # Where masks are finer than features, the loss counts a feature cell as soon as it counts a part of it.
        region=F.adaptive_max_pool2d(torch.cat(regions), size),
        gradients=torch.cat(gradients),
        losses=torch.stack(losses),
    )


def gradient_map(gradients: Tensor) -> Tensor:
    """Return G [N, h, w], the sum over channels of |dL / dH| [N, C, h, w]."""
    return gradients.abs().sum(dim=1)


def gradient_shares(maps: Tensor, zones: Tensor, region: Tensor) -> Shares:
    """Divide gradient maps between box, ring and the rest of the picture.

    Args:
        maps: [N, h, w] non-negative, see `gradient_map`.
        zones: [N, h, w] see `InstanceGradients`.
        region: [N, h, w] see `InstanceGradients`.

    Returns:
        Shares 0..1; nan for an instance without any gradient.
    """
    ring = zones < 0
    total = maps.sum(dim=(1, 2))

    def share(cells: Tensor) -> Tensor:
        return (maps * cells).sum(dim=(1, 2)) / total

    return Shares(share(zones > 0), share(ring), share(ring & (region == 0)), share(zones == 0))


class _Probe(RoIMasking):
    """RoIMasking whose input is a variable: the gradient ends there, and can be asked for."""

    features: Tensor
    covered: MaskFrames

    def forward(
        self, features: Tensor, boxes: list[Tensor], stride: int, fineness: int = 1
    ) -> tuple[Tensor, MaskFrames]:
        """Mask a copy of the features that is a leaf of the graph; arguments as `RoIMasking.forward`."""
        self.features = features.detach().requires_grad_()
        masked, self.covered = super().forward(self.features, boxes, stride, fineness)
        return masked, self.covered

    def ternary(self) -> RoIMasking:
        """Return the ternary layer whose box and ring these are."""
        return RoIMasking("ternary", self.alpha, self.slack, self.released, self.wrap_ring)


@contextmanager
def _probed(net: S4Net, probe: _Probe) -> Iterator[None]:
    """Put the probe before the mask branch, and let maps be whole, for a while."""
    branch = net.mask_branch
    layer, windowed = branch.roi_layer, branch.windowed
    branch.roi_layer, branch.windowed = probe, False
    try:
        yield
    finally:
        branch.roi_layer, branch.windowed = layer, windowed
