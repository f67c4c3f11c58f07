"""Cues: what the networks find in a picture, before its instances get keywords.

The instances of all pictures may get their keywords together, which needs the cues of all pictures at the same time.
In that case the cues of each picture are kept in a file of some ten kilobytes, and labelling reads the files.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.data.rle import decode_masks, encode_masks
from pipelines.errors import InputError
from pipelines.files import atomic_write
from pipelines.labels.attention import AttentionMaps
from pipelines.labels.cells import Cells, sample_cells
from pipelines.labels.coarse_maps import mean_inside
from pipelines.labels.instances import FoundInstances, MaskSource
from pipelines.labels.recognizer import Recognizer
from pipelines.regular_files import open_regular

FALLBACK = 1 / 3  # share of `min_score` that is enough in a picture without a better instance


@dataclass(frozen=True, eq=False)
class KeywordMaps:
    """Where a picture shows each of its K keywords.

    Attributes:
        maps: [K, h, w] float32 attention, see `AttentionMaps`.
        unit: Log-odds that a value of 1 in the maps stands for.
    """

    maps: NDArray[np.float32]
    unit: float

    @property
    def log_odds(self) -> NDArray[np.float32]:
        """The maps [K, h, w] in log-odds."""
        return self.maps * np.float32(self.unit)


@dataclass(frozen=True, eq=False)
class InstanceLooks:
    """What the N instances of a picture look like to the attention network.

    Attributes:
        features: [N, D] float32, means of the network's features inside the masks.
        log_odds: [N, K] float32, means of the attention maps inside the masks, in log-odds.
    """

    features: NDArray[np.float32]
    log_odds: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PictureCues:
    """The N instances of a picture, and how much they look like its K keywords.

    Attributes:
        masks: [N, H, W] bool, each with at least one pixel.
        scores: [N] float32 in 0..1.
        attention: Attention maps of the keywords; None if not asked for.
        looks: What the instances look like; None if not asked for, or if N is 0.
        cells: Some cells of the attention network's features [D, h, w]; None if not asked for.
        recognised: [N] float32 in 0..1, see `Recognizer`; None if not asked for.
        windows: [K, h, w] float32 log-odds, see `Recognizer.windows`; None if not asked for.
        named: [N] int64, position of the keyword that the source of the instances gives itself, 0 for none; None if
            it gives none.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    attention: KeywordMaps | None = None
    looks: InstanceLooks | None = None
    cells: Cells | None = None
    recognised: NDArray[np.float32] | None = None
    windows: NDArray[np.float32] | None = None
    named: NDArray[np.int64] | None = None

    def save(self, path: Path) -> None:
        """Write to a file, atomically."""
        height, width = self.masks.shape[1:]
        arrays: dict[str, Any] = {
            "size": np.array([height, width]),
            "masks": np.array([rle["counts"] for rle in encode_masks(self.masks)], dtype=np.str_),
            "scores": self.scores,
        }
        for name, (_, keys) in _GROUPS.items():
            group = getattr(self, name)
            if group is not None:
                arrays |= {key: getattr(group, field) for field, key in keys.items()}
        arrays |= {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        atomic_write(path, lambda file: file.write(content.getvalue()))


# Names in the file of the optional fields of `PictureCues`. Writing and reading both follow these two tables. A test
# checks that every optional field stands in one of them.
_GROUPS: dict[str, tuple[type, dict[str, str]]] = {
    "attention": (KeywordMaps, {"maps": "maps", "unit": "unit"}),
    "looks": (InstanceLooks, {"features": "features", "log_odds": "log_odds"}),
    "cells": (Cells, {"features": "cells", "places": "places"}),
}
_ARRAYS = ("recognised", "windows", "named")
_MEMBERS = slice(-12, -10)  # bytes of a zip archive without a comment that count its members


def load_cues(path: Path) -> PictureCues | None:
    """Read what `PictureCues.save` wrote; return None if the file is missing or damaged.

    Raises:
        MachineError: The store that the file lies in does not answer.
    """
    try:
        with open_regular(path) as file:
            archive = file.read()
    except (OSError, InputError):  # a FIFO or a device is no file of cues either
        return None
    try:
        with np.load(io.BytesIO(archive), allow_pickle=False) as content:
            height, width = content["size"].tolist()
            rles = [{"size": [height, width], "counts": str(counts)} for counts in content["masks"]]
            masks = decode_masks(rles, height, width).astype(bool)
            rest: dict[str, Any] = {name: content[name] for name in _ARRAYS if name in content}
            known = {"size", "masks", "scores", *rest}
            for name, (group, keys) in _GROUPS.items():
                if all(key in content for key in keys.values()):
                    known |= set(keys.values())
                    rest[name] = group(**{field: _number_or_array(content[key]) for field, key in keys.items()})
            # A damaged directory must not make a field look as if it had never been written.
            is_whole = set(content.files) == known and len(known) == int.from_bytes(archive[_MEMBERS], "little")
            return PictureCues(masks, content["scores"], **rest) if is_whole else None
    except MemoryError:  # of this machine, and not of the file
        raise
    except Exception:  # a damaged archive fails in as many ways as there are headers
        return None


def _number_or_array(value: NDArray[Any]) -> Any:
    return value if value.ndim else value.item()


@dataclass(frozen=True)
class CueFinder:
    """A callable: (image_id, picture, keywords) -> what all networks find in the picture.

    Attributes:
        find: Source of the instances.
        attention: The attention network; None if it is not needed.
        min_score: Instances with a lower score are left out. If none is left, the best one stays from a third of
            `min_score` on.
        looks: Whether to keep what the instances look like, and attention maps of every picture, also without an
            instance.
        fill: Whether attention maps are needed for every picture.
        cells: How many cells of the features to keep of every picture; 0 for none.
        recognise: Judges each instance, and windows if `looks` is set; None if not asked for.
    """

    find: MaskSource
    attention: AttentionMaps | None
    min_score: float
    looks: bool = False
    fill: bool = False
    cells: int = 0
    recognise: Recognizer | None = None

    def __call__(self, image_id: str, picture: NDArray[np.uint8], keywords: Keywords) -> PictureCues:
        """Return the cues of a picture.

        Args:
            image_id: Id of the picture.
            picture: [H, W, 3] RGB.
            keywords: Keywords of the picture.

        Raises:
            InputError: The source of instances knows nothing usable of the picture.
        """
        cues = self._look(image_id, picture, keywords)
        if self.recognise is None:
            return cues
        windows = self.recognise.windows(picture, keywords.names) if self.looks else None
        return replace(cues, recognised=self.recognise(picture, cues.masks, keywords.names), windows=windows)

    def _look(self, image_id: str, picture: NDArray[np.uint8], keywords: Keywords) -> PictureCues:
        kept = confident(self.find(image_id, picture), self.min_score)
        masks = kept.masks
        cues = PictureCues(masks, kept.scores, named=kept.named if kept.named.any() else None)
        wanted = self.fill or self.looks or (len(masks) > 0 and len(keywords) > 1)
        if self.attention is None or not wanted:
            return cues
        maps, seen = self.attention.look(picture, keywords)
        shown = KeywordMaps(maps, self.attention.unit)
        if not self.looks:
            return replace(cues, attention=shown)
        cells = sample_cells(seen, self.cells, image_id) if self.cells else None
        if not len(masks):
            return replace(cues, attention=shown, cells=cells)
        looks = InstanceLooks(mean_inside(masks, seen), mean_inside(masks, maps) * np.float32(shown.unit))
        return replace(cues, attention=shown, looks=looks, cells=cells)


def confident(found: FoundInstances, min_score: float) -> FoundInstances:
    """Keep the instances that have a mask and a score of at least `min_score`.

    If none is left, keep the best one that has a mask and a score of at least a third of `min_score`.
    """
    found = found.at(np.flatnonzero(found.masks.any(axis=(1, 2))))
    kept = np.flatnonzero(found.scores >= min_score)
    if not len(kept) and len(found):
        best = np.array([found.scores.argmax()])  # the first of equal ones
        kept = best[found.scores[best] >= min_score * FALLBACK]
    return found.at(kept)
