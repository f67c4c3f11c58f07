"""Depthwise convolutions whose gradients are cheap on a processor, in fp32 and under bf16 autocast.

oneDNN has a fast weight gradient only for 3x3 depthwise kernels without dilation and stride. That of a 5x5 kernel takes
10 (fp32) to 90 (bf16) times as long as the forward pass. Dilation makes both gradients as slow, and in bf16 the sum
over pixels is lost to rounding. The fast kernels give the same numbers:

- an input gradient is a forward convolution with the mirrored weight;
- a dilated or strided convolution is a plain one on each of the interleaved grids;
- a 5x5 weight gradient is four overlapping 3x3 ones.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LAST = torch.channels_last


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution with square kernel, and the gradients described above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape = stride, padding, dilation
        return F.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.shape
        gradient = gradients[0].contiguous(memory_format=_LAST)
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = _input_gradient(gradient, x, weight, stride, padding, dilation)
        if ctx.needs_input_grad[1]:
            padded = F.pad(x, (padding,) * 4)
            size = weight.shape[-1]
            if stride == 1:
                to_weight = _from_windows(_grids(padded, dilation), _grids(gradient, dilation), size)
            else:
                to_weight = _from_phases(padded, gradient, size)
            # In the memory layout of the weight: distributed training copies it once more otherwise, and says so.
            to_weight = torch.empty_like(weight).copy_(to_weight)
        return to_x, to_weight, None, None, None


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
    """Return the gradient [B, C, H, W] for x: the mirrored weight over the gradient, zeros where strides skipped."""
    reach = dilation * (weight.shape[-1] - 1)
    if stride > 1:
        height, width = (side + 2 * padding - reach for side in x.shape[2:])
        spread = gradient.new_zeros(x.shape[0], height, width, x.shape[1]).permute(0, 3, 1, 2)
        spread[:, :, ::stride, ::stride] = gradient
        gradient = spread
    return F.conv2d(gradient, weight.flip(2, 3), None, 1, reach - padding, dilation, len(weight))


def _grids(x: Tensor, step: int) -> Tensor:
    """Return the interleaved grids of every step-th row and column, with zeros at their ends.

    [B, C, H, W] -> [B step^2, C, ceil(H / step), ceil(W / step)].
    """
    if step == 1:
        return x
    batch, channels, height, width = x.shape
    x = F.pad(x, (0, -width % step, 0, -height % step)).permute(0, 2, 3, 1)
    height, width = x.shape[1] // step, x.shape[2] // step
    # the channels stay innermost, so that whole rows of them are copied
    x = x.reshape(batch, height, step, width, step, channels).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(batch * step * step, height, width, channels).permute(0, 3, 1, 2)


def _three_by_three(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the weight gradient [C, 1, 3, 3] of a plain convolution of x [B, C, h + 2, w + 2] to [B, C, h, w]."""
    window, only_its_shape = x.contiguous(memory_format=_LAST), x.new_empty(x.shape[1], 1, 3, 3)
    gradients = torch.ops.aten.convolution_backward(
        gradient, window, only_its_shape, None, [1, 1], [0, 0], [1, 1], False, [0, 0], x.shape[1], [False, True, False]
    )
    return cast(Tensor, gradients[1])


def _from_windows(padded: Tensor, gradient: Tensor, size: int) -> Tensor:
    """Return the weight gradient [C, 1, size, size] at stride 1, from 3x3 windows that start every two taps.

    The size is odd.
    """
    height, width = gradient.shape[2:]
    gradient = gradient.contiguous(memory_format=_LAST)
    result = padded.new_empty(padded.shape[1], 1, size, size)
    for i in range(0, size - 2, 2):
        for j in range(0, size - 2, 2):
            window = padded[:, :, i : i + height + 2, j : j + width + 2]
            result[:, :, i : i + 3, j : j + 3] = _three_by_three(window, gradient)
    return result


def _from_phases(padded: Tensor, gradient: Tensor, size: int) -> Tensor:
    """Return the weight gradient [C, 1, size, size] at stride 2: taps of one parity read one grid of pixels.

    The size is 3 or 5.
    """
    height, width = gradient.shape[2] + 2, gradient.shape[3] + 2
    result = padded.new_empty(padded.shape[1], 1, size, size)
    for i in range(2):
        for j in range(2):
            phase = padded[:, :, i::2, j::2][:, :, :height, :width]
            phase = F.pad(phase, (0, width - phase.shape[3], 0, height - phase.shape[2]))
            taps = result[:, :, i::2, j::2]
            taps.copy_(_three_by_three(phase, gradient)[:, :, : taps.shape[2], : taps.shape[3]])
    return result


class DepthwiseConv(nn.Conv2d):
    """A depthwise convolution with cheap gradients; on other devices than a processor an ordinary one.

    It stands for a convolution without bias, of stride 1 or 2, with a square kernel of 3 or 5. Folding BatchNorm may
    give it a bias later, when no gradient is needed any more.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        """Share the weight of `conv`; the name of timm's class tells whether the padding is `same` as in TensorFlow."""
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            _pair(conv.kernel_size),
            _pair(conv.stride),
            _pair(conv.padding),
            _pair(conv.dilation),
            conv.groups,
            bias=False,
        )
        self.weight = conv.weight
        self.same = type(conv).__name__ == "Conv2dSame"

    def forward(self, input: Tensor) -> Tensor:
        """Convolve [B, C, H, W], in the type of autocast where that is on."""
        x = F.pad(input, self._same_padding(input)) if self.same else input
        padding = 0 if self.same else cast(int, self.padding[0])
        stride, dilation = self.stride[0], self.dilation[0]
        if x.device.type != "cpu" or not torch.is_grad_enabled() or self.bias is not None:
            return F.conv2d(x, self.weight, self.bias, stride, padding, dilation, self.groups)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        x = x.to(dtype).contiguous(memory_format=_LAST)
        with torch.autocast("cpu", enabled=False):
            result = _Depthwise.apply(x, self.weight.to(dtype), stride, padding, dilation)
        return cast(Tensor, result)

    def _same_padding(self, x: Tensor) -> tuple[int, int, int, int]:
        """Return left, right, top and bottom padding by which ceil(H / stride) rows come out.

        Of an odd padding, the larger part lies below and to the right.
        """
        (height, width), stride = x.shape[2:], self.stride[0]
        reach = self.dilation[0] * (self.kernel_size[0] - 1) + 1
        rows = max((-(-height // stride) - 1) * stride + reach - height, 0)
        columns = max((-(-width // stride) - 1) * stride + reach - width, 0)
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2


def _pair(size: Any) -> tuple[int, int]:
    height, width = size
    return height, width


def speed_up_depthwise(module: nn.Module) -> None:
    """Replace the depthwise convolutions that have slow gradients, in place; parameter names and results stay."""
    for name, conv in list(module.named_modules()):
        if isinstance(conv, nn.Conv2d) and _is_slow(conv):
            parent, _, child = name.rpartition(".")
            setattr(module.get_submodule(parent), child, DepthwiseConv(conv))


def _is_slow(conv: nn.Conv2d) -> bool:
    depthwise = conv.groups == conv.in_channels == conv.out_channels > 1 and conv.bias is None
    size, stride, dilation = conv.kernel_size, conv.stride, conv.dilation
    plain = size == (3, 3) and stride == (1, 1) and dilation == (1, 1)
    known = size in ((3, 3), (5, 5)) and (stride == (1, 1) or (stride == (2, 2) and dilation == (1, 1)))
    return depthwise and known and not plain and not isinstance(conv.padding, str)
