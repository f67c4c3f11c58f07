"""What makes inference fast on a processor. Results stay the same up to rounding, and no other module knows of it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .folding import fold_batch_norm
from .packing import pack_convolutions
from .residual import pack_residuals

_SIDE = 64  # of the example in pixels: a multiple of every stride


def make_fast(net: nn.Module, trunk: nn.Module, run: Callable[[Tensor], object]) -> None:
    """Fold BatchNorm, pack convolutions with their activations, and lay weights out channels_last; in place.

    The network must neither be trained again nor get other weights. A second call changes nothing.

    Args:
        net: The whole network in evaluation mode.
        trunk: The part of `net` that has BatchNorm; images [B, 3, H, W] -> maps.
        run: A function that does a forward pass of all of `net` on images [B, 3, H, W].
    """
    # Tensors that are made in a caller's inference mode do not tell whether they were changed in place.
    with torch.inference_mode(False), torch.no_grad():
        device = next(net.parameters()).device
        example = torch.linspace(0, 1, 3 * _SIDE * _SIDE, device=device).view(1, 3, _SIDE, _SIDE)
        fold_batch_norm(trunk, example)
        pack_convolutions(net, lambda: run(example))
        pack_residuals(trunk)
    net.to(memory_format=torch.channels_last)
