"""Stage `s4 train`: S4Net on pictures with instance masks."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from pipelines.chain.findings import Seen
from pipelines.chain.stages.train import TrainStep
from pipelines.chain.stages.training import dry_run_training
from pipelines.config import TrainConfig
from pipelines.config.outputs import alone
from pipelines.config.paths import goes_on
from pipelines.config.recipes import TRAIN_SCHEDULES, TrainSchedule
from pipelines.config.setting import without_places
from pipelines.data.checking import check_pictures
from pipelines.data.coco import CocoPicture, load_coco
from pipelines.data.images import open_working_picture
from pipelines.data.transforms import to_network
from pipelines.engine.distributed import processes
from pipelines.engine.launch import launch, own_batch_size
from pipelines.engine.loop import train_loop
from pipelines.engine.loop_settings import LoopSettings, ParameterGroup, require_ready
from pipelines.engine.precision import autocast
from pipelines.engine.rehearsal import Pace, device_in_words, is_alone, rehearse
from pipelines.engine.resume import DATA, described_data
from pipelines.engine.run_dir import RunDir
from pipelines.engine.signals import StopRequest
from pipelines.engine.tensorboard import tensorboard
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import sha256_file
from pipelines.metrics.instance_ap import PictureDetections, coco_ap
from pipelines.metrics.plausibility import poor_instances
from pipelines.networks.build import new_s4net
from pipelines.networks.start import Start, read_start
from pipelines.pages.first_batch import Taught, instance_regions, leave_first_batch
from pipelines.pages.leave import leave_page
from pipelines.pages.result import REPORT
from pipelines.pages.runs import run_result
from pipelines.training.s4net_batches import Batch, S4NetBatches
from s4net import S4Net
from s4net.postprocess import to_picture

# An EfficientNet learns best when its pretrained trunk moves more slowly than the new layers.
_TRUNK_LR = 0.5


@alone
def train(config: TrainConfig, events: Events) -> dict[str, Any]:
    """Train S4Net.

    Args:
        config: Settings of `s4 train`.
        events: Receiver of progress and log lines.

    Returns:
        {run, steps, seconds, images_per_second, best {metric, value, step}, losses, warnings}. `warnings` tells of a
        network that is too poor to label with, as far as validation pictures show it. With `dry_run`: {run, images,
        steps} and what `pipelines.chain.dry_run.dry_run` returns.

    Raises:
        S4Error: Unusable input, a run that exists, divergence, or a stop by a signal.
    """
    if not config.dry_run:
        several = config.devices > 1
        result = launch(_train, config, config.devices, config.device, events) if several else _train(config, events)
        if config.report:
            told = [f"{warning['message']} [{warning['rule']}]" for warning in result["warnings"]]
            leave_page(config.run / REPORT, lambda: run_result(config.run, told), result["seconds"], events)
        return result
    return dry_run_training(TrainStep("train", 0, config), config.resume, training_pace, events)


def training_pace(config: TrainConfig, seen: Seen) -> Pace | None:
    """Measure a few steps of a training whose pictures were decoded already; None with several processes."""
    if not is_alone() or config.devices > 1:
        return None
    with TemporaryDirectory(prefix="s4-dry-run-") as folder:
        tried = replace(
            config, run=Path(folder, "run"), val_annotations=None, resume=False, dry_run=False, report=False
        )
        seconds = rehearse(lambda events: _train(tried, events, decoded=True))
    batch_size = TrainStep("train", 0, config).batch_size
    return Pace(seconds["train"], "step", batch_size, device_in_words(config.device))


def _train(config: TrainConfig, events: Events, decoded: bool = False) -> dict[str, Any]:
    """Train S4Net; `decoded` says that every picture was decoded before."""
    start = read_start(config)
    config = start.config if start else config
    begun = goes_on(config)
    pictures = load_coco(config.annotations, config.images, events)
    if not any(len(p.boxes) for p in pictures):
        raise InputError(f"{config.annotations}: no instance in {len(pictures)} pictures; check the file", "coco-empty")
    val = load_coco(config.val_annotations, config.images, events) if config.val_annotations else []
    if not decoded:
        check_pictures([p.path for p in pictures + val], config.workers)
    schedule = TRAIN_SCHEDULES[config.preset]
    settings = loop_settings(config, schedule)
    with processes(config.device) as here:
        net = first_network(config, start, begun).to(here.device).to(memory_format=torch.channels_last)
        groups = parameter_groups(net, schedule)
        require_ready(config.run, net, groups, settings)
        with StopRequest():  # from here on there is a run, which only a checkpoint lets go on
            run = RunDir.open(config.run, config, config.resume, here, start.record if start else None)
            if here.writes:
                events.attach(run.path / "log.txt")
            if config.val_annotations and not any(len(p.boxes) for p in val):
                found = f"{config.val_annotations}: no instance in {len(val)} pictures, one or more expected"
                events.warn(f"{found}; the last step counts as the best: check the file [coco-empty]")
            events.info(f"{len(pictures)} pictures, {sum(len(p.boxes) for p in pictures)} instances; {here.device}")
            if start is not None:
                events.info(f"fine-tunes {start.record['from']}")
            batches = S4NetBatches(pictures, config, settings.batch_size, here)
            if config.report and here.writes and not run.last.exists():
                leave_first_batch(run.path, lambda: taught(batches(0)), (), events)
            with tensorboard(run, config.tensorboard):
                result = train_loop(
                    net,
                    groups,
                    batches,
                    lambda model, batch: model(*to_device(batch, here.device)),
                    validator(val, config, here.device) if val else None,
                    settings,
                    run,
                    here,
                    {
                        "kind": "s4net",
                        "config": without_places(config),
                        DATA: described_data([p.image_id for p in pictures], sha256_file(config.annotations)),
                        **({"start": start.record} if start else {}),
                    },
                    events,
                    batches.pictures_of,
                )
        return {**result, "warnings": poor_instances(str(config.run), result["best"]["value"])}


def taught(batch: Batch) -> list[Taught]:
    """Return the pictures of a batch with their instances, numbered from 1, to be looked at."""
    images, targets = batch
    return [
        (image.permute(1, 2, 0).numpy(), instance_regions(target["masks"].numpy()))
        for image, target in zip(images, targets, strict=True)
    ]


def first_network(config: TrainConfig, start: Start | None, begun: bool) -> S4Net:
    """Return the network before the first step.

    Args:
        config: Settings, complete.
        start: The trained network to start from. None: the weights of `--trunk-weights`.
        begun: Whether the run has a checkpoint. The loop then loads all weights from there.

    Raises:
        S4Error: The weights cannot be had, or do not fit.
    """
    net = new_s4net(config, pretrained=start is None and not begun)
    if start is not None:
        start.load_into(net)
    return net


def loop_settings(config: TrainConfig, schedule: TrainSchedule) -> LoopSettings:
    """Return the loop's settings: the preset's schedule under the flags."""
    steps = config.steps or schedule.steps
    common: dict[str, Any] = {
        "steps": steps,
        "batch_size": own_batch_size(config.batch_size or schedule.batch_size, config.devices),
        "lr": config.lr or schedule.lr,
        "evaluate_every": config.evaluate_every or schedule.evaluate_every,
        "seed": config.seed,
        "precision": config.precision,
        "workers": config.workers,
        # The paper clips nothing. Without clipping, preset `paper` on EfficientNet-Lite0 diverges within 100 steps. Its
        # gradients have a norm of 10 to 19 at first, and of 3 to 9 after 2,000 steps.
        "clip_norm": 10.0,
        "checkpoint_at_start": config.start_from is not None,
    }
    if schedule.adamw:
        return LoopSettings(
            **common,
            optimizer="adamw",
            schedule="cosine",
            warmup=min(100, steps // 10),
            ema=0.998,
            evaluate_from=0.5,
        )
    return LoopSettings(**common, schedule="step", drops=schedule.drops)


def parameter_groups(net: S4Net, schedule: TrainSchedule) -> list[ParameterGroup]:
    """Split the parameters into trunk and new layers, weights with decay and biases without (as the released code)."""
    groups = []
    for parameters, scale in (
        (net.trunk_parameters(), _TRUNK_LR if schedule.adamw else 1.0),
        (net.new_parameters(), 1.0),
    ):
        weights = [p for p in parameters if p.ndim > 1]
        biases = [p for p in parameters if p.ndim <= 1]
        groups += [ParameterGroup(weights, scale, schedule.weight_decay), ParameterGroup(biases, scale)]
    return [group for group in groups if group.parameters]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on the device, images as float 0..1 in channels_last."""
    images, targets = batch
    if device.type == "cuda":
        images = images.pin_memory()  # only pinned memory can be copied in the background
    images = images.to(device, non_blocking=True).float().div_(255).contiguous(memory_format=torch.channels_last)
    return images, [{k: v.to(device, non_blocking=True) for k, v in target.items()} for target in targets]


def validator(
    pictures: list[CocoPicture], config: TrainConfig, device: torch.device
) -> Callable[[nn.Module], dict[str, float]]:
    """Return the function network -> COCO mask AP on `pictures`; it returns {} if they have no instance."""

    def evaluate(net: nn.Module) -> dict[str, float]:
        assert isinstance(net, S4Net)
        found = []
        for picture in pictures:
            pixels, working = open_working_picture(picture.path)
            image = to_network(pixels, config.image_size)
            batch, _ = to_device((image[None], []), device)
            with torch.inference_mode(), autocast(config.precision, device):
                raw = net.detect(batch)[0]
            instances = to_picture(raw, config.image_size, working.size, net.settings.mask_slack)
            rles = working.encode(instances.masks.cpu().numpy())
            found.append(PictureDetections(picture.image_id, instances.scores.cpu().numpy(), rles))
        figures = coco_ap(pictures, found)
        return {} if math.isnan(figures["ap50"]) else figures

    return evaluate
