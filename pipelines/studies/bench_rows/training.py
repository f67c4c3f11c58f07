"""Rows of a training step: forward, backward and SGD on pictures with ten instances each."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.config import Precision, Preset
from pipelines.engine.precision import autocast
from pipelines.studies.bench_rows.comparison import Comparison, Row, Setup
from pipelines.studies.bench_rows.networks import freeze_batch_norm, random_boxes, random_s4net
from pipelines.studies.bench_rows.peers import MASK_RCNN, RETINANET, mask_rcnn, retinanet

_INSTANCES = 10
_MEDIAN_SIDE = 110
_TINY_LR = 1e-6  # the weights must not run away in hundreds of steps on the same noise
# Preset, what the row is called, arithmetic, memory layout, and whether the preset's early stages stay frozen.
_FORMS: tuple[tuple[Preset, str, Precision, torch.memory_format, bool], ...] = (
    ("paper", "fp32 NCHW", "fp32", torch.contiguous_format, False),
    ("paper", "fp32 channels_last", "fp32", torch.channels_last, False),
    ("paper", "bf16 channels_last", "bf16", torch.channels_last, False),
    ("modern", "fp32 channels_last, nothing frozen", "fp32", torch.channels_last, False),
    ("modern", "bf16 channels_last, early stages frozen", "bf16", torch.channels_last, True),
)

Losses = Callable[[], dict[str, Tensor]]


def compare_training(setup: Setup) -> Comparison:
    """Compare a training step of Mask R-CNN, RetinaNet and S4Net.

    All convolutions learn, unless a row says otherwise. BatchNorm is frozen in all networks, because S4Net always
    freezes it: a peer that did not would do more work.
    """
    images, targets = setup.noise(), _targets(setup)
    rows = []
    for name, build in ((MASK_RCNN, mask_rcnn), (RETINANET, retinanet)):
        model = freeze_batch_norm(build(setup))
        rows.append(_row(name, model, _peer_losses(model, list(images), targets), setup, "fp32"))
    for preset, form, precision, layout, frozen in _FORMS:
        if precision not in setup.precisions:
            continue
        net = random_s4net(setup, preset, setup.trunk).train().to(memory_format=layout)
        if not frozen:
            for module in net.modules():
                if isinstance(module, nn.Conv2d):
                    module.requires_grad_(True)
        losses = _s4net_losses(net, images.contiguous(memory_format=layout), targets)
        rows.append(_row(f"S4Net {preset} {setup.trunk}, {form}", net, losses, setup, precision))
    return Comparison(peer=MASK_RCNN, rows=rows)


def _row(name: str, model: nn.Module, losses: Losses, setup: Setup, precision: str) -> Row:
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=_TINY_LR, momentum=0.9)

    def step() -> None:
        with autocast(precision, setup.device):
            values = losses()
        total = values["total"] if "total" in values else torch.stack(list(values.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    facts = {"learning_parameters": sum(parameter.numel() for parameter in learning)}
    return Row(name=name, run=step, images=setup.batch, precision=precision, facts=facts)


def _peer_losses(model: nn.Module, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Losses:
    return lambda: model(images, targets)


def _s4net_losses(net: Any, images: Tensor, targets: list[dict[str, Tensor]]) -> Losses:
    return lambda: net(images, targets)


def _targets(setup: Setup) -> list[dict[str, Tensor]]:
    """Return for each picture ten boxes, their ellipses as masks [10, S, S], and labels for the peers."""
    place = torch.arange(setup.size, dtype=torch.float32) + 0.5
    targets = []
    for seed in range(setup.batch):
        boxes = random_boxes(_INSTANCES, setup.size, _MEDIAN_SIDE, seed)
        centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        x, y = (((place - centre[:, axis, None]) / half[:, axis, None]) ** 2 for axis in (0, 1))
        masks = (y[:, :, None] + x[:, None, :] <= 1).to(torch.uint8)
        labels = torch.ones(_INSTANCES, dtype=torch.int64)
        target = {"boxes": boxes, "labels": labels, "masks": masks}
        targets.append({key: value.to(setup.device) for key, value in target.items()})
    return targets
