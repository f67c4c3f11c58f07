"""How much a picture's labels are to be doubted: the order in which `s4 review` shows the pictures."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE
from pipelines.data.label_folder import LabelFolder
from pipelines.data.record_files import RECORDS, Record
from pipelines.data.review_maps import OriginalMaps, is_labelled
from pipelines.data.rle import decode_masks
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import read_json, write_json

_CACHE = "doubt.json"
_VERSION = 1  # raise it when the formula changes
_MOST_THREADS = 8
_LEFT_OUT = 0.5  # weight of instances that were left out: half of them are rightly so
_MISSING = 0.5  # doubt of a picture whose only keyword has no instance


@dataclass(frozen=True)
class Doubt:
    """The four doubts of a picture, each in 0..1.

    Attributes:
        margin: How close a second keyword came, the mean over labelled instances, weighed by area.
        confidence: How low the confidence is, the mean over all pixels with a label.
        disagreement: Share of the foreground of which instances and the other witnesses say different things.
        open: What a rule left open: instances without a label, keywords without an instance, or the whole picture.
    """

    margin: float
    confidence: float
    disagreement: float
    open: float

    @property
    def total(self) -> float:
        """All doubts together, 0..1: the probability that one of four independent doubts is right.

        1 - (1 - margin) (1 - confidence) (1 - disagreement) (1 - open)
        """
        return 1 - (1 - self.margin) * (1 - self.confidence) * (1 - self.disagreement) * (1 - self.open)

    @property
    def reason(self) -> str:
        """The name of the largest doubt."""
        values = asdict(self)
        return max(values, key=lambda name: values[name])


def doubt_of(record: Record, label_map: NDArray[np.uint8], confidence: NDArray[np.uint8]) -> Doubt:
    """Return how much the labels of a picture are to be doubted; `Doubt` has the formula.

    Args:
        record: Record of the picture.
        label_map: [H, W] labels, as `s4 pseudo-label` made them.
        confidence: [H, W] confidence, 255 is certain.
    """
    labelled = [instance for instance in record["instances"] if is_labelled(instance)]
    others = [instance for instance in record["instances"] if not is_labelled(instance)]
    areas = np.array([instance["area"] for instance in labelled], np.float64)
    margins = np.array([np.clip(instance["margin"], 0, 1) for instance in labelled], np.float64)
    margin = float(((1 - margins) * areas).sum() / areas.sum()) if areas.sum() else 0.0
    known = label_map != IGNORE
    low = float(1 - confidence[known].mean() / 255) if known.any() else 1.0
    left_out = sum(instance["area"] for instance in others)
    open_share = _LEFT_OUT * left_out / max(1.0, left_out + float(areas.sum()))
    missing = _MISSING * len(record["missing"]) / max(1, len(record["keywords"]))
    is_open = 1.0 if record["rejected"] else 1 - (1 - open_share) * (1 - missing)
    return Doubt(margin, low, _disagreement(labelled, label_map), is_open)


def _disagreement(labelled: Sequence[Record], label_map: NDArray[np.uint8]) -> float:
    """Return the share of the foreground that is in instances and unlabelled, or labelled and in no instance."""
    inside = np.zeros(label_map.shape, bool)
    for instance in labelled:
        inside |= decode_masks([instance["segmentation"]], *label_map.shape)[0].astype(bool)
    foreground = (label_map != 0) & (label_map != IGNORE)
    either = int((inside | foreground).sum())
    return float((inside ^ foreground).sum() / either) if either else 0.0


def doubts_of(folder: LabelFolder, records: Callable[[], Sequence[Record]], events: Events) -> dict[str, Doubt]:
    """Return the doubts of all pictures of a label folder; they are kept in a file, and found once.

    Args:
        folder: The label folder.
        records: Returns the records of the pictures that did not fail.
        events: Receives progress.

    Raises:
        InputError: A label map is missing or damaged.
        MachineError: The file of the doubts cannot be written.
    """
    cache = folder.path / _CACHE
    stamp = _stamp(folder.path)
    found = _cached(cache, stamp)
    if found is not None:
        return found
    maps = OriginalMaps(folder)
    wanted = records()

    def one(record: Record) -> Doubt:
        return doubt_of(record, *maps.read(record["image_id"]))

    doubts = {}
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    with events.progress(len(wanted), "doubts") as progress, ThreadPoolExecutor(threads) as pool:
        for record, doubt in zip(wanted, pool.map(one, wanted), strict=True):
            doubts[record["image_id"]] = doubt
            progress.advance()
    rounded = {name: [round(value, 6) for value in asdict(doubt).values()] for name, doubt in doubts.items()}
    write_json(cache, {"stamp": stamp, "doubts": rounded}, indent=None)
    return _cached(cache, stamp) or doubts


def _stamp(labels: Path) -> list[int]:
    """Return what changes when the records change."""
    state = (labels / RECORDS).stat()
    return [_VERSION, state.st_size, state.st_mtime_ns]


def _cached(path: Path, stamp: list[int]) -> dict[str, Doubt] | None:
    """Return the doubts of a file; None if there is none for these records, or if it is damaged."""
    try:
        content: Any = read_json(path) if path.is_file() else None
        if not isinstance(content, Mapping) or content.get("stamp") != stamp:
            return None
        return {name: Doubt(*map(float, values)) for name, values in content["doubts"].items()}
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        return None
