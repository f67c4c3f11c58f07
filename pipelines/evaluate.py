"""Stage `s4 evaluate`: scores of predicted label maps, of pseudo labels, or of instance masks.

Scoring files needs only numpy and Pillow. torch is imported only to run a network (`--weights`).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.config import EvaluateConfig
from pipelines.config.outputs import alone
from pipelines.data.checking import require_same_size
from pipelines.data.images import with_any_case
from pipelines.data.label_maps import read_label_map, tell_reading
from pipelines.data.shown_classes import require_classes
from pipelines.data.voc import image_path
from pipelines.errors import ConfigError
from pipelines.events import Events
from pipelines.files import sha256_lines
from pipelines.pages.evaluations import evaluation_result, worst_sheet
from pipelines.pages.leave import leave_page
from pipelines.pages.result import Sheet
from pipelines.scoring.files import existing, list_name, listed_ids, pictures_and_truths, truths_of
from pipelines.scoring.semantic import (
    asked_classes,
    classes_entry,
    compare_with,
    open_pseudo_labels,
    open_versus,
    scales_of,
    score_network,
    score_predictions,
    tell_classes,
)
from pipelines.scoring.worst_pictures import WorstPictures

_CHOICES = (
    "--voc with --weights (mIoU of a network; with --foreground IoU of salient instances), "
    "--voc with --predictions (mIoU of label maps), --voc with --labels (quality of labels), "
    "--images and --masks with --weights, --masks with --predictions or --labels (the same without a VOC folder), "
    "or --images with --annotations and --weights (mask AP)"
)


@alone
def evaluate(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    """Score a semantic network, a folder of predictions, a label folder, or a salient-instance network.

    Args:
        config: Settings. The given files choose what is scored.
        events: Receives progress and the description of the scored list.

    Returns:
        For predictions and semantic networks: `miou, miou_interval, per_class, images, missing, split, list_sha256,
        source, scales, flip, crf, pixel_accuracy, confusion`, with a CRF `crf_preset`. `classes` is there as well if
        the network has other classes than VOC's twenty and the settings name none. `miou_interval` is [low, high], the
        95 % bootstrap interval over pictures. `images` counts the scored pictures, `missing` the pictures left out.
        `scales`, `flip` and `crf` say what this stage applied.

        For labels: see `pipelines.scoring.pseudo_labels`. For instances: see `pipelines.scoring.instances`, and with
        `foreground` `pipelines.scoring.foreground`. A score on a VOC list also has `split, list_sha256, source`.

        With `masks`, `split` is None, and `list_sha256` is that of the ids in the folder of the masks.

        With `versus`, predictions, networks and labels also have `versus`, see
        `pipelines.scoring.semantic.compare_with`. Every result has `warnings`, the list of
        `pipelines.metrics.plausibility`. Every score is a fraction 0..1, or NaN where nothing could be judged.

    Raises:
        ConfigError: The settings choose nothing or several things to score [evaluate-mode], a setting has no effect
            [evaluate-option], or class lists differ.
        InputError: Files are missing, damaged, or do not fit each other.
    """
    start = time.monotonic()
    config = config.located(events.info)
    mode = _mode(config)
    worst = WorstPictures() if config.report is not None else None
    result = mode(config, events, worst)
    if config.report is not None:
        name = str(config.labels or config.predictions or config.weights)
        leave_page(
            config.report,
            lambda: evaluation_result(result, name, config, _worst_sheet(config, worst)),
            time.monotonic() - start,
            events,
        )
    return result


def _worst_sheet(config: EvaluateConfig, worst: WorstPictures | None) -> Sheet | None:
    if worst is None or config.voc is None:
        return None
    judged = worst.sorted()
    pictures = {each.image_id: with_any_case(image_path(config.voc, each.image_id)) for each in judged}
    return worst_sheet(judged, pictures, worst.names)


Mode = Callable[[EvaluateConfig, Events, WorstPictures | None], dict[str, Any]]


def _mode(config: EvaluateConfig) -> Mode:
    """Return the function that scores what the settings name."""
    modes: dict[frozenset[str], Mode] = {
        frozenset({"voc", "weights"}): score_network,
        frozenset({"voc", "predictions"}): score_predictions,
        frozenset({"voc", "labels"}): _score_labels,
        frozenset({"images", "masks", "weights"}): score_network,
        frozenset({"masks", "predictions"}): score_predictions,
        frozenset({"masks", "labels"}): _score_labels,
        frozenset({"images", "annotations", "weights"}): _score_instances,
    }
    # Where --images does not matter, it may come from a file shared by commands.
    needs_images = config.annotations is not None or (config.masks is not None and config.weights is not None)
    names = ["voc", "masks", "weights", "predictions", "labels", "annotations"] + ["images"] * needs_images
    given = [name for name in names if getattr(config, name) is not None]
    mode = modes.get(frozenset(given))
    if mode is None:
        found = " ".join(f"--{name}" for name in given) or "nothing to score"
        raise ConfigError(f"{found}: expected exactly one of: {_CHOICES}; choose one", "evaluate-mode")
    if config.foreground and mode is not score_network:
        raise _without_effect("--foreground", "an S4Net")
    if config.foreground:
        mode = _score_foreground
    if mode is not score_network:
        _refuse_options(config, salient=mode in (_score_instances, _score_foreground))
    if config.versus is not None and mode in (_score_instances, _score_foreground):
        raise _without_effect("--versus", "label maps or a semantic network", "--voc")
    return mode


def _refuse_options(config: EvaluateConfig, salient: bool) -> None:
    """Refuse options that have no effect on files or, if `salient`, on a salient-instance network."""
    unused = {
        "--scales": scales_of(config) != (1.0,),
        "--flip": config.flip and not salient,
        "--crf": config.crf,
        "--save-predictions": config.save_predictions is not None,
    }
    for flag, is_given in unused.items():
        if is_given:
            raise _without_effect(flag, "a semantic network")


def _without_effect(flag: str, what: str, beside: str = "--voc and --weights") -> ConfigError:
    found = f"given without {what} to score, expected beside {beside}"
    return ConfigError(f"{flag}: {found}; leave it out", "evaluate-option")


def _score_labels(config: EvaluateConfig, events: Events, worst: WorstPictures | None) -> dict[str, Any]:
    asked = asked_classes(config.classes)
    from pipelines.scoring.pseudo_labels import score_label_folder  # brings pycocotools

    labels = open_pseudo_labels(cast(Path, config.labels), asked)
    classes = labels.classes
    if asked is None:
        tell_classes(labels.path, classes, events)
    ids = listed_ids(config)
    files = {image_id: labels.label_path(image_id) for image_id in ids}
    files = existing(files, "labels of the list", config.allow_missing, events)
    truths = truths_of(config, list(files))
    tell_reading(truths.values(), events)
    require_classes(truths.values(), classes)
    other = open_versus(config, classes, list(files))

    def read_pair(image_id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        found, truth = read_label_map(files[image_id], classes), read_label_map(truths[image_id], classes)
        require_same_size(files[image_id], found.shape, truths[image_id], truth.shape)
        return found, truth

    result, overlaps = score_label_folder(labels, list(files), read_pair, config.workers, events)
    where = config.split if config.masks is None else config.masks
    if worst is not None:
        worst.names = classes.names
        for each in result["worst"]:
            given, truth = read_pair(each["image_id"])
            worst.add(each["image_id"], each["miou"], worst.reduced(given), worst.reduced(truth))
    events.info(f"{config.labels}: scored on {len(files)} pictures of {where} (sha256 {sha256_lines(ids)})")
    return {
        **result,
        "split": list_name(config),
        "list_sha256": sha256_lines(ids),
        "source": str(config.labels),
        **classes_entry(config, classes),
        **compare_with(other, overlaps, truths, classes, events),
    }


def _score_instances(config: EvaluateConfig, events: Events, worst: WorstPictures | None) -> dict[str, Any]:
    from pipelines.scoring.instances import score_instances  # brings pycocotools

    return score_instances(config, events)


def _score_foreground(config: EvaluateConfig, events: Events, worst: WorstPictures | None) -> dict[str, Any]:
    from pipelines.scoring.foreground import score_foreground

    ids, pictures, truths = pictures_and_truths(config, events)
    require_classes(truths.values(), None)
    result = score_foreground(config, pictures, truths, events)
    described = {"split": list_name(config), "list_sha256": sha256_lines(ids), "source": str(config.weights)}
    return {**result, **described, "warnings": []}
