"""Labels from cues that were found before: of the instances, of one saliency map for each picture, or of attention.

The S4Net paper's Table 5 compares labels from salient instances with labels from saliency maps. Here both come from the
same pixels, found once. So the comparison tells what it is worth to know which pixels belong to one object.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import Keywords
from pipelines.data.working_size import WorkingSize
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import PictureCues, confident
from pipelines.labels.missing import FILLED_CONFIDENCE, shown_pixels
from pipelines.labels.picture_work import PictureWork
from pipelines.labels.plan import LabelPlan

Shape = Literal["instances", "saliency", "attention"]
"""What labels are made from.

instances: each instance by itself. saliency: the union of all instances, as one. attention: the pixels where attention
maps show a keyword, without any instance.
"""


def saliency(cues: PictureCues) -> PictureCues:
    """Return the union of all instances as a single instance, which has the highest of their scores.

    Args:
        cues: Cues of a picture. Without an instance there is none afterwards either.
    """
    if not len(cues.masks):
        return PictureCues(cues.masks, cues.scores, cues.attention)
    union = np.logical_or.reduce(cues.masks, axis=0, keepdims=True)
    return PictureCues(union, cues.scores.max(keepdims=True), cues.attention)


def attention_alone(cues: PictureCues, keywords: Keywords) -> PictureCues:
    """Return the pixels where attention shows each keyword as an instance that is named after the keyword.

    The pixels are those that `--fill` labels. A keyword that is shown nowhere has no instance.

    Args:
        cues: Cues of a picture, with its attention maps.
        keywords: The K keywords, in the order of the maps.
    """
    size = cues.masks.shape[1:]
    maps = np.zeros((len(keywords), 1, 1), np.float32) if cues.attention is None else cues.attention.maps
    masks = np.stack(list(shown_pixels(maps, list(range(len(keywords))), size).values()))
    kept = np.flatnonzero(masks.any(axis=(1, 2)))
    scores = np.full(len(kept), FILLED_CONFIDENCE / 255, np.float32)
    return PictureCues(masks[kept], scores, cues.attention, named=np.array(keywords.positions, np.int64)[kept])


class ShapedCues(CueStore):
    """Cues of a folder, each changed as it is read.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path, change: Callable[[str, PictureCues], PictureCues]) -> None:
        """Take the change: a function of an image id and its cues."""
        super().__init__(folder)
        self._change = change

    def load(self, image_id: str, size: tuple[int, int] | None = None) -> PictureCues:
        """Read the cues of a picture, and change them; see `CueStore.load`."""
        return self._change(image_id, super().load(image_id, size))


class StoredWork(PictureWork):
    """What labelling does with single pictures whose cues were found before.

    The cues hold what the networks find in a picture for a plan in two passes. Of that, each plan sees its own part. So
    the labels are those that `s4 pseudo-label` makes with the settings of the plan.
    """

    def __init__(
        self, config: PseudoLabelConfig, plan: LabelPlan, found: Path, shape: Shape, writes: bool = False
    ) -> None:
        """Open nothing yet.

        Args:
            config: Settings of the labels.
            plan: The pictures, and how to label them. Masks of another program take the place of the instances.
            found: Folder of the cues.
            shape: What labels are made from.
            writes: See `PictureWork`.
        """
        super().__init__(config, plan, writes)
        self._found, self._shape = found, shape

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process gets."""
        return StoredWork, (self.config, self.plan, self._found, self._shape, True)

    @cached_property
    def store(self) -> CueStore:
        """The cues as the plan sees them."""
        return ShapedCues(self._found, self._shaped)

    def _shaped(self, image_id: str, cues: PictureCues) -> PictureCues:
        """Return the part of a picture's cues that the plan asks for, in the shape that labels are made from."""
        if self._shape == "attention":
            return attention_alone(cues, self.plan.keywords[image_id])
        if self._shape == "saliency":
            return saliency(cues)
        recognised = cues.recognised if self.plan.recognise else None
        windows = cues.windows if self.plan.recognise and self.plan.in_two_passes else None
        return replace(cues, cells=cues.cells if self.plan.cells else None, recognised=recognised, windows=windows)

    def _cues(self, image_id: str, picture: NDArray[np.uint8], size: WorkingSize) -> PictureCues:
        """Return the cues of a picture; see `PictureWork`."""
        if self.plan.masks is None:
            return self.store.load(image_id, size.size)
        # The cues in the store have the instances of the network. Of these cues, the attention maps alone are wanted.
        found = confident(self._find(image_id, picture), self.config.min_score)
        attention = CueStore(self._found).load(image_id, size.size).attention
        return self._shaped(image_id, PictureCues(found.masks, found.scores, attention))
