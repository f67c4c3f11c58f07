import copy

import pytest
import torch
from torch import nn

from s4net import build_s4net
from s4net.cpu.packing import PackedConv2d, pack_convolutions
from s4net.trunk import Trunk

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this processor has no oneDNN")


def convolution(**options) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(16, 24, options.pop("kernel_size", 3), **options)


def picture(height: int, width: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 16, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "conv",
    [
        convolution(padding=1),
        convolution(padding=2, dilation=2),
        convolution(kernel_size=1, stride=2, bias=False),
        convolution(kernel_size=(3, 1), padding=(1, 0)),
    ],
    ids=["3x3", "dilated", "strided", "3x1"],
)
@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.ReLU6()], ids=["none", "relu", "relu6"])
def test_a_packed_convolution_is_the_convolution_on_maps_of_any_size(conv, activation):
    packed = PackedConv2d(conv, activation)
    expected = conv if activation is None else nn.Sequential(conv, activation)
    with torch.no_grad():
        for x in (picture(17, 13), picture(5, 40, 1), 20 * picture(9, 9)):  # packed for the first
            assert torch.allclose(packed(x), expected(x), atol=1e-5 * float(x.abs().max()))


def test_bf16_has_weights_of_its_own():
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bf16 here")
    conv, x = convolution(padding=1), picture(12, 12)
    packed = PackedConv2d(conv)
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            rounded, ordinary = packed(x), conv(x)
        exact = packed(x)
        assert torch.allclose(exact, conv(x), atol=1e-5)
    assert exact.dtype == torch.float32
    assert rounded.dtype == torch.bfloat16
    # bf16 keeps 8 bits; sums are those of the ordinary layer up to one rounding of the result.
    assert torch.allclose(rounded, ordinary, rtol=2**-7, atol=1e-2)
    assert not torch.equal(rounded.float(), exact)


def test_what_onednn_does_not_do_is_done_by_the_ordinary_layer():
    conv, x = convolution(padding=1), picture(8, 8)
    packed = PackedConv2d(conv, nn.ReLU())
    leaf = x.clone().requires_grad_()
    packed(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0
    with torch.no_grad():
        assert packed(picture(8, 8, 0)).shape == (0, 24, 8, 8)
        twice = copy.deepcopy(packed).double()(x.double())
        with torch.autocast("cpu", torch.bfloat16):
            assert copy.deepcopy(packed).double()(x.double()).dtype == torch.float64
        with pytest.raises(RuntimeError, match="bias type"):  # as the ordinary layer
            packed(x.bfloat16())
    assert twice.dtype == torch.float64
    assert torch.allclose(twice.float(), conv(x).relu(), atol=1e-5)


def test_weights_that_are_no_numbers_give_no_numbers():
    conv = convolution()
    conv.weight.data[3, 0, 0, 0] = float("nan")
    with torch.no_grad():
        found = PackedConv2d(conv, nn.ReLU())(picture(8, 8))
    assert found[:, 3].isnan().all()
    assert found[:, 4].isfinite().all()


def test_a_packed_network_can_be_copied():
    packed = PackedConv2d(convolution())
    with torch.no_grad():
        before = packed(picture(8, 8))
        assert torch.equal(copy.deepcopy(packed)(picture(8, 8)), before)
    assert packed.state_dict().keys() == convolution().state_dict().keys()


class Small(nn.Module):
    """Two convolutions with activations, wired by each subclass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.same = nn.Conv2d(8, 8, 3, padding="same")
        self.relu, self.other, self.pool = nn.ReLU(), nn.ReLU(), nn.AvgPool2d(1)
        self.eval()


class Chain(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.second(self.relu(self.first(x))))


class Shared(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(x))))


class AddedToInPlace(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.relu(self.first(x)))
        y += x
        return self.other(y)


class ReadByAnother(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.relu(self.first(x)))
        return self.other(y) + self.pool(y)


class ActivatedTwice(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.relu(self.first(x)))
        return self.other(y) - self.other(1 - y)


class SharedWithDepthwise(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.second(self.relu(self.first(x)))) + self.relu(self.same(self.depthwise(x)))


class SharedWithOneReadByAnother(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(x)
        return self.relu(self.first(x)) + self.relu(y) + self.pool(y)


@pytest.mark.parametrize(
    ("net", "taken_in"),
    [
        (Chain(), (True, True)),
        (Shared(), (True, True)),
        (AddedToInPlace(), (True, False)),
        (ReadByAnother(), (True, False)),
        (ActivatedTwice(), (True, False)),
        (SharedWithDepthwise(), (False, True)),
        (SharedWithOneReadByAnother(), (False, False)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_an_activation_that_reads_nothing_but_the_convolution_is_taken_in(net, taken_in):
    x = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net(x)
        assert pack_convolutions(net, lambda: net(x)) == 2
        assert torch.allclose(net(x), expected, atol=1e-5)
    assert tuple(isinstance(conv.activation, nn.ReLU) for conv in (net.first, net.second)) == taken_in
    assert type(net.depthwise) is type(net.same) is nn.Conv2d


@pytest.mark.parametrize("trunk", ["timm/resnet18", "mobilenet_v1", "efficientnet_lite0", "timm/resnetv2_18"])
def test_prepared_for_inference_nothing_but_the_speed_changes(trunk):
    torch.manual_seed(0)
    net = build_s4net("modern", trunk).eval()
    for norm in (m for m in net.trunk.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 1.5)
    images, boxes = torch.rand(2, 3, 128, 128), [torch.tensor([[20.0, 30.0, 90.0, 100.0]])] * 2
    with torch.inference_mode():  # of a caller's
        ready = copy.deepcopy(net).prepare_for_inference().prepare_for_inference()
    assert sum(isinstance(m, PackedConv2d) for m in ready.modules()) > 20
    with torch.no_grad():
        expected, found = net.dense(images), ready.dense(images)
        pairs = list(zip(expected.levels, found.levels, strict=True))
        pairs.append((expected.logits, found.logits))
        pairs.append(
            tuple(own.mask_branch(d.levels[0], boxes, 8, d.detail)[0] for own, d in ((net, expected), (ready, found)))
        )
    for a, b in pairs:
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))


def test_trunks_whose_stages_have_dots_in_their_names_can_be_frozen_and_loaded():
    state = {}
    for dotted, value in Trunk("resnetv2_18").net.state_dict().items():
        state[dotted.replace("stages_", "stages.").replace("stem_", "stem.")] = value
    assert any(key.startswith("stages.") for key in state)
    trunk = Trunk("resnetv2_18", (8, 16, 32), state, freeze_below=8)
    learns = {name: p.requires_grad for name, p in trunk.net.named_parameters() if "conv" in name}
    assert not learns["stages_0.blocks.0.conv1.weight"]
    assert learns["stages_1.blocks.0.conv1.weight"]
