"""Stage `s4 evaluate`: scores of predicted label maps, of labels themselves, or of instance masks.

Scoring files needs numpy and Pillow alone: torch comes in only with a network to run (`--weights`).
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.config import EvaluateConfig
from pipelines.data.classes import IGNORE, VOC_CLASSES, ClassList, load_classes
from pipelines.data.images import open_image
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.voc import image_path, read_label_map, read_split, truth_path, write_label_map
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import sha256_lines
from pipelines.metrics.confusion import ConfusionMatrix, confusion

_CHOICES = (
    "--voc with --weights (mIoU of a network; with --foreground IoU of salient instances), "
    "--voc with --predictions (mIoU of label maps), --voc with --labels (quality of labels), "
    "or --images with --annotations and --weights (mask AP)"
)
_SHOWN = 5


def evaluate(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    """Scores a semantic network, a folder of predictions, a label folder, or a salient-instance network.

    Args:
        config: Settings; the files that are given choose what is scored.
        events: Where progress and the description of the scored list go.

    Returns:
        For predictions and semantic networks: `miou, per_class, images, missing, split, list_sha256, source, scales,
        flip, crf, pixel_accuracy`, and with a CRF `crf_preset`. `images` counts the scored pictures, `missing` those
        left out; `scales`, `flip` and `crf` say what this stage applied. For labels: see `pipelines.evaluate_labels`;
        for instances: `pipelines.evaluate_instances`, and with `foreground` `pipelines.evaluate_foreground`; where
        a VOC list is scored, `split, list_sha256, source` are added. Every score is a fraction 0..1, or None where
        nothing could be judged.

    Raises:
        ConfigError: The settings choose nothing or more than one thing to score, or class lists differ.
        InputError: Files are missing, damaged, or do not fit each other.
    """
    return _mode(config)(config, events)


def _mode(config: EvaluateConfig) -> Callable[[EvaluateConfig, Events], dict[str, Any]]:
    """The function that scores what the settings name."""
    modes = {
        frozenset({"voc", "weights"}): _score_network,
        frozenset({"voc", "predictions"}): _score_predictions,
        frozenset({"voc", "labels"}): _score_labels,
        frozenset({"images", "annotations", "weights"}): _score_instances,
    }
    # --images has a meaning beside --annotations alone; elsewhere it may come from a file shared by several commands.
    names = ["voc", "weights", "predictions", "labels", "annotations"] + ["images"] * (config.annotations is not None)
    given = [name for name in names if getattr(config, name) is not None]
    mode = modes.get(frozenset(given))
    if mode is None:
        found = " ".join(f"--{name}" for name in given) or "nothing to score"
        raise ConfigError(f"{found}: expected exactly one of: {_CHOICES}; choose one", "evaluate-mode")
    if config.foreground and mode is not _score_network:
        raise _without_effect("--foreground", "an S4Net")
    if config.foreground:
        mode = _score_foreground
    if mode is not _score_network:
        _refuse_semantic_options(config)
    return mode


def _refuse_semantic_options(config: EvaluateConfig) -> None:
    """Options that would be silently without effect on anything but a semantic network."""
    unused = {
        "--scales": _scales(config) != (1.0,),
        "--flip": config.flip,
        "--crf": config.crf,
        "--save-predictions": config.save_predictions is not None,
    }
    for flag, is_given in unused.items():
        if is_given:
            raise _without_effect(flag, "a semantic network")


def _without_effect(flag: str, network: str) -> ConfigError:
    found = f"given without {network} to score, expected beside --voc and --weights"
    return ConfigError(f"{flag}: {found}; leave it out", "evaluate-option")


def _score_network(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    weights, classes = cast(Path, config.weights), load_classes(config.classes)
    ids, pictures, truths = _pictures_and_truths(config)
    _require_apart(config.save_predictions, truths)

    # These bring torch, which scoring files must not need.
    from pipelines.predict import load_deeplab
    from pipelines.refine import refine

    network = load_deeplab(weights, device=config.device, precision=config.precision)
    if network.classes != classes:
        raise ConfigError(
            f"{weights}: trained for {_listed(network.classes)}, --classes expects {_listed(classes)}; "
            "evaluate with the class list of the training",
            "class-list-differs",
        )
    scales, to_palette, to_train = _scales(config), classes.from_train_table(), classes.to_train_table()

    def predict(image_id: str) -> NDArray[np.int64]:
        picture = open_image(pictures[image_id])
        probabilities = network.probabilities(picture, scales, config.flip)
        if config.crf:
            probabilities = refine(probabilities, picture, config.crf_preset, network.device)
        labels = to_palette[probabilities.argmax(axis=0)]
        if config.save_predictions is not None:
            write_label_map(config.save_predictions / f"{image_id}.png", labels)
        truth = _train_map(truths[image_id], classes)
        _require_same_size(weights, labels, truths[image_id], truth)
        return confusion(truth, to_train[labels], classes.n_outputs)

    # One picture at a time: the network itself keeps every core busy.
    matrix = _accumulate(map(predict, ids), len(ids), classes, events)
    return _semantic_result(config, matrix, classes, ids, images=len(ids), source=weights, scales=scales)


def _score_predictions(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    voc, folder, classes = cast(Path, config.voc), cast(Path, config.predictions), load_classes(config.classes)
    ids = read_split(voc, config.split)
    files = {image_id: folder / f"{image_id}.png" for image_id in ids}
    files = _existing(files, "predictions of the list", config.allow_missing, events)
    matrix = _score_files(files, _truths(voc, config.split, list(files)), classes, config.workers, events)
    return _semantic_result(config, matrix, classes, ids, images=len(files), source=folder, scales=(1.0,))


def _score_labels(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    voc, classes = cast(Path, config.voc), load_classes(config.classes)
    from pipelines.evaluate_labels import score_label_folder  # brings pycocotools

    labels = _open_pseudo_labels(cast(Path, config.labels), classes)
    ids = read_split(voc, config.split)
    files = {image_id: labels.label_path(image_id) for image_id in ids}
    files = _existing(files, "labels of the list", config.allow_missing, events)
    truths = _truths(voc, config.split, list(files))

    def read_pair(image_id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        found, truth = _train_map(files[image_id], classes), _train_map(truths[image_id], classes)
        _require_same_size(files[image_id], found, truths[image_id], truth)
        return found, truth

    result = score_label_folder(labels, list(files), read_pair, config.workers, events)
    events.info(f"{config.labels}: scored on {len(files)} pictures of {config.split} (sha256 {sha256_lines(ids)})")
    return {**result, "split": config.split, "list_sha256": sha256_lines(ids), "source": str(config.labels)}


def _open_pseudo_labels(folder: Path, classes: ClassList) -> LabelFolder:
    try:
        return open_labels(folder, "pseudo", classes)
    except InputError as error:
        if error.rule != "labels-unmarked":
            raise
        # The advice for a training would not help here.
        found = f"{folder}: has no manifest, expected a label folder made by pseudo-label"
        raise InputError(f"{found}; score other label maps with --predictions", error.rule) from error


def _score_instances(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    from pipelines.evaluate_instances import score_instances  # brings pycocotools

    return score_instances(config, events)


def _score_foreground(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    from pipelines.evaluate_foreground import score_foreground

    ids, pictures, truths = _pictures_and_truths(config)
    result = score_foreground(config, pictures, truths, events)
    return {**result, "split": config.split, "list_sha256": sha256_lines(ids), "source": str(config.weights)}


def _score_files(
    files: dict[str, Path], truths: dict[str, Path], classes: ClassList, workers: int, events: Events
) -> ConfusionMatrix:
    """Counts label maps in files against their truth; decoding frees the interpreter, so threads share the work."""

    def count(image_id: str) -> NDArray[np.int64]:
        labels = _train_map(files[image_id], classes)
        truth = _train_map(truths[image_id], classes)
        _require_same_size(files[image_id], labels, truths[image_id], truth)
        return confusion(truth, labels, classes.n_outputs)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        return _accumulate(pool.map(count, files), len(files), classes, events)


def _accumulate(counts: Iterator[NDArray[np.int64]], total: int, classes: ClassList, events: Events) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes.n_outputs)
    with events.progress(total, "pictures") as progress:
        for of_picture in counts:
            matrix.add(of_picture)
            progress.advance()
    return matrix


def _semantic_result(
    config: EvaluateConfig,
    matrix: ConfusionMatrix,
    classes: ClassList,
    ids: list[str],
    *,
    images: int,
    source: Path,
    scales: tuple[float, ...],
) -> dict[str, Any]:
    return {
        "miou": _number(matrix.miou()),
        "per_class": _per_class(classes, matrix.iou()),
        "images": images,
        "missing": len(ids) - images,
        "split": config.split,
        "list_sha256": sha256_lines(ids),
        "source": str(source),
        "scales": list(scales),
        "flip": config.flip,
        "crf": config.crf,
        **({"crf_preset": config.crf_preset} if config.crf else {}),
        "pixel_accuracy": _number(matrix.pixel_accuracy()),
    }


def _train_map(path: Path, classes: ClassList) -> NDArray[np.uint8]:
    """Reads a label map as 0..n for background and the class list, 255 for all else [H, W]."""
    labels = read_label_map(path)
    # With a part of VOC's classes the other VOC classes are legal in a file; with own classes nothing else is.
    highest = len(VOC_CLASSES) if classes.is_voc else max(classes.indices)
    strange = (labels > highest) & (labels != IGNORE)
    if strange.any():
        values = ", ".join(map(str, np.unique(labels[strange])[:_SHOWN]))
        expected = f"expected class indices 0 to {highest} or {IGNORE}"
        raise InputError(f"{path}: holds the values {values}, {expected}; check --classes and the file", "label-value")
    return classes.to_train_table()[labels]


def _pictures_and_truths(config: EvaluateConfig) -> tuple[list[str], dict[str, Path], dict[str, Path]]:
    """The ids of the list, and by id the files of the pictures and of their true label maps."""
    voc = cast(Path, config.voc)
    ids = read_split(voc, config.split)
    truths = _truths(voc, config.split, ids)
    pictures = {image_id: image_path(voc, image_id) for image_id in ids}
    _require_files(pictures, "pictures of the list", "complete the data set", "image-missing")
    return ids, pictures, truths


def _truths(voc: Path, split: str, ids: list[str]) -> dict[str, Path]:
    files = {image_id: truth_path(voc, image_id) for image_id in ids}
    _require_files(files, f"true label maps of {split}", "evaluate on a split that has them", "truth-missing")
    return files


def _require_apart(folder: Path | None, truths: dict[str, Path]) -> None:
    """Predictions must not be written over the truth they are scored against."""
    if folder is not None and folder.resolve() in {path.parent.resolve() for path in truths.values()}:
        found = "is the folder of the truth, expected one for predictions"
        raise ConfigError(f"--save-predictions: {folder} {found}; name another", "evaluate-option")


def _existing(files: dict[str, Path], what: str, allow_missing: bool, events: Events) -> dict[str, Path]:
    """The files that are there; all of them, unless missing ones are allowed (then at least one)."""
    found = {image_id: path for image_id, path in files.items() if path.is_file()}
    if not found or not allow_missing:
        _require_files(files, what, "make them, or leave them out with --allow-missing", "predictions-missing")
    elif len(found) < len(files):
        events.warn(f"{len(files) - len(found)} of {len(files)} {what} are missing and left out of every score")
    return found


def _require_files(files: dict[str, Path], what: str, advice: str, rule: str) -> None:
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        names = ", ".join(path.name for path in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        found = f"{len(missing)} of {len(files)} {what} are missing ({names})"
        raise InputError(f"{missing[0].parent}: {found}, expected all; {advice}", rule)


def _require_same_size(path: Path, labels: NDArray[np.uint8], truth_file: Path, truth: NDArray[np.uint8]) -> None:
    if labels.shape != truth.shape:
        sizes = "{1}x{0}".format(*labels.shape), "{1}x{0}".format(*truth.shape)
        expected = f"expected {sizes[1]} as in {truth_file}; write label maps at picture size"
        raise InputError(f"{path}: label map is {sizes[0]}, {expected}", "label-size")


def _per_class(classes: ClassList, iou: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: _number(float(value)) for name, value in zip(("background", *classes.names), iou, strict=True)}


def _number(value: float) -> float | None:
    """None for nan: JSON has no nan."""
    return None if math.isnan(value) else value


def _scales(config: EvaluateConfig) -> tuple[float, ...]:
    return tuple(float(scale) for scale in config.scales.split(","))


def _listed(classes: ClassList) -> str:
    return f"{len(classes.names)} classes ({', '.join(classes.names)})"
