"""One name means one network to every command."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from deeplab import NETWORKS, AttentionNet
from deeplab.build import build_attention, build_classifier
from pipelines.config import AblateConfig, BenchConfig, PseudoLabelConfig, TrainConfig
from pipelines.config.trunks import TRUNK_NAMES
from pipelines.data.classes import ClassList
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.labels.attention import train_attention
from pipelines.labels.recognizer import open_recognizer
from pipelines.networks.build import new_s4net
from pipelines.networks.trunk_names import resolve_trunk
from s4net import S4Net
from s4net.build import TRUNKS

NAMES = [*TRUNKS, "timm/resnet18", "timm/mobilenetv3_small_050"]
LARGE = {"vgg16", "resnet101"}  # seconds to make
UNKNOWN = ["resnet5", "timm/nothing", "timm/", ""]
NOWHERE = Path("nowhere")


def s4net(trunk: str) -> S4Net:
    """The network of `train`."""
    return new_s4net(TrainConfig(images=NOWHERE, annotations=NOWHERE, run=NOWHERE, trunk=trunk, trunk_weights="none"))


def recognizer(trunk: str, weights: str = "none") -> nn.Module:
    """The classifier of `pseudo-label --recognise`."""
    paths = {"images": NOWHERE, "weights": NOWHERE, "out": NOWHERE}
    config = PseudoLabelConfig(**paths, keywords="", trunk=trunk, trunk_weights=weights, device="cpu")
    return open_recognizer(config).net


def attention(trunk: str) -> None:
    """The attention network of `pseudo-label`, which has nothing to learn from here."""
    train_attention({}, {}, ClassList.from_names(["cat"]), trunk, None, Events(), seed=0)


@pytest.mark.parametrize(
    "trunk", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in NAMES]
)
def test_train_and_pseudo_label_take_the_same_names_for_the_same_networks(
    trunk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def build(name: str, n_classes: int, state: dict[str, Tensor] | None) -> AttentionNet:
        made.append(build_attention(name, n_classes, state))
        return made[0]

    monkeypatch.setattr("pipelines.labels.attention.build_attention", build)
    monkeypatch.setattr(
        "pipelines.labels.attention.make_fast", lambda *_: None
    )  # it packs layers, which renames weights
    with pytest.raises(InputError, match="keywords-none"):
        attention(trunk)
    ours, theirs = (
        {name: tensor.shape for name, tensor in net.state_dict().items() if name.endswith("weight")}
        for net in (s4net(trunk).trunk.net, made[0].trunk.net)
    )
    # The first reads maps of stride 32 too, so that it has stages that the second lacks; the second has no BatchNorm.
    common = ours.keys() & theirs.keys()
    assert len(common) >= 10 and all(ours[name] == theirs[name] for name in common)


def test_the_recognizer_takes_the_name_of_a_trunk_and_its_weights(tmp_path: Path) -> None:
    state = timm.create_model("mobilenetv1_100", pretrained=False).state_dict()
    torch.save(state, tmp_path / "weights.pt")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = build_classifier("mobilenetv1_100", state)(images)
        found = recognizer("mobilenet_v1", str(tmp_path / "weights.pt"))(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)  # BatchNorm is folded


@pytest.mark.parametrize("trunk", UNKNOWN)
def test_train_and_pseudo_label_refuse_the_same_names_in_the_same_words(trunk: str) -> None:
    messages = set()
    for use in (s4net, recognizer, attention):
        with pytest.raises(ConfigError, match=r"no such network.*resnet50.*timm/<name>.*\[trunk-unusable\]") as refused:
            use(trunk)
        messages.add(str(refused.value))
    assert len(messages) == 1


@pytest.mark.parametrize("network", NETWORKS)
def test_each_network_of_deeplab_is_named_after_its_trunk(network: str) -> None:
    assert resolve_trunk(network) == TRUNKS[network]


def test_an_alias_is_not_the_network_that_timm_calls_so() -> None:
    # timm has an efficientnet_lite0 with other padding, for which there are other weights
    assert resolve_trunk("efficientnet_lite0") == "tf_efficientnet_lite0"
    assert resolve_trunk("timm/efficientnet_lite0") == "efficientnet_lite0"


def test_settings_know_the_names_without_the_library() -> None:
    assert tuple(TRUNKS) == TRUNK_NAMES


@pytest.mark.parametrize(
    ("trunk", "hint"),
    [("resnet5", "did you mean resnet50?"), ("timm/resnett18", "did you mean timm/resnet18?"), ("vgg", "vgg16?")],
)
def test_an_unknown_name_gets_the_nearest_one(trunk: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(hint)):
        resolve_trunk(trunk)


def test_an_unknown_name_is_told_with_the_settings() -> None:
    folders = {"images": NOWHERE, "annotations": NOWHERE, "test_annotations": NOWHERE, "out": NOWHERE}
    makers: list[Callable[[], object]] = [
        lambda: TrainConfig(images=NOWHERE, annotations=NOWHERE, trunk="resnet5"),
        lambda: PseudoLabelConfig(images=NOWHERE, trunk="resnet5"),
        lambda: BenchConfig(trunk="resnet5"),
        lambda: AblateConfig(table=1, **folders, trunk="resnet5"),
        lambda: AblateConfig(table=3, **folders, trunks="resnet50,resnet5"),
    ]
    for make in makers:
        with pytest.raises(ConfigError, match=r"--trunks? resnet5: .*did you mean resnet50\?.*\[trunk-unusable\]"):
            make()
