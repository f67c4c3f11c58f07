import pytest
import timm
import torch
from torch import Tensor

from deeplab import build_deeplab
from deeplab.presence import PresenceHead


@pytest.fixture(scope="module")
def imagenet() -> torch.nn.Module:
    """timm's network, with BatchNorm statistics that are not the trivial ones."""
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    return net


def test_mean_and_maximum_are_two_witnesses() -> None:
    head = PresenceHead(1, 1, width=1)
    with torch.no_grad():
        head.expand.weight.fill_(2)
        head.expand.bias.fill_(1)
        head.classifier.weight.copy_(torch.tensor([[10.0, 1.0]]))  # of the mean, of the maximum
        head.classifier.bias.fill_(0.5)
    # 2 x + 1 within 0..6: 0, 1, 3, 6; mean 2.5, maximum 6
    shown = head(torch.tensor([-1.0, 0.0, 1.0, 9.0]).view(1, 1, 2, 2))
    assert shown.item() == pytest.approx(10 * 2.5 + 6 + 0.5)


@torch.no_grad()
def test_it_starts_as_what_imagenets_classifier_looks_at(imagenet: torch.nn.Module) -> None:
    head, features = PresenceHead(320, 2), torch.randn(2, 320, 3, 5)
    assert head.load_imagenet(imagenet.state_dict())
    wide: Tensor = imagenet.bn2(imagenet.conv_head(features))  # type: ignore[operator]  # its activation is in the norm
    assert 0 < wide.mean() < wide.max() <= 6
    torch.testing.assert_close(torch.relu(head.expand(features)).clamp(max=6), wide, rtol=1e-4, atol=1e-4)


def test_with_weights_of_imagenet_only_the_linear_layer_is_new(imagenet: torch.nn.Module) -> None:
    with_weights = build_deeplab("efficientnet_lite0", 3, imagenet.state_dict())
    trunk_alone = {name: t for name, t in imagenet.state_dict().items() if not name.startswith("conv_head")}
    for net, is_new in ((with_weights, False), (build_deeplab("efficientnet_lite0", 3, trunk_alone), True)):
        assert isinstance(net.presence, PresenceHead)
        new = {id(parameter) for parameter in net.new_parameters()}
        assert (id(net.presence.expand.weight) in new) == is_new
        assert (id(net.presence.expand.bias) in new) == is_new
        assert id(net.presence.classifier.weight) in new
