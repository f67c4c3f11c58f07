"""The published variants by name."""

from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

from deeplab.aspp import AsppSum, CompactHead
from deeplab.attention import AttentionNet
from deeplab.large_fov import LargeFovHead, LargeFovTrunk
from deeplab.network import DeepLab, FrozenTrunk, Normalise, prepare_for_inference

TrunkState = dict[str, Tensor]
_Constants = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of R, G, B in 0..1

_IMAGENET: _Constants = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LITE0: _Constants = ((127 / 255,) * 3, (128 / 255,) * 3)  # (x - 127) / 128 of values 0..255

PRETRAINED_HEADS: dict[str, tuple[str, ...]] = {"vgg16": ("fc6", "fc7")}
"""For a network, the layers of the head that weights with ImageNet's classifier fill too."""

_LITE0_NAME = "tf_efficientnet_lite0"  # timm's
# Up to stride 4: generic filters, and the largest maps to go back through.
_LITE0_FROZEN = ("conv_stem", "bn1", "blocks.0", "blocks.1")


def build_deeplab(network: str, n_outputs: int, trunk_state: TrunkState | None = None) -> DeepLab:
    """Build a DeepLab with a new head.

    Args:
        network: One of `NETWORKS`.
        n_outputs: Classes with the background, 2 or more.
        trunk_state: ImageNet weights of the trunk in timm's naming, with or without the classifier. None: random.

    Raises:
        ValueError: The network is unknown, or the weights do not fit.
    """
    try:
        build = NETWORKS[network]
    except KeyError:
        raise ValueError(f"network {network!r} is unknown, expected one of {', '.join(NETWORKS)}") from None
    return build(n_outputs, trunk_state)


def _large_fov(n_outputs: int, state: TrunkState | None) -> DeepLab:
    trunk, head = LargeFovTrunk(), LargeFovHead(n_outputs)
    load_trunk(trunk, state)
    pretrained = PRETRAINED_HEADS["vgg16"] if state is not None and head.load_classifier(state) else ()
    return DeepLab(FrozenTrunk(trunk, Normalise(*_IMAGENET)), head, 8, n_outputs, pretrained)


def _resnet101(n_outputs: int, state: TrunkState | None) -> DeepLab:
    trunk, channels = _timm_trunk("resnet101", 8, [8], state)
    return DeepLab(FrozenTrunk(trunk, Normalise(*_IMAGENET)), AsppSum(channels[-1], n_outputs), 8, n_outputs)


def _efficientnet_lite0(n_outputs: int, state: TrunkState | None) -> DeepLab:
    trunk, (fine, coarse) = _timm_trunk(_LITE0_NAME, 16, [8, 16], state)
    frozen = FrozenTrunk(trunk, Normalise(*_LITE0), _LITE0_FROZEN)
    return DeepLab(frozen, CompactHead(fine, coarse, n_outputs), 8, n_outputs, presence_channels=coarse)


NETWORKS: dict[str, Callable[[int, TrunkState | None], DeepLab]] = {
    "vgg16": _large_fov,
    "resnet101": _resnet101,
    "efficientnet_lite0": _efficientnet_lite0,
}
"""The builders by name: DeepLab-LargeFOV, DeepLab v2, and a small one for processors."""


def build_attention(trunk: str, n_classes: int, trunk_state: TrunkState | None = None) -> AttentionNet:
    """Build the classifier whose maps locate keywords, at output stride 16.

    Args:
        trunk: timm's name of a network.
        n_classes: Keywords, without background.
        trunk_state: As in `build_deeplab`.

    Raises:
        ValueError: The trunk is unknown or has no map of stride 16, or the weights do not fit.
    """
    net, channels = _timm_trunk(trunk, 16, [16], trunk_state)
    frozen = _LITE0_FROZEN if trunk == _LITE0_NAME else ()
    return AttentionNet(FrozenTrunk(net, Normalise(*_constants(trunk)), frozen), channels[-1], n_classes)


def build_classifier(trunk: str, state: TrunkState | None) -> nn.Module:
    """Build ImageNet's own classifier, ready for inference: images [B, 3, H, W] float 0..1 -> logits [B, 1000].

    Args:
        trunk: As in `build_attention`.
        state: Weights of the trunk and its classifier in timm's naming.

    Raises:
        ValueError: The trunk is unknown, or the weights are not those of its classifier.
    """
    if not timm.is_model(trunk):
        raise ValueError(f"trunk {trunk!r} is unknown to timm")
    net: nn.Module = timm.create_model(trunk, pretrained=False)
    try:
        net.load_state_dict(state or {})
    except RuntimeError as error:
        raise ValueError(f"no weights of the classifier of {trunk}") from error
    whole = nn.Sequential(Normalise(*_constants(trunk)), net)
    prepare_for_inference(whole)
    return whole


def load_trunk(trunk: nn.Module, state: TrunkState | None) -> None:
    """Copy ImageNet weights into a trunk; None leaves it as it is.

    Args:
        trunk: A network whose parameters are named as in timm's `features_only` networks.
        state: Weights named as in timm, with or without `features_only`. Those that the trunk lacks are ignored, as of
            a classifier.

    Raises:
        ValueError: A tensor is missing or has another shape.
    """
    if state is None:
        return
    # timm flattens `features.0` to `features_0` where it cuts a sequential network into stages
    given = {name.replace("features.", "features_", 1): tensor for name, tensor in state.items()}
    own = trunk.state_dict()
    absent = [name for name in own if name not in given]
    if absent:
        raise ValueError(f"{len(absent)} of {len(own)} trunk weights are missing, first {absent[0]}")
    for name, tensor in own.items():
        if given[name].shape != tensor.shape:
            raise ValueError(f"trunk weight {name} has shape {list(given[name].shape)}, expected {list(tensor.shape)}")
    trunk.load_state_dict({name: given[name] for name in own})


def _timm_trunk(name: str, stride: int, maps: Sequence[int], state: TrunkState | None) -> tuple[nn.Module, list[int]]:
    """Return a timm network of at most this output stride, and the channels of its maps.

    Args:
        name: timm's.
        stride: Largest output stride.
        maps: Strides; of each, the network gives the last map.
        state: As in `load_trunk`.
    """
    if not timm.is_model(name):
        raise ValueError(f"trunk {name!r} is unknown to timm")
    options: dict[str, Any] = {} if name.startswith("vgg") else {"output_stride": stride}
    with torch.device("meta"):  # without weights: only to see its maps
        whole: Any = timm.create_model(name, features_only=True, pretrained=False, **options)
    strides = whole.feature_info.reduction()
    absent = [wanted for wanted in maps if wanted not in strides]
    if absent:
        raise ValueError(f"trunk {name} has maps of stride {strides}, expected {absent}")
    last = [len(strides) - 1 - strides[::-1].index(wanted) for wanted in maps]
    net: Any = timm.create_model(name, features_only=True, pretrained=False, out_indices=last, **options)
    load_trunk(net, state)
    return net, list(net.feature_info.channels())


def _constants(name: str) -> _Constants:
    """Return mean and standard deviation of the pictures that a timm network was trained on."""
    if name == _LITE0_NAME:
        return _LITE0
    config = timm.get_pretrained_cfg(name)
    return _IMAGENET if config is None else (tuple(config.mean), tuple(config.std))
