"""Gradients of the replaced depthwise convolutions, against torch's own."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from pipelines.engine.depthwise import DepthwiseConv, speed_up_depthwise


def gradients(conv: nn.Module, x: Tensor, towards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = x.clone().requires_grad_()
    out = conv(x)
    out.backward(towards.to(out.dtype))
    weight = next(conv.parameters())
    assert x.grad is not None and weight.grad is not None
    return out.detach(), x.grad, weight.grad


@pytest.mark.parametrize("side", [11, 14])
@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [(5, 1, 1), (3, 1, 2), (5, 1, 2), (5, 1, 4), (3, 2, 1), (5, 2, 1)]
)
def test_results_and_gradients_are_those_of_an_ordinary_convolution(
    size: int, stride: int, dilation: int, side: int
) -> None:
    torch.manual_seed(0)
    ordinary = nn.Conv2d(6, 6, size, stride, dilation * (size // 2), dilation, groups=6, bias=False).double()
    replaced = nn.Sequential(copy.deepcopy(ordinary))
    speed_up_depthwise(replaced)
    assert isinstance(replaced[0], DepthwiseConv)
    x = torch.randn(2, 6, side, side + 3, dtype=torch.float64)
    towards = torch.randn_like(ordinary(x))
    for got, expected in zip(gradients(replaced, x, towards), gradients(ordinary, x, towards), strict=True):
        torch.testing.assert_close(got, expected)


def test_weight_gradient_survives_bf16() -> None:
    # 2 x 41 x 41 products are summed for a tap; a running sum in bf16 would stop growing after a few hundred
    torch.manual_seed(0)
    ordinary = nn.Conv2d(8, 8, 5, 1, 4, 2, groups=8, bias=False)
    replaced = nn.Sequential(copy.deepcopy(ordinary))
    speed_up_depthwise(replaced)
    x, towards = torch.rand(2, 8, 41, 41), torch.rand(2, 8, 41, 41)
    expected = gradients(ordinary, x, towards)[2]
    with torch.autocast("cpu", torch.bfloat16):
        out, _, got = gradients(replaced, x, towards)
    assert out.dtype == torch.bfloat16 and got.dtype == torch.float32
    assert ((got - expected).abs() / expected).max() < 0.01


def test_a_network_keeps_its_names_and_its_outputs() -> None:
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", features_only=True, pretrained=False).eval()
    replaced = copy.deepcopy(net)
    speed_up_depthwise(replaced)
    assert list(replaced.state_dict()) == list(net.state_dict())
    # by hand, from the paper's table: 5x5 in stages 2 (2 blocks), 4 (3), 5 (4); strided 3x3 in stages 1 and 3
    assert sum(isinstance(m, DepthwiseConv) for m in replaced.modules()) == 11
    for side in (64, 65):  # "same" padding of strided layers depends on the parity
        x = torch.rand(1, 3, side, side)
        for got, expected in zip(replaced(x), net(x), strict=True):
            # Sums run in another order; through fifty layers that is some 1e-6 of the largest value.
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * float(expected.detach().abs().max()))


def test_other_convolutions_stay() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),  # has a fast gradient already
        nn.Conv2d(4, 4, 5, padding=2, groups=2, bias=False),
        nn.Conv2d(4, 4, 5, padding=2, groups=4),
        nn.Conv2d(4, 4, 7, padding=3, groups=4, bias=False),
        nn.Conv2d(1, 1, 5, padding=2, bias=False),
    )
    speed_up_depthwise(net)
    assert not any(isinstance(m, DepthwiseConv) for m in net.modules())
