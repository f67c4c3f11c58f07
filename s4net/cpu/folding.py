"""Fold BatchNorm into the convolution before it, for any network."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.no_grad()
def fold_batch_norm(module: nn.Module, example: Tensor) -> int:
    """Fold every BatchNorm that reads a convolution's output directly, in place; evaluation mode only.

    One forward pass shows which convolution feeds which BatchNorm, so no naming convention is needed.

    Args:
        module: Network in evaluation mode.
        example: Input of a forward pass; any size that the network takes.

    Returns:
        Number of layers folded; the results differ by rounding alone. 0 where they would differ by more, because
        another layer reads the output of a folded convolution too; the network is then as it was.
    """
    if module.training:
        raise ValueError("BatchNorm can be folded in evaluation mode alone: call .eval() first")
    pairs, expected = _norms_behind(module, example)
    before = [(conv.weight, conv.bias) for conv, _ in pairs]
    for conv, norm in pairs:
        folded = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = folded.weight, folded.bias
        _make_identity(norm)
    if _are_close(_maps(module(example)), _maps(expected)):
        return len(pairs)
    for (conv, norm), (weight, bias) in zip(pairs, before, strict=True):
        conv.weight, conv.bias = weight, bias
        norm.__dict__.pop("forward", None)
    return 0


def is_folded(norm: nn.Module) -> bool:
    """Return whether `fold_batch_norm` has made this BatchNorm an identity."""
    return "forward" in norm.__dict__


def _norms_behind(
    module: nn.Module, example: Tensor
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], Tensor | list[Tensor]]:
    """Return each convolution with the BatchNorm that reads its output, in order of execution, and the result."""
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
        if conv is not None and not is_folded(norm):
            pairs.append((conv, norm))

    hooks = [m.register_forward_hook(after_convolution) for m in module.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(before_norm) for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    result: Tensor | list[Tensor] = module(example)
    for hook in hooks:
        hook.remove()
    return pairs, result


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
