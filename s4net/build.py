"""One builder for every S4Net: presets `paper`, `release` and `modern`, any trunk, any RoI layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from .anchors import AnchorGrid
from .detection_head import DetectionHead
from .fpn import FeaturePyramid
from .losses import (
    DetectionLoss,
    ModernDetectionLoss,
    PaperDetectionLoss,
    ReleaseDetectionLoss,
    mask_cross_entropy,
    mask_cross_entropy_and_dice,
)
from .mask_branch import MaskBranch
from .network import MaskLoss, S4Net, S4NetSettings
from .roi_masking import RoIMasking, RoiMode, RoIResampling
from .trunk import Trunk

Preset = Literal["paper", "release", "modern"]


@dataclass(frozen=True, kw_only=True)
class _Architecture:
    """The structure of a preset; its numbers are in `S4NetSettings`."""

    strides: tuple[int, ...]
    released: bool
    layout: Literal["paper", "release"]
    channels: int
    hidden: int
    freeze_below: int
    fine_masks: bool
    mask_width: int
    detection_loss: Callable[[], DetectionLoss]
    mask_loss: MaskLoss
    gaussian_init: bool
    settings: S4NetSettings


_PRESETS: dict[Preset, _Architecture] = {
    # The text of the paper; where it is silent, the released code.
    "paper": _Architecture(
        strides=(8, 16, 32),
        released=False,
        layout="paper",
        channels=256,
        hidden=512,
        freeze_below=0,
        fine_masks=False,
        mask_width=128,
        detection_loss=PaperDetectionLoss,
        mask_loss=mask_cross_entropy,
        gaussian_init=True,
        settings=S4NetSettings(positive_iou=0.5),
    ),
    # The code published by the authors.
    "release": _Architecture(
        strides=(4, 8, 16, 32),
        released=True,
        layout="release",
        channels=256,
        hidden=512,
        freeze_below=0,
        fine_masks=False,
        mask_width=128,
        detection_loss=ReleaseDetectionLoss,
        mask_loss=mask_cross_entropy,
        gaussian_init=True,
        settings=S4NetSettings(positive_iou=0.4),
    ),
    # The best that we can make of the idea at no more inference cost; docs/results.md has the gains.
    "modern": _Architecture(
        strides=(8, 16, 32),
        released=False,
        layout="release",
        channels=128,
        hidden=256,
        freeze_below=8,
        fine_masks=True,
        mask_width=64,
        detection_loss=ModernDetectionLoss,
        mask_loss=mask_cross_entropy_and_dice,
        gaussian_init=False,
        settings=S4NetSettings(
            positive_iou=0.45,
            negative_iou=0.35,
            force_best=True,
            box_jitter=0.2,
            box_copies=1,
            nms_iou=0.7,
            mask_trust=3.0,
            overlap_decay=1.5,
            mask_slack=0.2,
            saliency_weight=0.5,
        ),
    ),
}
PRESETS = tuple(_PRESETS)

TRUNKS = {
    "resnet50": "resnet50.tv_in1k",
    "resnet101": "resnet101.tv_in1k",
    "vgg16": "vgg16.tv_in1k",
    "mobilenet_v1": "mobilenetv1_100",
    "efficientnet_lite0": "tf_efficientnet_lite0",
}
"""timm's names of the paper's trunks (Table 3) and of the small one."""


def build_s4net(
    preset: Preset = "paper",
    trunk: str = "resnet50",
    trunk_state: dict[str, Tensor] | None = None,
    *,
    roi: RoiMode = "ternary",
    alpha: float = 1 / 3,
    mask_slack: float | None = None,
    proposals: int = 20,
    min_score: float = 0.0,
    wrap_ring: bool = False,
) -> S4Net:
    """Build an S4Net.

    Args:
        preset: "paper" (the text), "release" (the authors' code) or "modern" (ours).
        trunk: resnet50, resnet101, vgg16, mobilenet_v1, efficientnet_lite0 or timm/<name>; see `timm_name`.
        trunk_state: ImageNet weights of the trunk in timm's naming; None: random.
        roi: RoI layer before the mask branch (Table 1).
        alpha: Ring width as a share of the box side (Table 2).
        mask_slack: Share of the box side by which a mask may leave its box; None: the preset's.
        proposals: Boxes sent to the mask branch in evaluation.
        min_score: Boxes scored below do not reach the mask branch.
        wrap_ring: Reproduce the ring fault of the released code (preset "release", ternary).

    Raises:
        ValueError: Unknown preset, trunk or RoI layer, or trunk weights that do not fit.
    """
    if preset not in _PRESETS:
        raise ValueError(f"preset {preset!r} is unknown; take one of {', '.join(_PRESETS)}")
    arch = _PRESETS[preset]
    read = (4, *arch.strides) if arch.fine_masks else arch.strides
    body = Trunk(timm_name(trunk), read, trunk_state, arch.freeze_below)
    fpn = FeaturePyramid(body.channels[-len(arch.strides) :], arch.channels, normalise=not arch.gaussian_init)
    strides = (*arch.strides, arch.strides[-1] * 2)
    anchors = AnchorGrid(strides, [stride * 4 for stride in strides], released=arch.released)
    head = DetectionHead(arch.channels, arch.hidden, anchors.per_cell)
    slack = arch.settings.mask_slack if mask_slack is None else mask_slack
    if roi in ("roialign", "roipool"):
        slack = 0.0  # their maps end with the box
    roi_layer = _roi_layer(roi, alpha, slack, arch.released, wrap_ring)
    detail = body.channels[0] if arch.fine_masks else 0
    branch = MaskBranch(arch.channels, roi_layer, arch.layout, arch.released, detail, arch.mask_width)
    for part in (fpn, head, branch):
        part.apply(_gaussian if arch.gaussian_init else _variance_preserving)
    if not arch.gaussian_init:
        _start_small(head, branch)
    return S4Net(
        body,
        fpn,
        head,
        branch,
        anchors,
        arch.detection_loss(),
        arch.mask_loss,
        replace(arch.settings, mask_slack=slack, proposals=proposals, min_score=min_score),
        mask_level=strides.index(8),
    )


def _roi_layer(roi: RoiMode, alpha: float, slack: float, released: bool, wrap_ring: bool) -> RoIMasking | RoIResampling:
    """Return the layer of Table 1; arguments as those of `build_s4net` and of a preset."""
    if roi in ("roialign", "roipool"):
        return RoIResampling(roi)
    return RoIMasking(roi, alpha, slack, released, wrap_ring)


def timm_name(trunk: str) -> str:
    """Return timm's name of a trunk.

    Args:
        trunk: A name of `TRUNKS`, or timm/<name> for any other network of timm.

    Raises:
        ValueError: The trunk is neither.
    """
    if trunk.startswith("timm/"):
        return trunk.removeprefix("timm/")
    try:
        return TRUNKS[trunk]
    except KeyError:
        raise ValueError(f"trunk {trunk!r} is unknown; take one of {', '.join(TRUNKS)}, or timm/<name>") from None


def _gaussian(module: nn.Module) -> None:
    """Draw weights from N(0, 0.01^2) and set biases to zero, as in the released code."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _variance_preserving(module: nn.Module) -> None:
    """Draw weights that keep the size of features. Eight layers of N(0, 0.01^2) let next to no signal pass at first."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, a=1)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


@torch.no_grad()
def _start_small(head: DetectionHead, branch: MaskBranch) -> None:
    """Start with small predictors and an objectness of 0.01. Else thousands of negatives drown the first steps."""
    for predictor in (head.objectness, head.offsets, branch.logits):
        nn.init.normal_(predictor.weight, std=0.01)
    head.objectness.bias.fill_(-math.log((1 - 0.01) / 0.01))  # type: ignore[union-attr]
