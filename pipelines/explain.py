"""Stage `s4 explain`: the features around a box that a mask depends on (paper Sec. 3.4, Figs. 4 and 6).

Boxes come from the ground truth, and the loss is L_seg of their instances, as in the paper. `s4net.gradient_map` says
what is computed and what is exact about the result.

Three kinds of mask are compared: binary (box alone), expanded (box and ring alike) and ternary (ring with flipped
sign). The network of `--weights` was trained with one kind. The other two kinds are put into the same weights, which
never learned these kinds. `--compare` names a second network, trained with another kind. For that kind the second
network is shown. Figures and `explain.json` say which network is shown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config import ExplainConfig
from pipelines.config.outputs import alone
from pipelines.data.coco import CocoPicture, load_coco
from pipelines.data.images import open_working_picture
from pipelines.data.transforms import to_network
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError, InputError, nearest_name
from pipelines.events import Events
from pipelines.files import atomic_write, write_json
from pipelines.networks.load import S4NetPredictor, load_s4net
from pipelines.report.explain_figure import MaskKind, explain_figure
from pipelines.report.overlays import silhouettes
from s4net.gradient_map import InstanceGradients, Shares, gradient_map, gradient_shares, instance_gradients
from s4net.network import DenseOutput
from s4net.roi_masking import RoIMasking, RoiMode

_KINDS: tuple[RoiMode, ...] = ("binary", "expanded", "ternary")


@dataclass(frozen=True)
class _View:
    """One kind of mask, and the network that shows the kind."""

    kind: RoiMode
    run: Path
    network: S4NetPredictor
    trained_with: RoiMode

    @property
    def origin(self) -> str:
        """What is shown, for people."""
        if self.kind == self.trained_with:
            return f"{self.run.stem} as trained"
        return f"{self.run.stem}, masks swapped"

    @property
    def training(self) -> str:
        """How the network was trained, for people."""
        return f"{self.run.stem}: trained with {self.trained_with} masks"


@alone
def explain(config: ExplainConfig, events: Events) -> dict[str, Any]:
    """Draw gradient maps and measure where the gradient lies.

    Args:
        config: Settings of `s4 explain`.
        events: Receives progress.

    Returns:
        {images, instances, figures, out, shown {kind: network}, ring_cells, ring_share {kind: share},
        ring_share_outside_loss {kind: share}, mask_loss {kind: L_seg}}. Numbers are means over the instances of a
        picture, then over the pictures. Shares are 0..1, or NaN where no gradient was found. `ring_cells` is the share
        of the ring among the cells of box and ring together.

    Raises:
        InputError: Files are damaged, a picture does not exist, or a picture has no instance.
        ConfigError: A network has no RoIMasking, or two networks have the same kind of mask.
    """
    config = config.located(events.info)
    pictures = _chosen(config, load_coco(config.annotations, config.images, events))
    views = _views(config)
    if not (config.out / "explain.json").exists():  # shows from the first figure on that the figures are of s4
        write_json(config.out / "explain.json", {"pictures": []})
    records = []
    with events.progress(len(pictures), "pictures") as progress:
        drawn = _spread(len(pictures), config.figures)
        for number, picture in enumerate(pictures):
            (image, _), picture = open_working_picture(picture.path), picture.working()
            found = _gradients(picture, image, views)
            record = _record(picture, found)
            if number in drawn:
                record["figure"] = f"{picture.image_id}.png"
                ground = silhouettes(picture.masks()) if config.outlines else image
                _draw(config.out / record["figure"], picture, ground, views, found)
            records.append(record)
            progress.advance()
    return _result(config, views, records)


def _chosen(config: ExplainConfig, pictures: list[CocoPicture]) -> list[CocoPicture]:
    """Return the named pictures, or as many as `--count` says, spread evenly over the file."""
    if config.ids is None:
        usable = [picture for picture in pictures if len(picture.boxes)]
        if not usable:
            raise InputError(
                f"{config.annotations}: no instance in {len(pictures)} pictures, one or more expected; check the file",
                "coco-empty",
            )
        return [usable[i] for i in _spread(len(usable), config.count)]
    by_id = {picture.image_id: picture for picture in pictures}
    return [_named(config, by_id, image_id.strip()) for image_id in config.ids.split(",")]


def _spread(total: int, count: int) -> list[int]:
    """Return at most `count` indices below `total`, evenly spread, because a file is often sorted by source."""
    count = min(count, total)
    return [i * total // count for i in range(count)]


def _named(config: ExplainConfig, by_id: dict[str, CocoPicture], image_id: str) -> CocoPicture:
    if image_id not in by_id:
        near = nearest_name(image_id, by_id)
        hint = f"did you mean {near}?" if near else "ids are file names without suffix"
        raise InputError(
            f"--ids: {image_id!r} found, a picture of {config.annotations} expected; {hint}", "explain-picture"
        )
    if not len(by_id[image_id].boxes):
        raise InputError(
            f"{by_id[image_id].path}: no instance in {config.annotations}, one or more expected; name another picture",
            "explain-no-instance",
        )
    return by_id[image_id]


def _views(config: ExplainConfig) -> list[_View]:
    """Return every kind of mask with the network that shows the kind, in the order of the figure."""
    runs = [config.weights] if config.compare is None else [config.weights, config.compare]
    networks = [load_s4net(run, device=config.device, precision=config.precision) for run in runs]
    trained = [_trained_with(run, network) for run, network in zip(runs, networks, strict=True)]
    if len(set(trained)) < len(runs):
        raise ConfigError(
            f"--compare: {config.compare} was trained with {trained[0]} masks like {config.weights}, another kind "
            "expected; train one with --roi",
            "explain-compare",
        )
    shown_by = dict.fromkeys(_KINDS, 0) | {kind: number for number, kind in enumerate(trained)}
    return [_View(kind, runs[i], networks[i], trained[i]) for kind, i in shown_by.items()]


def _trained_with(run: Path, network: S4NetPredictor) -> RoiMode:
    layer = network.net.mask_branch.roi_layer
    if not isinstance(layer, RoIMasking):
        raise ConfigError(
            f"{run}: trained with RoIAlign or RoIPool, which crop; binary, expanded or ternary masks expected; "
            "train with another --roi",
            "explain-roi",
        )
    return layer.mode


def _gradients(picture: CocoPicture, image: NDArray[np.uint8], views: Sequence[_View]) -> list[InstanceGradients]:
    """Return the gradients of every view. Each network computes its dense output only once."""
    dense: dict[int, DenseOutput] = {}
    found = []
    for view in views:
        network = view.network
        if id(network) not in dense:
            dense[id(network)] = _dense(network, image)
        found.append(instance_gradients(network.net, dense[id(network)], _target(picture, network), view.kind))
    return found


def _dense(network: S4NetPredictor, image: NDArray[np.uint8]) -> DenseOutput:
    """Return the dense output for a picture in float32, because small gradients need that precision."""
    batch = to_network(image, network.image_size)[None].to(network.device).float() / 255
    with torch.no_grad(), autocast(network.precision, network.device):
        dense = network.net.dense(batch.contiguous(memory_format=torch.channels_last))
    detail = None if dense.detail is None else dense.detail.float()
    return dense._replace(levels=[level.float() for level in dense.levels], detail=detail)


def _target(picture: CocoPicture, network: S4NetPredictor) -> dict[str, torch.Tensor]:
    """Return the instances in network pixels: {boxes [N, 4] float32, masks [N, S, S] 0 or 1}."""
    size = network.image_size
    scale = np.array([size / picture.width, size / picture.height] * 2, dtype=np.float32)
    masks = to_network(np.ascontiguousarray(picture.masks().transpose(1, 2, 0)) * 255, size) > 127
    return {
        "boxes": torch.from_numpy(picture.boxes * scale).to(network.device),
        "masks": masks.to(torch.uint8).to(network.device),
    }


def _shares(found: InstanceGradients) -> Shares:
    return gradient_shares(gradient_map(found.gradients), found.zones, found.region)


def _record(picture: CocoPicture, found: Sequence[InstanceGradients]) -> dict[str, Any]:
    """Return the entry of one picture in `explain.json`."""
    ternary = found[-1].zones
    touched = (ternary != 0).sum(dim=(1, 2))
    ring_cells = ((ternary < 0).sum(dim=(1, 2)) / touched).mean()
    shares = {
        kind: {name: float(values.nanmean()) for name, values in _shares(of_kind)._asdict().items()}
        | {"loss": float(of_kind.losses.mean())}
        for kind, of_kind in zip(_KINDS, found, strict=True)
    }
    return {
        "image_id": picture.image_id,
        "instances": len(picture.boxes),
        "ring_cells": float(ring_cells),
        "figure": None,
        "shares": shares,
    }


def _draw(
    path: Path,
    picture: CocoPicture,
    image: NDArray[np.uint8],
    views: Sequence[_View],
    found: Sequence[InstanceGradients],
) -> None:
    """Write the figure of one picture, drawn over the given image [H, W, 3]."""
    kinds = [
        MaskKind(
            name=view.kind,
            origin=view.origin,
            maps=gradient_map(of_kind.gradients).cpu().numpy(),
            zones=of_kind.zones.cpu().numpy(),
            masks=of_kind.masks.cpu().numpy(),
            region=of_kind.region.cpu().numpy(),
            ring=_shares(of_kind).ring.cpu().numpy(),
            ring_outside_loss=_shares(of_kind).ring_outside_region.cpu().numpy(),
            features=of_kind.features.sum(dim=0).cpu().numpy(),
        )
        for view, of_kind in zip(views, found, strict=True)
    ]
    training = "   ".join(dict.fromkeys(view.training for view in views))
    png = explain_figure(image, picture.image_id, training, kinds)
    atomic_write(path, lambda file: file.write(png))


def _result(config: ExplainConfig, views: Sequence[_View], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Write `explain.json` and return a summary."""
    names = list(records[0]["shares"][_KINDS[0]])
    mean = {kind: {name: _mean([r["shares"][kind][name] for r in records]) for name in names} for kind in _KINDS}
    shown = {view.kind: f"{view.origin} ({view.training})" for view in views}
    counts = {"images": len(records), "instances": sum(record["instances"] for record in records)}
    figures = sum(record["figure"] is not None for record in records)
    sources = {"annotations": str(config.annotations), "weights": str(config.weights)}
    compare = None if config.compare is None else str(config.compare)
    ring_cells = _mean([record["ring_cells"] for record in records])
    content = {**sources, "compare": compare, "shown": shown, **counts, "ring_cells": ring_cells, "mean": mean}
    write_json(config.out / "explain.json", {**content, "pictures": records})
    return {
        **counts,
        "figures": figures,
        "out": config.out,
        "shown": shown,
        "ring_cells": ring_cells,
        "ring_share": {kind: mean[kind]["ring"] for kind in _KINDS},
        "ring_share_outside_loss": {kind: mean[kind]["ring_outside_region"] for kind in _KINDS},
        "mask_loss": {kind: mean[kind]["loss"] for kind in _KINDS},
    }


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the finite values; NaN where there is none."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan
