"""oneDNN's convolutions on weights in oneDNN's own layout: the one module that calls private functions of torch.

torch has these functions for its compiler and promises nothing about them. So this module uses them only with versions
of torch that were tested. With any other version `supported_types` is empty, and the ordinary layers do the work:
slower, with the same results up to rounding.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

OLDEST_TESTED, NEWEST_TESTED = (2, 4), (2, 15)
"""Versions (major, minor) of torch. The tests of this package passed with 2.4.1, 2.9.1 and 2.15.0."""

ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}
"""Activations that oneDNN applies to a result while it is still in the cache: their names and arguments there."""

NO_ACTIVATION: tuple[str, list[float]] = ("none", [])


class Geometry(NamedTuple):
    """How a convolution moves over its input, with the fields of `nn.Conv2d`."""

    padding: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class PackedWeights(NamedTuple):
    """Weights of a convolution for one type of numbers.

    Attributes:
        weight: Weights in oneDNN's layout, which nothing else can read.
        bias: [C], or None.
    """

    weight: Tensor
    bias: Tensor | None


def supported_types(version: str = torch.__version__) -> frozenset[torch.dtype]:
    """Return the types of numbers for which weights can be packed: float32, and bfloat16 where the processor has it.

    Args:
        version: Version of torch.

    Returns:
        Empty for a version that was not tested, a torch that lacks a function, or a processor without oneDNN.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    tested = OLDEST_TESTED <= (major, minor) <= NEWEST_TESTED
    if not (tested and _has_functions() and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return frozenset()
    bf16 = {torch.bfloat16} if torch.ops.mkldnn._is_mkldnn_bf16_supported() else set()
    return frozenset({torch.float32} | bf16)


def pack(weight: Tensor, bias: Tensor | None, geometry: Geometry, x: Tensor) -> PackedWeights:
    """Return weights in oneDNN's layout.

    Args:
        weight: [C_out, C_in / groups, h, w], finite.
        bias: [C_out], or None.
        geometry: Geometry of the convolution.
        x: An input of the convolution. oneDNN chooses its blocks by type and size of `x`; results are the same.
    """
    padding, stride, dilation = (list(each) for each in geometry[:3])
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]  # its stub lacks the last
        weight.detach().to(x.dtype).to_mkldnn(), padding, stride, dilation, geometry.groups, list(x.shape)
    )
    return PackedWeights(packed, None if bias is None else bias.detach().to(x.dtype))


def convolve(x: Tensor, packed: PackedWeights, geometry: Geometry, activation: tuple[str, list[float]]) -> Tensor:
    """Return the activated convolution of x [B, C, H, W], which is in channels_last and of the type of the weights."""
    name, scalars = activation
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(x, *packed, *geometry, name, scalars, "")
    return result


def convolve_add_relu(x: Tensor, other: Tensor, packed: PackedWeights, geometry: Geometry) -> Tensor:
    """Return relu(convolution of x + other); x as in `convolve`, `other` in the layout and shape of the result."""
    weight, bias = packed
    result: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, weight, bias, *geometry, "add", 1.0, "relu", [], ""
    )
    return result


def _has_functions() -> bool:
    operators = ("_convolution_pointwise", "_is_mkldnn_bf16_supported")
    return hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight") and all(
        hasattr(torch.ops.mkldnn, name) for name in operators
    )
