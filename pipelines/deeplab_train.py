"""Stage `s4 deeplab-train`: trains a semantic segmentation network on pseudo labels or ground truth."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import nn

from deeplab import PRETRAINED_HEADS, DeepLab, MultiScale, predict_probabilities
from pipelines.chain.findings import Seen
from pipelines.chain.stages.deeplab_train import DeepLabTrainStep
from pipelines.chain.stages.training import dry_run_training
from pipelines.config import DeepLabTrainConfig
from pipelines.config.outputs import alone
from pipelines.config.paths import goes_on
from pipelines.config.recipes import NETWORK_RECIPES, DeepLabRecipe, deeplab_recipe
from pipelines.config.setting import LEFT_TO_COMMAND, without_places
from pipelines.data.checking import require_same_size
from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes
from pipelines.data.images import find_image_files, open_working_picture
from pipelines.data.label_crops import LabelledPictures, reduced_size
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.label_maps import read_palette_map, tell_reading
from pipelines.data.label_summary import manifest_line, pictures_by_class, summary_line
from pipelines.data.notes import Notes
from pipelines.data.picture_folders import find_pictures
from pipelines.data.record_files import RECORDS, read_records
from pipelines.data.review import review_sha256
from pipelines.data.shown_classes import require_classes
from pipelines.data.stand_in_labels import write_stand_ins
from pipelines.data.voc import image_path, read_id_list, read_split, truth_path
from pipelines.engine.checkpoint import load_checkpoint
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
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.journal import Journal
from pipelines.metrics.confusion import ConfusionMatrix
from pipelines.metrics.plausibility import Warnings, empty_labels, unlabelled_classes
from pipelines.networks.build import new_deeplab
from pipelines.pages.first_batch import Taught, leave_first_batch
from pipelines.pages.leave import leave_page
from pipelines.pages.result import REPORT
from pipelines.pages.runs import run_result
from pipelines.stores.paths import is_file
from pipelines.training.deeplab_batches import SOFT, Batch, DeepLabBatches, losses

# A short training takes what it doubts for background, and `soft` makes that worse. After 300 steps on generated scenes
# `balanced` was 6 points better (docs/experiments/demo.md). `soft` was measured on photographs from 750 steps on.
LONG_TRAINING = 500
_NEW_LAYERS_LR = 10.0  # learning rate of the new layers, that of the trunk being 1
_VAL_SPLIT = "val"


@alone
def deeplab_train(config: DeepLabTrainConfig, events: Events) -> dict[str, Any]:
    """Train a DeepLab.

    Args:
        config: Settings of `s4 deeplab-train`.
        events: Receives progress and log lines. One line tells what the labels are. The log of the run has their
            manifest besides.

    Returns:
        {run, steps, seconds, images_per_second, best {metric, value, step}, losses, warnings}. `warnings` tells of
        labels that teach too little, see `pipelines.metrics.plausibility`. With `dry_run`: {run, images, steps} and
        what `pipelines.chain.dry_run.dry_run` returns.

    Raises:
        S4Error: The input is unusable, the run exists, the training diverged, or a signal stopped it.
    """
    config = config.located(events.info)
    if not config.dry_run:
        several = config.devices > 1
        result = launch(_train, config, config.devices, config.device, events) if several else _train(config, events)
        if config.report:
            told = [f"{warning['message']} [{warning['rule']}]" for warning in result["warnings"]]
            leave_page(config.run / REPORT, lambda: run_result(config.run, told), result["seconds"], events)
        return result
    return dry_run_training(DeepLabTrainStep("deeplab-train", 0, config), config.resume, deeplab_pace, events)


def deeplab_pace(config: DeepLabTrainConfig, seen: Seen) -> Pace | None:
    """Measure a few steps of a training; None with several processes, or if no picture can be used.

    Labels that are still to be made are replaced by some without meaning, of the same pictures.
    """
    if not is_alone() or config.devices > 1:
        return None
    with TemporaryDirectory(prefix="s4-dry-run-") as folder:
        tried = replace(config, run=Path(folder, "run"), val_voc=None, resume=False, dry_run=False, report=False)
        if not config.labels.is_dir():
            if not seen.files or seen.classes is None:
                return None
            tried = replace(tried, labels=Path(folder, "labels"), list=None, classes=None, least_confidence=0.0)
            write_stand_ins(tried.labels, seen.classes, seen.files)
        seconds = rehearse(lambda events: _train(tried, events))
    batch_size = config.batch_size or deeplab_recipe(config.network, config.recipe).batch_size
    return Pace(seconds["train"], "step", batch_size, device_in_words(config.device))


def _train(config: DeepLabTrainConfig, events: Events) -> dict[str, Any]:
    labels = _open_labels(config)
    config = replace(config, loss=chosen_loss(config, labels))
    pictures = training_pictures(config, labels, events)
    warnings = label_warnings(labels, pictures)
    validate = validator(config, labels.classes) if config.val_voc else None
    recipe = deeplab_recipe(config.network, config.recipe)
    settings = loop_settings(config, recipe)
    with processes(config.device) as here:
        net = first_network(config, labels.classes, recipe).to(here.device).to(memory_format=torch.channels_last)
        groups = parameter_groups(net, recipe)
        require_ready(config.run, net, groups, settings)
        with StopRequest():  # from here on there is a run, which only a checkpoint lets go on
            run = RunDir.open(config.run, config, config.resume, here)
            if here.writes:
                events.attach(run.path / "log.txt")
            _describe(config, labels, pictures, warnings, events)
            batches = DeepLabBatches(pictures, config, settings.batch_size, here)
            if config.report and here.writes and not run.last.exists():
                leave_first_batch(run.path, lambda: taught(batches(0)), labels.classes.names, events)
            with tensorboard(run, config.tensorboard):
                result = train_loop(
                    net,
                    groups,
                    batches,
                    lambda model, batch: losses(model, batch, here.device, config.loss, recipe.at_cells),
                    None if validate is None else lambda model: validate(model, here.device),
                    settings,
                    run,
                    here,
                    identity(config, labels.classes) | {DATA: data_of(labels, pictures)},
                    events,
                    batches.pictures_of,
                )
        return {**result, "warnings": warnings}


def first_network(config: DeepLabTrainConfig, classes: ClassList, recipe: DeepLabRecipe) -> DeepLab | MultiScale:
    """Return the network before the first step; of a run that has a checkpoint, the loop loads all weights from there.

    Layers of the head that the weights of `--trunk-weights` filled learn at another rate. Whether they were filled, the
    groups of the checkpoint's optimiser tell.

    Raises:
        S4Error: The weights cannot be had, do not fit, or the checkpoint is damaged.
    """
    if not goes_on(config):
        return new_deeplab(config, classes)
    net = new_deeplab(config, classes, pretrained=False)
    filled = PRETRAINED_HEADS.get(config.network)
    if filled is None:
        return net
    saved = load_checkpoint(RunDir(config.run).last).get("optimizer")
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    other = new_deeplab(config, classes, pretrained=False, pretrained_head=filled)
    sizes = [len(group.parameters) for group in parameter_groups(other, recipe)]
    try:
        return other if [len(group["params"]) for group in groups or ()] == sizes else net
    except (KeyError, TypeError):  # damaged, which the loop tells
        return net


def taught(batch: Batch) -> list[Taught]:
    """Return the crops of a batch with their labels, to be looked at."""
    images = batch.images.permute(0, 2, 3, 1).numpy()
    return list(zip(images, batch.targets.numpy(), strict=True))


def identity(config: DeepLabTrainConfig, classes: ClassList) -> dict[str, Any]:
    """Return what a checkpoint says of its network: enough to build it again and to read its outputs.

    Returns:
        kind: `deeplab`.
        network: Name of the network.
        multi_scale: Whether the network runs at several scales, as in the recipe.
        classes: {names, indices}, see `ClassList.described`.
        longest_side: See `longest_side`.
        config: The settings of the training, without paths.
    """
    recipe = deeplab_recipe(config.network, config.recipe)
    return {
        "kind": "deeplab",
        "network": config.network,
        "multi_scale": recipe.multi_scale,
        "classes": classes.described(),
        "longest_side": longest_side(config),
        "config": without_places(config),
    }


def data_of(labels: LabelFolder, pictures: LabelledPictures) -> dict[str, Any]:
    """Return what a checkpoint says of its labels: which pictures they are of, how they were made and corrected."""
    made = json.dumps(labels.manifest, sort_keys=True)
    return described_data(pictures.ids, made, corrections=review_sha256(labels.path))


def longest_side(config: DeepLabTrainConfig) -> int:
    """Return the longest side of a picture in pixels; larger ones are reduced.

    Twice the side of a crop: so a crop shows a good part of the scene.
    """
    return 2 * config.crop


def _open_labels(config: DeepLabTrainConfig) -> LabelFolder:
    if config.classes == "auto" and config.labels_are == "ground-truth":
        message = "--classes auto: given with true label maps, whose numbers have no names, voc or a file expected"
        raise ConfigError(f"{message}; pass the list that the masks count as --classes", "classes-numbers")
    classes = None if config.classes in (None, "auto") else load_classes(config.classes)
    return open_labels(config.labels, config.labels_are, classes)


def chosen_loss(config: DeepLabTrainConfig, labels: LabelFolder) -> Any:
    """Return the loss to train with.

    Of `auto`, true masks get plain. Pseudo labels get balanced in a training of less than `LONG_TRAINING` steps, later
    soft where they come with their confidence, else plain.
    """
    if config.loss != LEFT_TO_COMMAND:
        return config.loss
    if not labels.manifest:
        return "plain"
    if (config.steps or deeplab_recipe(config.network, config.recipe).steps) < LONG_TRAINING:
        return "balanced"
    return SOFT if is_file(labels.confidence_path(labels.ids()[0])) else "plain"


def label_warnings(labels: LabelFolder, pictures: LabelledPictures) -> Warnings:
    """Return what cannot be right in labels to train on; `pictures` are checked."""
    name, shown = str(labels.path), pictures_by_class(labels, pictures)
    if labels.classes.names == VOC_CLASSES:  # the usual list: who has cats and dogs alone need not shorten it
        asked = {word for record in read_records(Journal(labels.path / RECORDS)) for word in record.get("keywords", ())}
        shown = {word: count for word, count in shown.items() if word in asked} if asked else shown
    absent = unlabelled_classes(name, shown)
    return [*empty_labels(name, labels.manifest.get("counts", {})), *absent]


def _describe(
    config: DeepLabTrainConfig, labels: LabelFolder, pictures: LabelledPictures, warnings: Warnings, events: Events
) -> None:
    events.info(summary_line(labels, pictures))
    if labels.manifest:
        events.record(manifest_line(labels))
    else:
        tell_reading(map(labels.label_path, labels.ids()), events)
    how = f"{config.network}, recipe {config.recipe or NETWORK_RECIPES[config.network]}, loss {config.loss}"
    events.info(f"{len(labels.classes.names)} classes and background; {how}")
    for warning in warnings:
        events.warn(f"{warning['message']} [{warning['rule']}]")
    if config.val_voc:
        events.info(f"{config.val_voc}: the masks of {_VAL_SPLIT} choose the best checkpoint")


def training_pictures(
    config: DeepLabTrainConfig, labels: LabelFolder, events: Events | None = None
) -> LabelledPictures:
    """Return the pictures to train on, all of them checked, and tell which files of the folders are ignored.

    Raises:
        InputError: A picture or label map is missing or damaged, their sizes differ, or a label is no class.
    """
    ids = read_id_list(config.list) if config.list else _all_ids(labels)
    strict = config.labels_are == "pseudo"
    notes = Notes(events)
    if not strict:
        find_image_files(labels.path, notes)
    found = find_pictures(config.images, notes)
    notes.tell()
    pictures = LabelledPictures(
        ids,
        found,
        labels,
        longest_side(config),
        strict,
        config.confidence or config.loss == SOFT,
        config.least_confidence,
    )
    pictures.check(config.workers)
    return pictures


def _all_ids(labels: LabelFolder) -> list[str]:
    """Return the pictures of all label maps.

    Raises:
        InputError: The manifest counts more of them, as after half of a copy [label-missing].
    """
    ids, counts = labels.ids(), labels.manifest.get("counts")
    counted = counts.get("labelled") if isinstance(counts, dict) else None
    if isinstance(counted, int) and len(ids) < counted:
        message = f"{labels.path}: {len(ids)} label maps, {counted} expected, which its manifest.json counts"
        raise InputError(f"{message}; copy the folder again, or name the pictures with --list", "label-missing")
    return ids


def loop_settings(config: DeepLabTrainConfig, recipe: DeepLabRecipe) -> LoopSettings:
    """Return the settings of the training loop: those of the flags, or else of the recipe."""
    steps = config.steps or recipe.steps
    return LoopSettings(
        steps=steps,
        batch_size=own_batch_size(config.batch_size or recipe.batch_size, config.devices),
        lr=config.lr or recipe.lr,
        optimizer=recipe.optimizer,
        schedule="poly",
        ema=recipe.ema,
        evaluate_every=config.evaluate_every or steps,
        metric="miou",
        seed=config.seed,
        precision=config.precision,
        workers=config.workers,
    )


def parameter_groups(net: DeepLab | MultiScale, recipe: DeepLabRecipe) -> list[ParameterGroup]:
    """Group the parameters that learn: trunk and new layers, in each the weights with decay, the rest without."""
    groups = []
    for parameters, scale in ((list(net.trunk_parameters()), 1.0), (list(net.new_parameters()), _NEW_LAYERS_LR)):
        weights = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim <= 1]
        groups.append(ParameterGroup(weights, scale, recipe.weight_decay))
        groups.append(ParameterGroup(others, scale * recipe.bias_lr))
    return [group for group in groups if group.parameters]


def validator(config: DeepLabTrainConfig, classes: ClassList) -> Callable[[nn.Module, torch.device], dict[str, float]]:
    """Return the function (network, device) -> {"miou"} over the val split of `--val-voc`, at one scale.

    The function returns {} if nothing can be judged.

    Raises:
        InputError: The list of the split is missing, or a picture or mask on the list.
    """
    voc = cast(Path, config.val_voc)
    files = [(image_path(voc, image_id), truth_path(voc, image_id)) for image_id in read_split(voc, _VAL_SPLIT)]
    missing = [path for pair in files for path in pair if not os.path.isfile(path)]
    if missing:
        raise InputError(
            f"{missing[0]}: no such file, expected it for --val-voc; complete the data set", "image-missing"
        )

    require_classes([mask for _, mask in files], classes)

    def validate(net: nn.Module, device: torch.device) -> dict[str, float]:
        matrix = ConfusionMatrix(classes.n_outputs)
        for picture_path, mask_path in files:
            (image, size), truth = open_working_picture(picture_path), read_palette_map(mask_path, classes)
            require_same_size(mask_path, truth.shape, picture_path, size.shown)
            # The picture is reduced as in training; the logits come back at the picture's size.
            height, width = size.size
            scale = reduced_size(height, width, longest_side(config))[0] / height
            tensor = torch.from_numpy(image).to(device).permute(2, 0, 1).float().div_(255)
            with torch.inference_mode(), autocast(config.precision, device):
                predicted = predict_probabilities(net, tensor, (scale,)).argmax(0)
            matrix.update(classes.from_palette(truth), size.enlarge(predicted.to(torch.uint8).cpu().numpy()))
        miou = matrix.miou()
        return {} if math.isnan(miou) else {"miou": miou}

    return validate
