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
TIMM_NAMES = {
    "vgg16": "vgg16.tv_in1k",
    "resnet101": "resnet101.tv_in1k",
    "efficientnet_lite0": "tf_efficientnet_lite0",
}
"""timm's name of each network's trunk, and so of the ImageNet weights that fit it."""

# Up to stride 4: generic filters, and the largest maps to go back through.
_LITE0_FROZEN = ("conv_stem", "bn1", "blocks.0", "blocks.1")


def build_deeplab(network: str, n_outputs: int, trunk_state: TrunkState | None = None) -> DeepLab:
    """A DeepLab with a new head.

    Args:
        network: One of `NETWORKS`.
        n_outputs: Classes with the background, 2 or more.
        trunk_state: ImageNet weights in timm's naming; those of the classifier may be there. None: random.

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
    pretrained = ("fc6", "fc7") if state is not None and head.load_classifier(state) else ()
    return DeepLab(FrozenTrunk(trunk, Normalise(*_IMAGENET)), head, 8, n_outputs, pretrained)


def _resnet101(n_outputs: int, state: TrunkState | None) -> DeepLab:
    trunk, channels = _timm_trunk(TIMM_NAMES["resnet101"], 8, [8], state)
    return DeepLab(FrozenTrunk(trunk, Normalise(*_IMAGENET)), AsppSum(channels[-1], n_outputs), 8, n_outputs)


def _efficientnet_lite0(n_outputs: int, state: TrunkState | None) -> DeepLab:
    trunk, (fine, coarse) = _timm_trunk(TIMM_NAMES["efficientnet_lite0"], 16, [8, 16], state)
    frozen = FrozenTrunk(trunk, Normalise(*_LITE0), _LITE0_FROZEN)
    return DeepLab(frozen, CompactHead(fine, coarse, n_outputs), 8, n_outputs, presence_channels=coarse)


NETWORKS: dict[str, Callable[[int, TrunkState | None], DeepLab]] = {
    "vgg16": _large_fov,
    "resnet101": _resnet101,
    "efficientnet_lite0": _efficientnet_lite0,
}
"""The builders by name: DeepLab-LargeFOV, DeepLab v2, and a small one for processors."""


def build_attention(trunk: str, n_classes: int, trunk_state: TrunkState | None = None) -> AttentionNet:
    """The classifier whose maps locate keywords, at output stride 16.

    Args:
        trunk: `efficientnet_lite0`, `resnet101`, `vgg16`, or any name of timm, with or without `timm/`.
        n_classes: Keywords, without background.
        trunk_state: As in `build_deeplab`.

    Raises:
        ValueError: The trunk is unknown or has no map of stride 16, or the weights do not fit.
    """
    name = TIMM_NAMES.get(trunk, trunk.removeprefix("timm/"))
    net, channels = _timm_trunk(name, 16, [16], trunk_state)
    lite0 = name == TIMM_NAMES["efficientnet_lite0"]
    constants = _LITE0 if lite0 else _timm_constants(name)
    return AttentionNet(
        FrozenTrunk(net, Normalise(*constants), _LITE0_FROZEN if lite0 else ()), channels[-1], n_classes
    )


def build_classifier(trunk: str, state: TrunkState | None) -> nn.Module:
    """ImageNet's own classifier, ready for inference: images [B, 3, H, W] float 0..1 -> logits [B, 1000].

    Args:
        trunk: As in `build_attention`.
        state: Its weights in timm's naming, with those of the classifier.

    Raises:
        ValueError: The trunk is unknown, or the weights are not those of its classifier.
    """
    name = TIMM_NAMES.get(trunk, trunk.removeprefix("timm/"))
    if not timm.is_model(name):
        raise ValueError(f"trunk {name!r} is unknown to timm")
    net: nn.Module = timm.create_model(name, pretrained=False)
    try:
        net.load_state_dict(state or {})
    except RuntimeError as error:
        raise ValueError(f"no weights of the classifier of {name}") from error
    constants = _LITE0 if name == TIMM_NAMES["efficientnet_lite0"] else _timm_constants(name)
    whole = nn.Sequential(Normalise(*constants), net)
    prepare_for_inference(whole)
    return whole


def load_trunk(trunk: nn.Module, state: TrunkState | None) -> None:
    """Copies ImageNet weights into a trunk; None leaves it as it is.

    Args:
        trunk: Its parameters are named as in timm's `features_only` networks.
        state: Named as in timm, with or without `features_only`; names that the trunk lacks (a classifier) are ignored.

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
    """A timm network of at most this output stride, giving the last map of each stride in `maps`; its channels."""
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


def _timm_constants(name: str) -> _Constants:
    config = timm.get_pretrained_cfg(name)
    return _IMAGENET if config is None else (tuple(config.mean), tuple(config.std))
