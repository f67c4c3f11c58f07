import copy

import pytest
import timm
import torch
from torch import nn

from s4net import build_s4net
from s4net.cpu.folding import fold_batch_norm
from s4net.cpu.packing import PackedConv2d, pack_convolutions
from s4net.cpu.residual import PackedResidual, pack_residuals

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this processor has no oneDNN")


def trunk(name: str) -> nn.Module:
    """A network of timm with settled BatchNorm, its convolutions packed."""
    torch.manual_seed(0)
    net = timm.create_model(name, features_only=True, pretrained=False, out_indices=(1, 2)).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_(0, 0.1)
    x = torch.rand(1, 3, 64, 64)
    fold_batch_norm(net, x)
    with torch.no_grad():
        pack_convolutions(net, lambda: net(x))
    return net


@pytest.mark.parametrize(("name", "blocks"), [("resnet10t", 2), ("resnet26", 4)], ids=["basic", "bottleneck"])
def test_blocks_give_what_they_gave_before(name: str, blocks: int):
    net = trunk(name)
    ordinary, x = copy.deepcopy(net), torch.rand(2, 3, 64, 96)
    assert pack_residuals(net) == blocks
    assert sum(isinstance(module, PackedResidual) for module in net.modules()) == blocks
    with torch.no_grad():
        for found, expected in zip(net(x), ordinary(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
        for found, expected in zip(copy.deepcopy(net)(x), ordinary(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_blocks_with_more_between_sum_and_convolution_stay():
    assert pack_residuals(trunk("seresnet50")) == 0


def test_blocks_whose_norm_is_not_folded_stay():
    net = timm.create_model("resnet26", features_only=True, pretrained=False, out_indices=(1,)).eval()
    with torch.no_grad():
        pack_convolutions(net, lambda: net(torch.rand(1, 3, 64, 64)))
    assert pack_residuals(net) == 0


@pytest.mark.parametrize("bf16", [False, True])
def test_the_sum_is_that_of_the_parts(bf16: bool):
    if bf16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bf16 here")
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, padding=1)
    x, other = torch.randn(1, 8, 9, 7), torch.randn(1, 16, 9, 7)
    expected = (conv(x) + other).relu()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = PackedConv2d(conv).add_relu(x, other)
    assert found.dtype == (torch.bfloat16 if bf16 else torch.float32)
    assert torch.allclose(found.float(), expected, atol=0.05 if bf16 else 1e-5)
    # With gradients the ordinary layer does the work.
    assert torch.equal(PackedConv2d(conv).add_relu(x, other), expected)


def test_a_resnet_made_ready_has_no_ordinary_block_left():
    net = build_s4net("modern", "timm/resnet26").eval()
    x = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        expected = net.dense(x).logits
        net.prepare_for_inference()
        torch.testing.assert_close(net.dense(x).logits, expected, rtol=1e-3, atol=1e-3)
    assert sum(isinstance(module, PackedResidual) for module in net.modules()) == 8
