"""Part of stage `s4 evaluate`: mIoU of predicted label maps, which come from files or from a network.

With `--versus`, the mIoU is compared with that of other label maps. Scoring files needs numpy and Pillow alone. Only
running a network needs torch.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.config import EvaluateConfig
from pipelines.data.checking import require_same_size
from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes
from pipelines.data.images import open_working_picture, with_any_case
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.label_maps import read_label_map, tell_reading, write_palette_map
from pipelines.data.prediction_records import noted_classes
from pipelines.data.record_files import MANIFEST
from pipelines.data.shown_classes import require_classes
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import sha256_lines
from pipelines.metrics.confusion import ConfusionMatrix, confusion, miou_of, overlap
from pipelines.metrics.miou_bootstrap import Overlaps, compare_miou, miou_interval
from pipelines.metrics.plausibility import lost_classes
from pipelines.scoring.files import (
    existing,
    list_name,
    listed_ids,
    pictures_and_truths,
    pictures_of,
    require_apart,
    require_files,
    truths_of,
)
from pipelines.scoring.worst_pictures import WorstPictures

if TYPE_CHECKING:
    from pipelines.networks.load import DeepLabPredictor


@dataclass(frozen=True)
class LabelSource:
    """Where label maps come from.

    Attributes:
        path: The folder of the files, or the weights of the network.
        read: image_id -> the file or network to name in messages, and the label map [H, W] as 0..n and 255.
        threads: How many threads may read at the same time.
    """

    path: Path
    read: Callable[[str], tuple[Path, NDArray[np.uint8]]]
    threads: int


@dataclass(frozen=True, eq=False)
class _Judged:
    """Counts of all pictures together (`ConfusionMatrix`), and of each picture [N, 2, n] (`overlap`)."""

    matrix: ConfusionMatrix
    overlaps: Overlaps


def score_network(config: EvaluateConfig, events: Events, worst: WorstPictures | None = None) -> dict[str, Any]:
    """Score the semantic network `config.weights`; see `pipelines.evaluate.evaluate`.

    `worst` receives the pictures, if anybody wants to see the worst of them.
    """
    asked, weights = asked_classes(config.classes), cast(Path, config.weights)
    ids, pictures, truths = pictures_and_truths(config, events)
    require_apart(config.save_predictions, truths)
    network = _loaded(weights, config, asked)
    if asked is None:
        tell_classes(weights, network.classes, events)
    source = _network(weights, network, config, pictures, config.save_predictions)
    return _score(config, network.classes, source, ids, truths, events, worst)


def network_overlaps(config: EvaluateConfig, events: Events) -> Overlaps:
    """Compare the label maps of the semantic network `config.weights` with the truth.

    Returns:
        [N, 2, n] of the N pictures of the list, in its order, see `pipelines.metrics.confusion.overlap`.

    Raises:
        S4Error: As `score_network`.
    """
    weights = cast(Path, config.weights)
    _ids, pictures, truths = pictures_and_truths(config, events)
    network = _loaded(weights, config, asked_classes(config.classes))
    require_classes(truths.values(), network.classes)
    return _judge(_network(weights, network, config, pictures, None), truths, network.classes, events).overlaps


def score_predictions(config: EvaluateConfig, events: Events, worst: WorstPictures | None = None) -> dict[str, Any]:
    """Score the label maps in `config.predictions`; see `score_network`."""
    folder = cast(Path, config.predictions)
    classes = _classes_of(folder, config, events)
    ids = listed_ids(config)
    files = {image_id: with_any_case(folder / f"{image_id}.png") for image_id in ids}
    files = existing(files, "predictions of the list", config.allow_missing, events)
    tell_reading(files.values(), events)
    require_classes(files.values(), classes, predicted=True)
    source = _files(folder, files, classes, config.workers)
    return _score(config, classes, source, ids, truths_of(config, list(files)), events, worst)


def open_versus(config: EvaluateConfig, classes: ClassList, ids: Sequence[str]) -> LabelSource | None:
    """Open what `--versus` names, to be read for every picture; return None if it is not given.

    - A file, or a folder with checkpoints, is a DeepLab. It runs with `--scales`, `--flip` and `--crf`.
    - A folder with a manifest is a label folder.
    - Any other folder holds label maps.

    Args:
        config: Settings of the evaluation, with `voc` or `masks`.
        classes: The class list.
        ids: Image ids of the pictures to compare on, at least one.

    Raises:
        ConfigError: The network was trained for other classes [class-list-differs].
        InputError: The path does not exist [folder-missing], or a label map or picture is missing [versus-missing].
    """
    path = config.versus
    if path is None:
        return None
    if path.is_file() or (path / "checkpoints").is_dir():
        pictures = pictures_of(config, list(ids))
        return _network(path, _loaded(path, config, classes), config, pictures, None)
    if not path.is_dir():
        message = f"--versus: {path} not found, label maps or a DeepLab expected; check the path"
        raise InputError(message, "folder-missing")
    if (path / MANIFEST).is_file():
        labels = open_pseudo_labels(path, classes)
        files = {image_id: labels.label_path(image_id) for image_id in ids}
    else:
        noted = noted_classes(path)
        if noted is not None:
            _require_same(path, "made", noted, classes)
        files = {image_id: with_any_case(path / f"{image_id}.png") for image_id in ids}
    require_files(files, "label maps to compare with", "make them", "versus-missing")
    return _files(path, files, classes, config.workers)


def compare_with(
    other: LabelSource | None, overlaps: Overlaps, truths: dict[str, Path], classes: ClassList, events: Events
) -> dict[str, Any]:
    """Compare what was scored with other label maps of the same pictures, on the same bootstrap samples.

    Args:
        other: The other label maps; None gives an empty result.
        overlaps: [N, 2, n] of what was scored, in the order of `truths`.
        truths: image_id -> file of the true label map.
        classes: The class list.
        events: Receives progress.

    Returns:
        {versus: {source, miou, ratio, ratio_interval, difference, difference_interval}}. `miou` is that of the other
        label maps. `ratio` is the scored mIoU divided by `miou`, `difference` is the scored mIoU minus `miou`. The
        intervals are 95 % over pictures. Values are NaN if nothing could be judged.
    """
    if other is None:
        return {}
    judged = _judge(other, truths, classes, events)
    compared = compare_miou(overlaps, judged.overlaps)
    return {
        "versus": {
            "source": str(other.path),
            "miou": judged.matrix.miou(),
            "ratio": compared.ratio,
            "ratio_interval": list(compared.ratio_interval),
            "difference": compared.difference,
            "difference_interval": list(compared.difference_interval),
        }
    }


def open_pseudo_labels(folder: Path, classes: ClassList | None) -> LabelFolder:
    """Open a label folder to score it.

    Raises:
        InputError: The folder has no manifest [labels-unmarked], or other classes [labels-classes].
    """
    try:
        return open_labels(folder, "pseudo", classes)
    except InputError as error:
        if error.rule != "labels-unmarked":
            raise
        # The advice in the error is for `deeplab-train` and would not help here.
        found = f"{folder}: has no manifest, expected a label folder made by pseudo-label"
        raise InputError(f"{found}; score other label maps with --predictions", error.rule) from error


def scales_of(config: EvaluateConfig) -> tuple[float, ...]:
    """Return `--scales` as numbers."""
    return tuple(float(scale) for scale in config.scales.split(","))


def _classes_of(folder: Path, config: EvaluateConfig, events: Events) -> ClassList:
    """Return the classes of label maps: those that their folder names, else those of `--classes`, else VOC's.

    Raises:
        ConfigError: The folder names others than `--classes` [class-list-differs], or names none and `--classes` is
            auto [classes-numbers].
    """
    noted, asked = noted_classes(folder), asked_classes(config.classes)
    if noted is not None:
        if asked is not None:
            _require_same(folder, "made", noted, asked)
        else:
            tell_classes(folder, noted, events)
        return noted
    if config.classes == "auto":
        message = f"--classes auto: given with {folder}, whose label maps do not name their classes"
        raise ConfigError(f"{message}, voc or a file expected; pass the list of the training", "classes-numbers")
    return asked or load_classes("voc")


def _require_same(source: Path, done: str, own: ClassList, asked: ClassList) -> None:
    if own != asked:
        message = f"{source}: {done} for {_listed(own)}, --classes expects {_listed(asked)}; leave --classes out"
        raise ConfigError(f"{message}, or evaluate with the class list of the training", "class-list-differs")


def _files(folder: Path, files: dict[str, Path], classes: ClassList, workers: int) -> LabelSource:
    def read(image_id: str) -> tuple[Path, NDArray[np.uint8]]:
        return files[image_id], read_label_map(files[image_id], classes)

    return LabelSource(folder, read, max(1, workers))  # decoding frees the interpreter, so threads share the work


def asked_classes(classes: str | None) -> ClassList | None:
    """Return the class list that `--classes` names; None for that of what is scored.

    Raises:
        InputError: The file cannot be used.
    """
    return None if classes in (None, "auto") else load_classes(classes)


def tell_classes(source: Path, classes: ClassList, events: Events) -> None:
    """Tell which classes are scored, unless they are VOC's twenty.

    Args:
        source: What the classes are taken from.
        classes: The classes.
        events: Receives the line.
    """
    if classes.names != VOC_CLASSES:
        numbers = "" if classes.is_voc else ", whose numbers in the true label maps are 1, 2 and so on in this order"
        left = "pixels of other classes are left out of the score"
        events.info(f"{source}: scored for its own {_listed(classes)}{numbers}, and background; {left}")


def classes_entry(config: EvaluateConfig, classes: ClassList) -> dict[str, list[str]]:
    """Return the part of a result that names the classes; empty for VOC's twenty, and for those of `--classes`."""
    is_known = asked_classes(config.classes) is not None or classes.names == VOC_CLASSES
    return {} if is_known else {"classes": classes.to_json()}


def confusion_entry(classes: ClassList, matrix: ConfusionMatrix) -> dict[str, Any]:
    """Return the part of a result with the counts: {classes: n names, pixels: [n][n + 1]}, see `confusion`."""
    return {"classes": ["background", *classes.names], "pixels": matrix.matrix.tolist()}


def _loaded(weights: Path, config: EvaluateConfig, asked: ClassList | None) -> "DeepLabPredictor":
    from pipelines.networks.load import load_deeplab  # brings torch, which scoring files must not need

    network = load_deeplab(weights, device=config.device, precision=config.precision)
    if asked is not None:
        _require_same(weights, "trained", network.classes, asked)
    return network


def _network(
    weights: Path,
    network: "DeepLabPredictor",
    config: EvaluateConfig,
    pictures: dict[str, Path],
    save: Path | None,
) -> LabelSource:
    from pipelines.networks.crf import semantic_map  # brings torch

    scales, preset = scales_of(config), config.crf_preset if config.crf else None

    def read(image_id: str) -> tuple[Path, NDArray[np.uint8]]:
        picture, size = open_working_picture(pictures[image_id])
        label_map = size.enlarge(semantic_map(network, picture, scales, config.flip, preset))
        if save is not None:
            write_palette_map(save / f"{image_id}.png", network.classes.to_palette(label_map))
        return weights, label_map

    # One picture at a time: the network itself keeps every core busy.
    return LabelSource(weights, read, 1)


def _score(
    config: EvaluateConfig,
    classes: ClassList,
    source: LabelSource,
    ids: list[str],
    truths: dict[str, Path],
    events: Events,
    worst: WorstPictures | None,
) -> dict[str, Any]:
    """Score the pictures of `truths` and return the result of the stage.

    Args:
        config: Settings of the evaluation.
        classes: The class list.
        source: The label maps to score.
        ids: All image ids of the list, also of pictures that are missing.
        truths: image_id -> file of the true label map, for the pictures to score.
        events: Receives progress.
        worst: Receives the pictures; None if nobody wants to see them.
    """
    tell_reading(truths.values(), events)
    require_classes(truths.values(), classes)
    other = open_versus(config, classes, list(truths))  # before the work, since it may be unusable
    judged = _judge(source, truths, classes, events, worst)
    iou = zip(("background", *classes.names), judged.matrix.iou(), strict=True)
    return {
        "miou": judged.matrix.miou(),
        "miou_interval": list(miou_interval(judged.overlaps)),
        "per_class": {name: float(value) for name, value in iou},
        "images": len(truths),
        "missing": len(ids) - len(truths),
        "split": list_name(config),
        "list_sha256": sha256_lines(ids),
        "source": str(source.path),
        **classes_entry(config, classes),
        "scales": list(scales_of(config)),
        "flip": config.flip,
        "crf": config.crf,
        **({"crf_preset": config.crf_preset} if config.crf else {}),
        "pixel_accuracy": judged.matrix.pixel_accuracy(),
        "confusion": confusion_entry(classes, judged.matrix),
        **compare_with(other, judged.overlaps, truths, classes, events),
        "warnings": lost_classes(str(source.path), judged.matrix, classes.names),
    }


def _judge(
    source: LabelSource,
    truths: dict[str, Path],
    classes: ClassList,
    events: Events,
    worst: WorstPictures | None = None,
) -> _Judged:
    if worst is not None:
        worst.names = classes.names

    def count(image_id: str) -> NDArray[np.int64]:
        path, labels = source.read(image_id)
        truth = read_label_map(truths[image_id], classes)
        require_same_size(path, labels.shape, truths[image_id], truth.shape)
        counts = confusion(truth, labels, classes.n_outputs)
        if worst is not None:
            worst.add(image_id, miou_of(counts), worst.reduced(labels), worst.reduced(truth))
        return counts

    if source.threads == 1:
        return _added(map(count, truths), len(truths), classes, events)
    with ThreadPoolExecutor(source.threads) as pool:
        return _added(pool.map(count, truths), len(truths), classes, events)


def _added(counts: Iterable[NDArray[np.int64]], total: int, classes: ClassList, events: Events) -> _Judged:
    matrix, overlaps = ConfusionMatrix(classes.n_outputs), []
    with events.progress(total, "pictures") as progress:
        for of_picture in counts:
            matrix.add(of_picture)
            overlaps.append(overlap(of_picture))
            progress.advance()
    return _Judged(matrix, np.stack(overlaps))


def _listed(classes: ClassList) -> str:
    return f"{len(classes.names)} classes ({', '.join(classes.names)})"
