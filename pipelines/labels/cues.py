"""What is known of a picture before its instances get keywords.

Assigning keywords to a whole set of pictures at once needs all of it at the same time; then the cues lie in a file for
each picture, some ten kilobytes, and labelling starts from there.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.data.rle import decode_masks, encode_masks
from pipelines.files import atomic_write
from pipelines.labels.assign import mean_inside
from pipelines.labels.attention import AttentionMaps
from pipelines.labels.cells import Cells, sample_cells
from pipelines.labels.instances import MaskSource
from pipelines.labels.recognizer import Recognizer
from s4net.instances import Instances

FALLBACK = 1 / 3  # of the least score, for a picture that would otherwise be empty


@dataclass(frozen=True, eq=False)
class PictureCues:
    """Instances of a picture, and how much they look like its K keywords.

    Attributes:
        masks: [N, H, W] bool, each with a pixel at least.
        scores: [N] float32 in 0..1.
        maps: [K, h, w] float32 attention, see `AttentionMaps`; None where it was not asked for.
        features: [N, D] float32, means of the attention network's features inside the masks; None likewise.
        log_odds: [N, K] float32, means of the maps inside the masks, in log-odds; None likewise.
        unit: log-odds of 1 in the maps.
        cells: some cells of the map [D, h, w] of those features; None likewise.
        recognised: [N] float32 in 0..1, see `Recognizer`; None where it was not asked for.
        windows: [K, h, w] float32 log-odds, see `Recognizer.windows`; None likewise.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    maps: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    log_odds: NDArray[np.float32] | None = None
    unit: float = 1.0
    cells: Cells | None = None
    recognised: NDArray[np.float32] | None = None
    windows: NDArray[np.float32] | None = None

    def save(self, path: Path) -> None:
        """Write to a file, atomically."""
        height, width = self.masks.shape[1:]
        content = io.BytesIO()
        given: dict[str, Any] = {
            "size": np.array([height, width]),
            "masks": np.array([rle["counts"] for rle in encode_masks(self.masks)], dtype=np.str_),
            "scores": self.scores,
            "maps": self.maps,
            "features": self.features,
            "log_odds": self.log_odds,
            "unit": np.float64(self.unit),
            "cells": None if self.cells is None else self.cells.features,
            "recognised": self.recognised,
            "windows": self.windows,
            "places": None if self.cells is None else self.cells.places,
        }
        np.savez_compressed(content, **{name: value for name, value in given.items() if value is not None})
        atomic_write(path, lambda file: file.write(content.getvalue()))


def load_cues(path: Path) -> PictureCues | None:
    """Read what `PictureCues.save` wrote; None if there is no such file, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            height, width = content["size"].tolist()
            rles = [{"size": [height, width], "counts": str(counts)} for counts in content["masks"]]
            optional = ("maps", "features", "log_odds", "recognised", "windows")
            rest = {name: content[name] for name in optional if name in content}
            masks = decode_masks(rles, height, width).astype(bool)
            cells = Cells(content["cells"], content["places"]) if "cells" in content else None
            return PictureCues(masks, content["scores"], unit=float(content["unit"]), cells=cells, **rest)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


@dataclass(frozen=True)
class CueFinder:
    """Looks at a picture with all networks.

    Attributes:
        find: where instances come from.
        attention: the network that knows the keywords; None: none is needed.
        min_score: instances scored below are left out; a picture without any keeps its best one down to a third.
        features: whether to keep features and log-odds of the instances of every picture.
        fill: whether maps are wanted of every picture, also of those without instance.
        cells: how many cells of the features to keep of every picture.
        recognise: looks at each instance by itself, and with `features` at windows; None: not asked for.
        names: of the class list; `recognise` asks for keywords by name.
    """

    find: MaskSource
    attention: AttentionMaps | None
    min_score: float
    features: bool = False
    fill: bool = False
    cells: int = 0
    recognise: Recognizer | None = None
    names: tuple[str, ...] = ()

    def __call__(self, image_id: str, picture: NDArray[np.uint8], keywords: Sequence[int]) -> PictureCues:
        """Return the cues of a picture.

        Args:
            image_id: its id.
            picture: [H, W, 3] RGB.
            keywords: K positions in the class list.

        Raises:
            InputError: nothing usable is known of it.
        """
        cues = self._look(image_id, picture, keywords)
        if self.recognise is None:
            return cues
        names = [self.names[keyword] for keyword in keywords]
        recognised = self.recognise(picture, cues.masks, names)
        windows = self.recognise.windows(picture, names) if self.features else None
        return replace(cues, recognised=recognised, windows=windows)

    def _look(self, image_id: str, picture: NDArray[np.uint8], keywords: Sequence[int]) -> PictureCues:
        kept = _confident(self.find(image_id, picture), self.min_score)
        masks, scores = kept.masks.cpu().numpy(), kept.scores.float().cpu().numpy()
        wanted = self.fill or (len(masks) > 0 and (self.features or len(keywords) > 1))
        if self.attention is None or not wanted:
            return PictureCues(masks, scores)
        maps, seen = self.attention.look(picture, keywords)
        if not self.features or not len(masks):
            return PictureCues(masks, scores, maps, unit=self.attention.unit)
        unit = self.attention.unit
        log_odds = mean_inside(masks, maps) * np.float32(unit)
        cells = sample_cells(seen, self.cells, image_id) if self.cells else None
        return PictureCues(masks, scores, maps, mean_inside(masks, seen), log_odds, unit, cells)


def _confident(found: Instances, min_score: float) -> Instances:
    """The instances scored `min_score` or more and with a mask; without any, the best one down to a third of it."""
    with torch.inference_mode():
        seen = found.masks.flatten(1).any(dim=1)
        found = Instances(found.boxes[seen], found.scores[seen], found.masks[seen])
        kept = found.above(min_score)
        if len(kept) or not len(found):
            return kept
        best = found.scores == found.scores.max()
        first = int(best.nonzero()[0])
        one = slice(first, first + 1)
        return Instances(found.boxes[one], found.scores[one], found.masks[one]).above(min_score * FALLBACK)
