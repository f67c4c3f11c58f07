"""The networks that are timed: S4Net with random or trained weights, and boxes like those of real pictures.

The values of the weights decide how many boxes are found, and how large they are; on nothing else does speed depend.
Random networks are therefore given boxes. Their own proposals are decoded, sorted and suppressed as always, and then
exchanged for as many boxes as a row asks for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.config import Preset, TrainConfig, to_json
from pipelines.engine.checkpoint import save_checkpoint, weights_file
from pipelines.networks.build import new_s4net
from pipelines.networks.load import load_s4net
from pipelines.networks.network_file import s4net_checkpoint
from pipelines.studies.bench_rows.comparison import Setup
from s4net import S4Net

ACCURACY = "ap50"
"""The score of a trained network: that of its best checkpoint on the val pictures of its training."""

MEDIAN_SIDES = {"small": 60, "medium": 110, "large": 190}
"""Median box side in pixels of a picture of side 320."""

_MOST = 100
_SPREAD = 0.4  # standard deviation of the logarithm of a box's side
_STRETCH = 0.25  # standard deviation of the logarithm of width / height


def random_boxes(count: int, size: int, median: float, seed: int = 0) -> Tensor:
    """Draw boxes of log-normal sizes anywhere in a picture.

    Args:
        count: Number of boxes, at most 100; a smaller number gives the first ones of a larger number.
        size: Side of the picture in pixels.
        median: Median side of a box (square root of its area) in a picture of side 320.
        seed: Seed of the random numbers.

    Returns:
        [count, 4] float32 xyxy in pixels, inside the picture, no side shorter than 4 pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers, places = torch.randn(_MOST, 2, generator=generator), torch.rand(_MOST, 2, generator=generator)
    side, ratio = median * size / 320 * (_SPREAD * numbers[:, 0]).exp(), (_STRETCH * numbers[:, 1] / 2).exp()
    sides = torch.stack([side * ratio, side / ratio], dim=1).clamp(4, size)
    low = places * (size - sides)
    return torch.cat([low, low + sides], dim=1)[:count]


@torch.no_grad()
def settle_batch_norm(model: nn.Module, *inputs: Any) -> None:
    """Give every BatchNorm the statistics of one forward pass, so that random weights keep activations in bounds.

    Args:
        model: Changed in place, and left in evaluation mode.
        inputs: Inputs of the forward pass.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # the running statistics become those of this pass
    model(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def freeze_batch_norm(model: nn.Module) -> nn.Module:
    """Set training mode in place, with BatchNorm as in S4Net: fixed statistics and no gradient."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.requires_grad_(False)
    return model


def random_config(setup: Setup, preset: Preset, trunk: str) -> TrainConfig:
    """Return the settings of a network with random weights."""
    nowhere = Path("random")
    return TrainConfig(
        images=nowhere,
        annotations=nowhere,
        run=nowhere,
        preset=preset,
        trunk=trunk,
        trunk_weights="none",
        image_size=setup.size,
    )


def random_s4net(setup: Setup, preset: Preset, trunk: str) -> S4Net:
    """Build an S4Net in evaluation mode, with random weights that keep the size of the signal.

    Raises:
        ConfigError: The trunk is unknown.
    """
    net = new_s4net(random_config(setup, preset, trunk), pretrained=False).to(setup.device)
    with torch.no_grad():
        for part in (net.fpn, net.head, net.mask_branch):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_uniform_(module.weight, a=1)
        # Offsets of a trained network are small; those of random weights would throw boxes anywhere.
        net.head.offsets.weight.mul_(0.1)
    settle_batch_norm(net.trunk, setup.noise(2))
    return net.eval()


def reference_form(net: S4Net) -> S4Net:
    """Set the reference form in place: whole maps for every box, separate BatchNorm layers, NCHW."""
    net.mask_branch.windowed = False
    return net.eval()


def give_boxes(net: S4Net, median: float, size: int, pictures: int) -> None:
    """Make a random network exchange its proposals, once they are selected, for `random_boxes`.

    A picture gets as many boxes as the setting `proposals` says, with scores from 0.9 downwards.

    Args:
        net: Changed in place.
        median: See `random_boxes`.
        size: See `random_boxes`.
        pictures: Most pictures in a call.
    """
    select, device = net.propose, net.trunk.mean.device
    # They are made outside of `propose`, because that call is timed.
    boxes = torch.stack([random_boxes(_MOST, size, median, seed) for seed in range(pictures)]).to(device)
    scores = torch.linspace(0.9, 0.4, _MOST, device=device).expand(pictures, _MOST)

    def propose(*selected_from: Any) -> tuple[Tensor, Tensor]:
        batch, count = len(select(*selected_from)[0]), net.settings.proposals
        return boxes[:batch, :count], scores[:batch, :count]

    net.propose = propose  # type: ignore[method-assign, assignment]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An S4Net to time.

    Attributes:
        name: Start of the names of its rows.
        make: Builds the network anew, in evaluation mode and not prepared for inference.
        pictures: [N, 3, S, S] in 0..1 to time it on, N a multiple of the batch.
        few: The settings with which few boxes reach the mask branch, and how row names call that.
        facts: Further keys of its rows.
    """

    name: str
    make: Callable[[], S4Net]
    pictures: Tensor
    few: tuple[dict[str, Any], str]
    facts: dict[str, Any]


def random_subject(setup: Setup, preset: Preset, trunk: str) -> Subject:
    """Return an S4Net with random weights and medium boxes.

    Few boxes are 3 here: a score gate leaves as many in a typical picture.
    """

    def make() -> S4Net:
        net = random_s4net(setup, preset, trunk)
        give_boxes(net, MEDIAN_SIDES["medium"], setup.size, setup.batch)
        return net

    return Subject(
        name=f"S4Net {preset} {trunk}", make=make, pictures=setup.noise(), few=({"proposals": 3}, "3 boxes"), facts={}
    )


def trained_config(weights: Path) -> TrainConfig:
    """Return the settings with which a network was trained.

    Raises:
        InputError: There is no checkpoint, or one of another kind.
    """
    load_s4net(weights, device="cpu")  # says what is wrong with a file
    return s4net_checkpoint(weights_file(weights))[0]


def trained_subject(setup: Setup, weights: Path, pictures: Tensor) -> Subject:
    """Return a trained S4Net on real pictures; few boxes are those above a score.

    Raises:
        InputError: There is no checkpoint, or one of another kind.
    """
    config, content = s4net_checkpoint(weights_file(weights))

    def make() -> S4Net:
        net = new_s4net(config, pretrained=False)
        net.load_state_dict(content["model"])
        return net.to(setup.device).eval()

    return Subject(
        name=f"{weights.name if weights.is_dir() else weights.stem} ({config.preset}, {config.trunk})",
        make=make,
        pictures=pictures,
        few=({"min_score": 0.3}, "scores from 0.3"),
        facts={"accuracy": content.get("metrics", {}).get(ACCURACY)},
    )


@torch.no_grad()
def save_random(setup: Setup, pictures: Tensor, proposals: int, paths: Mapping[int, Path]) -> None:
    """Write checkpoints of random weights that find confident boxes of about the medium size in every picture.

    Args:
        setup: What all rows share.
        pictures: [N, 3, S, S] in 0..1 on which the sizes of the boxes are measured.
        proposals: Number of boxes of each picture that are measured.
        paths: Number of proposals -> file; the weights of all files are the same.
    """
    net = random_s4net(setup, setup.preset, setup.trunk)
    objectness, offsets, masks = net.head.objectness, net.head.offsets, net.mask_branch.logits
    assert objectness.bias is not None and offsets.bias is not None and masks.bias is not None
    objectness.weight.mul_(0.05)
    objectness.bias.fill_(3.0)
    background, foreground = masks.bias.chunk(2)
    background.zero_()
    foreground.fill_(1.0)
    net.settings = replace(net.settings, proposals=proposals)
    for _ in range(4):  # boxes of another size overlap differently, so that other boxes survive suppression
        boxes = torch.cat([net.detect(picture[None])[0].boxes for picture in pictures])
        median = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt().median()
        # Width and height are the last two of an anchor's four offsets, as logarithms.
        offsets.bias.view(-1, 4)[:, 2:] += (MEDIAN_SIDES["medium"] * setup.size / 320 / median).log()
    for count, path in paths.items():
        config = replace(random_config(setup, setup.preset, setup.trunk), proposals=count)
        save_checkpoint(path, {"kind": "s4net", "config": to_json(config), "model": net.state_dict()})
