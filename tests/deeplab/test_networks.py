import copy
import math
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from deeplab import NETWORKS, DeepLab, build_deeplab, pixel_loss
from deeplab.build import build_classifier, load_trunk
from deeplab.large_fov import LargeFovHead, LargeFovTrunk
from deeplab.network import fold_batch_norm, hold_down

N = 4
TIMM_NAMES = {"efficientnet_lite0": "tf_efficientnet_lite0", "resnet101": "resnet101.tv_in1k"}


@pytest.fixture(scope="module")
def built() -> Callable[[str], DeepLab]:
    """A fresh copy of each network, with BatchNorm statistics that are not the trivial ones."""
    made: dict[str, DeepLab] = {}

    def get(network: str) -> DeepLab:
        if network not in made:
            torch.manual_seed(0)
            made[network] = build_deeplab(network, N)
            for module in made[network].modules():
                if isinstance(module, nn.BatchNorm2d):
                    assert module.running_mean is not None and module.running_var is not None
                    module.running_mean.uniform_(-0.2, 0.2)
                    module.running_var.uniform_(0.5, 1.5)
        return copy.deepcopy(made[network])

    return get


def spread(start: nn.Module, x: Tensor) -> int:
    """How many cells of the middle row of the output change when the middle pixel of the input does."""
    changed = x.clone()
    changed[..., x.shape[2] // 2, x.shape[3] // 2] += 1
    with torch.no_grad():
        difference = (start(changed) - start(x)).abs().sum(1)[0]
    return int((difference[difference.shape[0] // 2] > 0).sum())


@pytest.mark.parametrize("network", list(NETWORKS))
def test_a_crop_of_321_gives_41_cells(network: str, built: Callable[[str], DeepLab]) -> None:
    # stride 8: (321 - 1) / 8 + 1
    net = built(network).eval()
    assert net.output_stride == 8 and net.n_outputs == N
    with torch.no_grad():
        assert net(torch.rand(1, 3, 321, 33)).shape == (1, N, 41, 5)


def test_large_fov_has_the_published_layers() -> None:
    trunk, head = LargeFovTrunk(), LargeFovHead(21)
    convs = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    assert [c.dilation[0] for c in convs] == [1] * 10 + [2] * 3
    pools = [m for m in trunk.modules() if isinstance(m, nn.MaxPool2d)]
    assert [(p.kernel_size, p.stride, p.padding) for p in pools] == [(3, 2, 1)] * 3 + [(3, 1, 1)] * 2
    assert {name: tuple(p.shape) for name, p in head.named_parameters()} == {
        "fc6.weight": (1024, 512, 3, 3),
        "fc6.bias": (1024,),
        "fc7.weight": (1024, 1024, 1, 1),
        "fc7.bias": (1024,),
        "fc8.weight": (21, 1024, 1, 1),
        "fc8.bias": (21,),
    }
    assert head.fc6.dilation == head.fc6.padding == (12, 12)


def test_large_fov_takes_every_third_tap_and_fourth_channel_of_the_classifier() -> None:
    fc6 = torch.arange(49.0).view(1, 1, 7, 7).expand(4096, 512, 7, 7)
    fc7 = torch.arange(4096.0).view(1, 4096, 1, 1).expand(4096, 4096, 1, 1)
    bias = torch.arange(4096.0)
    state = {f"pre_logits.fc{i}.{k}": v for i, w in ((1, fc6), (2, fc7)) for k, v in (("weight", w), ("bias", bias))}
    head = LargeFovHead(2)
    assert not head.load_classifier({})
    assert head.load_classifier(state)
    assert head.fc6.weight[5, 7].tolist() == [[0, 3, 6], [21, 24, 27], [42, 45, 48]]
    assert head.fc7.weight[9, :3, 0, 0].tolist() == [0, 4, 8]
    assert head.fc7.bias is not None and head.fc7.bias[-1].item() == 4092


def test_dilation_is_applied(built: Callable[[str], DeepLab]) -> None:
    # One cell reaches those at -r, 0 and r of each rate: the centre and two for each of 6, 12, 18, 24 = 9 of 49.
    head = built("resnet101").head
    assert spread(lambda x: head([x]), torch.zeros(1, 2048, 49, 49)) == 9
    # conv5 of LargeFOV: three 3x3 of dilation 2 reach every second cell up to 6 away: 7.
    trunk = LargeFovTrunk()
    conv5 = nn.Sequential(*(trunk.get_submodule(f"features_{i}") for i in (24, 26, 28)))
    assert spread(conv5, torch.zeros(1, 512, 21, 21)) == 7
    last = built("resnet101").trunk.net.get_submodule("layer4.2.conv2")
    assert isinstance(last, nn.Conv2d) and last.dilation == (4, 4)


@pytest.mark.parametrize("network", ["efficientnet_lite0", "resnet101"])
def test_batch_norm_of_the_trunk_stays_frozen_in_training(network: str, built: Callable[[str], DeepLab]) -> None:
    net = built(network).train()
    norms = [m for m in net.trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    assert not any(p.requires_grad for m in norms for p in m.parameters())
    before = [m.running_mean.clone() for m in norms if m.running_mean is not None]
    with torch.no_grad():
        net(torch.rand(2, 3, 33, 33))
    after = [m.running_mean for m in norms if m.running_mean is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("network", list(NETWORKS))
def test_every_learning_parameter_is_in_one_group(network: str, built: Callable[[str], DeepLab]) -> None:
    net = built(network)
    trunk, new = list(map(id, net.trunk_parameters())), list(map(id, net.new_parameters()))
    assert len(set(trunk) | set(new)) == len(trunk) + len(new)
    assert set(trunk) | set(new) == {id(p) for p in net.parameters() if p.requires_grad}
    presence = [] if net.presence is None else net.presence.parameters()
    assert set(new) == {id(p) for part in (net.head.parameters(), presence) for p in part}


def test_head_layers_with_weights_learn_at_the_rate_of_the_trunk(built: Callable[[str], DeepLab]) -> None:
    net = built("vgg16")
    net._pretrained = ("fc6", "fc7")
    head = net.head
    assert isinstance(head, LargeFovHead)
    assert {id(p) for p in net.new_parameters()} == {id(p) for p in head.fc8.parameters()}
    assert {id(p) for p in head.fc6.parameters()} <= {id(p) for p in net.trunk_parameters()}


def test_first_stages_of_the_small_network_get_no_gradient(built: Callable[[str], DeepLab]) -> None:
    net = built("efficientnet_lite0").train()
    logits, shown = net(torch.rand(2, 3, 65, 65))
    (pixel_loss(logits, torch.randint(0, N, (2, 65, 65))) + shown.sum()).backward()
    with_gradient = {name for name, p in net.trunk.net.named_parameters() if p.grad is not None}
    stages = {name.split(".")[1] for name in with_gradient}
    assert stages == {"2", "3", "4", "5", "6"}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.new_parameters())


@pytest.mark.parametrize("network", list(NETWORKS))
def test_folding_changes_nothing_but_speed(network: str, built: Callable[[str], DeepLab]) -> None:
    net = built(network).eval()
    x = torch.rand(1, 3, 65, 65)
    with torch.no_grad():
        plain = net(x)
        folded = copy.deepcopy(net).prepare_for_inference()
        result = folded(x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert plain.std() > 0
    torch.testing.assert_close(result, plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))


@torch.no_grad()
@pytest.mark.parametrize("trunk", ["resnetv2_18", "res2net50_14w_8s", "mobilenetv1_100"])
def test_a_norm_that_is_not_right_behind_its_convolution_stays(trunk: str) -> None:
    # resnetv2 normalises first, res2net keeps convolutions and norms in two lists
    torch.manual_seed(0)
    net = timm.create_model(trunk, features_only=True, pretrained=False).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    x = torch.rand(1, 3, 64, 64)
    plain = net(x)
    fold_batch_norm(net)
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == (trunk != "mobilenetv1_100")
    for found, expected in zip(net(x), plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("network", "black", "white"), [("efficientnet_lite0", -127 / 128, 1), ("vgg16", -2.1179, 2.2489)]
)
def test_pictures_reach_the_trunk_in_its_own_range(
    network: str, black: float, white: float, built: Callable[[str], DeepLab]
) -> None:
    # ImageNet, red: (0 - .485) / .229 and (1 - .485) / .229
    normalise = built(network).trunk.normalise
    assert math.isclose(normalise(torch.zeros(1, 3, 1, 1))[0, 0].item(), black, rel_tol=1e-4)
    assert math.isclose(normalise(torch.ones(1, 3, 1, 1))[0, 0].item(), white, rel_tol=1e-4)
    assert not any("mean" == key.split(".")[-1] for key in built(network).state_dict())


@pytest.mark.parametrize("network", ["efficientnet_lite0", "resnet101"])
def test_weights_are_taken_by_timms_names(network: str) -> None:
    state = timm.create_model(TIMM_NAMES[network], pretrained=False).state_dict()  # the classifier is ignored
    net = build_deeplab(network, 2, state)
    own = net.trunk.net.state_dict()
    assert own and all(torch.equal(own[key], state[key]) for key in own)


def test_weights_of_vgg_are_taken_by_both_of_timms_spellings() -> None:
    trunk = LargeFovTrunk()
    flat = {name: torch.full_like(tensor, 0.5) for name, tensor in trunk.state_dict().items()}
    for state in (flat, {name.replace("features_", "features."): tensor for name, tensor in flat.items()}):
        fresh = LargeFovTrunk()
        load_trunk(fresh, state)
        assert all((tensor == 0.5).all() for tensor in fresh.state_dict().values())


def test_weights_that_do_not_fit_are_named() -> None:
    state = LargeFovTrunk().state_dict()
    with pytest.raises(ValueError, match=r"1 of 26 trunk weights are missing, first features_0\.bias"):
        load_trunk(LargeFovTrunk(), {name: t for name, t in state.items() if name != "features_0.bias"})
    with pytest.raises(ValueError, match=r"features_0\.bias has shape \[3\], expected \[64\]"):
        load_trunk(LargeFovTrunk(), state | {"features_0.bias": torch.zeros(3)})


def test_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="vgg16, resnet101, efficientnet_lite0"):
        build_deeplab("vgg", 2)


def test_a_class_that_the_picture_does_not_show_is_held_down() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    shown = torch.tensor([[0.0, -math.log(7)]])  # the first class with 1/2, the second with 1/8
    held = hold_down(logits, shown)
    expected = torch.tensor([1, 2 - math.log(2), 3 - math.log(8)]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(held, expected)


def test_presence_has_logits_of_its_own_in_training_and_holds_down_in_evaluation(
    built: Callable[[str], DeepLab],
) -> None:
    net, images = built("efficientnet_lite0"), torch.rand(2, 3, 65, 65)
    assert net.presence is not None
    with torch.no_grad():
        net.presence.bias.copy_(torch.tensor([9.0, -9.0, 9.0]))
        logits, shown = net.train()(images)
        assert logits.shape == (2, N, 9, 9) and shown.shape == (2, N - 1)
        held = net.eval()(images)
        plain = net.head(net.trunk(images))
    torch.testing.assert_close(held[:, [0, 1, 3]], plain[:, [0, 1, 3]], atol=0.05, rtol=0)
    assert (held[:, 2] < plain[:, 2] - 5).all()
    new = {id(parameter) for parameter in net.new_parameters()}
    assert id(net.presence.weight) in new and id(net.presence.bias) in new


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("network", ["efficientnet_lite0", "resnet101"])
def test_the_classifier_of_imagenet_is_timms_on_normalised_pictures(network: str) -> None:
    torch.manual_seed(0)
    net = timm.create_model(TIMM_NAMES[network], pretrained=False).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    images = torch.rand(2, 3, 64, 64)
    if network == "efficientnet_lite0":
        normalised = (255 * images - 127) / 128
    else:
        mean, std = ([[[x]] for x in values] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        normalised = (images - torch.tensor(mean)) / torch.tensor(std)
    expected = net(normalised)
    scale = float(expected.abs().max())
    torch.testing.assert_close(
        build_classifier(TIMM_NAMES[network], net.state_dict())(images) / scale, expected / scale, rtol=0, atol=1e-4
    )
