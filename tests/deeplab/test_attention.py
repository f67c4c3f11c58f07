import copy

import pytest
import torch
from torch import Tensor, nn

from deeplab import AttentionNet, build_attention
from deeplab.network import FrozenTrunk, Normalise


def tiny() -> AttentionNet:
    """Features are the red, green and blue means of 2 x 2 pixels; keyword 0 is red without green, 1 is blue."""
    trunk = FrozenTrunk(nn.AvgPool2d(2), Normalise((0.0,) * 3, (1.0,) * 3))
    net = AttentionNet(trunk, 3, 2)
    with torch.no_grad():
        net.classifier.weight.copy_(torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]).view(2, 3, 1, 1))
        net.classifier.bias.copy_(torch.tensor([10.0, -10.0]))  # type: ignore[union-attr]
    return net


def picture() -> Tensor:
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, :2, :2] = 1.0  # red, top left
    image[0, 1, 2:, 2:] = 1.0  # green, bottom right
    return image


def test_the_classifier_tells_of_each_cell_how_much_it_speaks_for_a_keyword() -> None:
    net = tiny()
    cells = net.classifier(net.trunk(picture())[-1])
    # bias 10: the red corner answers 1 more to keyword 0, the green one 1 less; nothing is blue
    assert cells[0].tolist() == [[[11, 10], [10, 9]], [[-10, -10], [-10, -10]]]
    assert torch.equal(cells.mean(dim=(2, 3)), net(picture()))


def test_logits_are_the_answers_averaged_over_the_picture() -> None:
    # keyword 0: (1 + 0 + 0 - 1) / 4 + 10; keyword 1: 0 - 10
    torch.testing.assert_close(tiny()(picture()), torch.tensor([[10.0, -10.0]]))


@pytest.mark.parametrize("trunk", ["tf_efficientnet_lite0", "resnet18"])
def test_features_have_stride_16(trunk: str) -> None:
    net = build_attention(trunk, 5).eval()
    with torch.no_grad():
        assert net.classifier(net.trunk(torch.rand(1, 3, 64, 96))[-1]).shape == (1, 5, 4, 6)
        assert net(torch.rand(2, 3, 64, 96)).shape == (2, 5)


def test_folding_changes_nothing_but_speed() -> None:
    torch.manual_seed(0)
    net = build_attention("tf_efficientnet_lite0", 3).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        plain, folded = net(x), copy.deepcopy(net).prepare_for_inference()(x)
    torch.testing.assert_close(folded, plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))


@pytest.mark.parametrize("trunk", ["no_such_network", "timm/resnet18"])
def test_unknown_trunk_is_refused(trunk: str) -> None:
    with pytest.raises(ValueError, match="unknown to timm"):
        build_attention(trunk, 2)
