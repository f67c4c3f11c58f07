"""Fold BatchNorm into the convolution before it, for any network."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


@torch.no_grad()
def fold_batch_norm(module: nn.Module, example: Tensor) -> int:
    """Fold every BatchNorm that reads a convolution's output directly, in place; evaluation mode only.

    Which convolution feeds which BatchNorm is seen on one forward pass, so that no naming convention is needed.

    Args:
        module: network in evaluation mode.
        example: input of a forward pass; any size that the network takes.

    Returns:
        Number of layers folded. The result differs by rounding alone. 0 where it would not, and the network is as it
        was: what a convolution makes is then read by others than its BatchNorm.
    """
    if module.training:
        raise ValueError("BatchNorm can be folded in evaluation mode alone: call .eval() first")
    made_by: dict[int, nn.Conv2d] = {}
    outputs: list[Tensor] = []  # kept alive, so that ids stay unique
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after_convolution(conv: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        made_by[id(output)] = conv
        outputs.append(output)

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        conv = made_by.get(id(inputs[0]))
        if conv is not None and "forward" not in norm.__dict__:  # not folded before
            pairs.append((conv, norm))

    hooks = [m.register_forward_hook(after_convolution) for m in module.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(before_norm) for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    expected = module(example)
    for hook in hooks:
        hook.remove()
    before = [(conv, conv.weight, conv.bias, norm, norm.__dict__.get("forward")) for conv, norm in pairs]
    for conv, norm in pairs:
        assert norm.running_mean is not None and norm.running_var is not None
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        _make_identity(norm)
    if _are_close(_maps(module(example)), _maps(expected)):
        return len(pairs)
    for conv, weight, bias, norm, forward in before:
        conv.weight, conv.bias = weight, bias
        if forward is None:
            del norm.forward
        else:
            norm.forward = forward  # type: ignore[method-assign]
    return 0


def _maps(output: Tensor | list[Tensor]) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output)


def _are_close(found: list[Tensor], expected: list[Tensor]) -> bool:
    """Return whether maps [B, C, h, w] differ by no more than rounding can make of them in a deep network."""
    pairs = zip(found, expected, strict=True)
    return all(bool((a - b).abs().max() <= 1e-2 * b.abs().max()) for a, b in pairs)


def _make_identity(norm: nn.BatchNorm2d) -> None:
    """Turn the affine map of a BatchNorm into nothing, keeping the activation that timm attaches to it."""
    parts = [part for name in ("drop", "act") if isinstance(part := getattr(norm, name, None), nn.Module)]
    norm.forward = nn.Sequential(*parts).forward  # type: ignore[method-assign]
