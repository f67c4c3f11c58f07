"""Scores a folder of pseudo labels against the true masks, which no earlier stage of the chain has seen.

This needs numpy, Pillow and pycocotools alone, no torch.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.checking import require_same_size
from pipelines.data.classes import IGNORE, ClassList
from pipelines.data.counting import value_counts
from pipelines.data.images import open_picture, turn_for
from pipelines.data.label_folder import LabelFolder
from pipelines.data.record_files import RECORDS, newest_records
from pipelines.data.rle import decode_masks
from pipelines.events import Events
from pipelines.journal import Journal
from pipelines.metrics.boundary_iou import boundary_counts, boundary_iou
from pipelines.metrics.confusion import ConfusionMatrix, confusion, mean_of_known, miou_of, overlap, quotients
from pipelines.metrics.label_quality import label_quality
from pipelines.metrics.miou_bootstrap import Overlaps, miou_interval
from pipelines.metrics.plausibility import Warnings, empty_labels, lost_classes
from pipelines.scoring.semantic import confusion_entry

_LEVELS = 10  # of confidence, in the reliability curve
_LEVEL_OF = np.minimum(np.arange(256) * _LEVELS // 255, _LEVELS - 1).astype(np.uint8)
_WORST = 20  # pictures that the result names

ReadPair = Callable[[str], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""image_id -> label map and true label map [H, W], as 0..n and 255."""


@dataclass(frozen=True, eq=False)
class _Counts:
    """Counts of one picture, or sums over several pictures.

    Attributes:
        confusion: [n, n + 1], see `ConfusionMatrix`.
        boundary: [n, 2], see `boundary_counts`.
        levels: [2, _LEVELS, 2] numbers of pixels. First index: labelled background, labelled foreground. Second index:
            level of confidence. Third index: all, right.
        assignment: [4] numbers of instances in pictures with several keywords: right, wrong, without a keyword, on
            background.
    """

    confusion: NDArray[np.int64]
    boundary: NDArray[np.int64]
    levels: NDArray[np.int64]
    assignment: NDArray[np.int64]

    def __add__(self, other: "_Counts") -> "_Counts":
        return _Counts(
            self.confusion + other.confusion,
            self.boundary + other.boundary,
            self.levels + other.levels,
            self.assignment + other.assignment,
        )


def score_label_folder(
    folder: LabelFolder, image_ids: Sequence[str], read_pair: ReadPair, workers: int, events: Events
) -> tuple[dict[str, Any], Overlaps]:
    """Compare labels with the truth.

    Args:
        folder: The labels.
        image_ids: The pictures to score; all have labels.
        read_pair: See `ReadPair`.
        workers: Number of threads.
        events: Receives progress.

    Returns:
        The result, and the overlaps [N, 2, n] of the pictures. Shares are 0..1, or NaN if nothing could be judged. The
        result has these entries:

        - images: Number of pictures.
        - miou, miou_kept, coverage, precision_kept, per_class: See `LabelQuality`.
        - miou_interval: [low, high], 95 % over pictures.
        - per_class_kept: {name: IoU}, pixels without a label left out.
        - false_positives, false_negatives: {name: share of the class's union}.
        - boundary_iou, boundary_per_class: See `pipelines.metrics.boundary_iou`.
        - worst: [{image_id, miou}], the worst pictures first.
        - assignment: {right, wrong, unassigned, background, accuracy} of instances; None without records.
        - reliability: [{confidence [low, high], pixels, precision}] of labelled foreground.
        - background_reliability: The same of labelled background.
        - confusion: {classes: n names, pixels: [n][n + 1]}, see `pipelines.metrics.confusion`.
        - warnings: See `pipelines.metrics.plausibility`.
    """
    records = newest_records(Journal(folder.path / RECORDS))

    def count(image_id: str) -> _Counts:
        labels, truth = read_pair(image_id)
        with turn_for(truth.size):
            return _counts(folder, image_id, labels, truth, records.get(image_id))

    total: _Counts | None = None
    by_picture: list[tuple[float, str]] = []
    overlaps = []
    with ThreadPoolExecutor(max(1, workers)) as pool, events.progress(len(image_ids), "pictures") as progress:
        for image_id, counts in zip(image_ids, pool.map(count, image_ids), strict=True):
            total = counts if total is None else total + counts
            by_picture.append((miou_of(counts.confusion), image_id))
            overlaps.append(overlap(counts.confusion))
            progress.advance()
    assert total is not None
    result = _result(
        total,
        sorted(own for own in by_picture if not np.isnan(own[0]))[:_WORST],
        folder.classes,
        len(image_ids),
        bool(records),
    )
    of_pictures = np.stack(overlaps)
    interval = list(miou_interval(of_pictures))
    return {**result, "miou_interval": interval, "warnings": _warnings(folder, total)}, of_pictures


def _counts(
    folder: LabelFolder, image_id: str, labels: NDArray[np.uint8], truth: NDArray[np.uint8], record: Any
) -> _Counts:
    """Count what there is to count of one picture; `record` is None if it has none."""
    return _Counts(
        confusion(truth, labels, folder.classes.n_outputs),
        boundary_counts(truth, labels, folder.classes.n_outputs),
        _levels(truth, labels, folder.label_path(image_id), folder.confidence_path(image_id)),
        _assignment(truth, record, folder.classes),
    )


def _warnings(folder: LabelFolder, total: _Counts) -> Warnings:
    matrix = ConfusionMatrix(folder.classes.n_outputs)
    matrix.add(total.confusion)
    name = str(folder.path)
    lost = lost_classes(name, matrix, folder.classes.names, labels=True)
    return [*empty_labels(name, folder.manifest.get("counts", {})), *lost]


def _result(
    total: _Counts, worst: Iterable[tuple[float, str]], classes: ClassList, images: int, has_records: bool
) -> dict[str, Any]:
    n = classes.n_outputs
    matrix = ConfusionMatrix(n)
    matrix.add(total.confusion)
    quality = label_quality(matrix)
    right = np.diagonal(total.confusion)
    of_class, called = total.confusion.sum(axis=1), total.confusion[:, :n].sum(axis=0)
    union = of_class + called - right
    outlines = boundary_iou(total.boundary)
    named, wrong, unassigned, background = total.assignment.tolist()
    return {
        "miou": quality.miou,
        "miou_kept": quality.miou_kept,
        "coverage": quality.coverage,
        "precision_kept": quality.precision_kept,
        "per_class": _by_name(classes, quality.iou),
        "per_class_kept": _by_name(classes, matrix.iou_kept()),
        "false_positives": _by_name(classes, quotients(called - right, union)),
        "false_negatives": _by_name(classes, quotients(of_class - right, union)),
        "boundary_iou": mean_of_known(outlines),
        "boundary_per_class": _by_name(classes, outlines),
        "worst": [{"image_id": image_id, "miou": score} for score, image_id in worst],
        "assignment": {
            "right": named,
            "wrong": wrong,
            "unassigned": unassigned,
            "background": background,
            "accuracy": _share(named, named + wrong + unassigned),
        }
        if has_records
        else None,
        "reliability": _curve(total.levels[1]),
        "background_reliability": _curve(total.levels[0]),
        "images": images,
        "confusion": confusion_entry(classes, matrix),
    }


def _curve(levels: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Turn one half of `_Counts.levels` [_LEVELS, 2] into the reliability curve of the result."""
    return [
        {
            "confidence": [level / _LEVELS, (level + 1) / _LEVELS],
            "pixels": int(pixels),
            "precision": _share(good, pixels),
        }
        for level, (pixels, good) in enumerate(levels)
    ]


def _levels(
    truth: NDArray[np.uint8], labels: NDArray[np.uint8], label_file: Path, confidence: Path
) -> NDArray[np.int64]:
    """Count `_Counts.levels` of one picture; return zeros if there is no confidence map.

    Args:
        truth: [H, W] true label map.
        labels: [H, W] label map.
        label_file: File of the label map.
        confidence: File of the 8-bit confidence map.

    Raises:
        InputError: The confidence map is of another size [label-size], or cannot be read.
    """
    counts = np.zeros((2, _LEVELS, 2), np.int64)
    if os.path.isfile(confidence):
        with open_picture(confidence) as image:
            values = np.asarray(image.convert("L"))
        require_same_size(confidence, values.shape, label_file, labels.shape, "confidence map")
        level = _LEVEL_OF[values]
        for row, kind in enumerate((labels == 0, (labels > 0) & (labels != IGNORE))):
            counted = kind & (truth != IGNORE)
            counts[row, :, 0] = value_counts(level[counted], _LEVELS)
            counts[row, :, 1] = value_counts(level[counted & (labels == truth)], _LEVELS)
    return counts


def _assignment(truth: NDArray[np.uint8], record: dict[str, Any] | None, classes: ClassList) -> NDArray[np.int64]:
    """Compare the keyword of each instance with the class that most of its mask shows.

    Returns:
        [4] numbers of instances: right, wrong, without a keyword, and mostly on background or on pixels that cannot be
        judged. All are 0 if the picture has fewer than two keywords.
    """
    counts = np.zeros(4, np.int64)
    if record is None or len(record.get("keywords", ())) < 2:
        return counts
    instances = record["instances"]
    for instance in instances:
        (mask,) = decode_masks([instance["segmentation"]], *truth.shape)
        shown = value_counts(truth[mask > 0])[: classes.n_outputs]
        best = int(shown.argmax())
        if best == 0:
            counts[3] += 1
        elif instance["keyword"] is None:
            counts[2] += 1
        else:
            counts[0 if classes.names[best - 1] == instance["keyword"] else 1] += 1
    return counts


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _by_name(classes: ClassList, values: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(("background", *classes.names), values, strict=True)}
