import copy

import pytest
import torch
from torch import nn

from s4net import S4Net, build_s4net
from s4net.cpu import packing
from s4net.cpu.onednn import NEWEST_TESTED, OLDEST_TESTED, supported_types
from s4net.cpu.packing import PackedConv2d

NO_TYPES: frozenset[torch.dtype] = frozenset()
has_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this processor has no oneDNN")


@has_onednn
@pytest.mark.parametrize("version", [OLDEST_TESTED, NEWEST_TESTED])
def test_tested_versions_pack_float32(version: tuple[int, int]):
    assert torch.float32 in supported_types("{}.{}.0+cpu".format(*version))


@pytest.mark.parametrize("version", ["2.3.1", "2.16.0", "2.16.0a0+git1234", "3.0.0"])
def test_versions_that_were_not_tested_pack_nothing(version: str):
    assert supported_types(version) == NO_TYPES


def test_a_torch_without_the_function_packs_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    assert supported_types() == NO_TYPES


def settled(trunk: str) -> S4Net:
    """An S4Net of random weights whose BatchNorm does something."""
    torch.manual_seed(0)
    net = build_s4net("modern", trunk).eval()
    for norm in (m for m in net.trunk.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 1.5)
    return net


def outputs(net: S4Net, images: torch.Tensor, bf16: bool) -> list[torch.Tensor]:
    """Pyramid, objectness, offsets, and the mask of one box."""
    box = torch.tensor([[20.0, 30.0, 90.0, 100.0]])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        dense = net.dense(images)
        mask, _ = net.mask_branch(dense.levels[net.mask_level], [box], net.stride, dense.detail)
    return [*dense.levels, dense.logits, dense.offsets, mask]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("trunk", ["timm/resnet18", "efficientnet_lite0"])
def test_without_the_function_a_prepared_network_gives_the_same(trunk, bf16, monkeypatch: pytest.MonkeyPatch):
    net, images = settled(trunk), torch.rand(1, 3, 128, 128)
    ready = copy.deepcopy(net).prepare_for_inference()
    packed, unprepared = outputs(ready, images, bf16), outputs(net, images, bf16)
    monkeypatch.delattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    plain = net.prepare_for_inference()
    found = outputs(plain, images, bf16)
    layers = [module for module in plain.modules() if isinstance(module, PackedConv2d)]
    assert len(layers) > 20 and not any(layer._packed for layer in layers)
    for other in (packed, unprepared):
        for own, expected in zip(found, other, strict=True):
            # bf16 keeps 8 bits, and a deep network rounds many times.
            error = (own.float() - expected.float()).norm() / expected.float().norm()
            assert error < (0.1 if bf16 else 1e-4)


@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.ReLU6()], ids=["none", "relu", "relu6"])
def test_without_onednn_a_packed_layer_is_the_ordinary_one(activation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packing, "supported_types", lambda: NO_TYPES)
    conv = nn.Conv2d(8, 16, 3, padding=1)
    layer, x, other = PackedConv2d(conv, activation), torch.randn(1, 8, 9, 7), torch.randn(1, 16, 9, 7)
    with torch.no_grad():
        assert torch.equal(layer(x), conv(x) if activation is None else activation(conv(x)))
        assert torch.equal(layer.add_relu(x, other), (conv(x) + other).relu())
    assert not layer._packed
