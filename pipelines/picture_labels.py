"""From the cues of one picture, and the keywords of its instances, to its label map and its record."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import IGNORE
from pipelines.data.label_records import Record
from pipelines.data.rle import boxes_of, encode_masks
from pipelines.keywords import (
    UNASSIGNED,
    Assignment,
    assign_attention,
    assign_random,
    assign_single,
    compose_label_map,
    split_fused,
)
from pipelines.label_plan import LabelPlan
from pipelines.picture_cues import PictureCues


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """What is written for a picture: its record, and maps [H, W] uint8 unless it failed."""

    record: Record
    label_map: NDArray[np.uint8] | None = None
    confidence: NDArray[np.uint8] | None = None


class PictureLabeller:
    """Labels pictures, each by itself."""

    def __init__(self, config: PseudoLabelConfig, plan: LabelPlan) -> None:
        """Load what refines the labels.

        Raises:
            InputError: the segmenter cannot be used, or knows other classes.
        """
        self.config, self.plan = config, plan

    def __call__(
        self, image_id: str, picture: NDArray[np.uint8], cues: PictureCues, assignment: Assignment | None = None
    ) -> PictureLabels:
        """Label a picture.

        Args:
            image_id: its id.
            picture: [H, W, 3] RGB.
            cues: its N instances.
            assignment: their keywords; None: by the plan's strategy.
        """
        keywords, classes = self.plan.keywords[image_id], self.plan.classes
        size = (picture.shape[0], picture.shape[1])
        if assignment is None:
            assignment = self._assign(image_id, cues)
        masks, parents = cues.masks, np.arange(len(cues.masks))
        if assignment.rule == "attention" and cues.maps is not None:
            masks, parents, assignment = split_fused(masks, assignment, cues.maps)
        scores = cues.scores[parents]
        indices = [classes.indices[k] for k in self.plan.positions(image_id)]
        palette = np.array([IGNORE if k == UNASSIGNED else indices[k] for k in assignment.keyword], np.uint8)
        label_map, confidence = compose_label_map(masks, scores, palette, size)
        if not len(masks):
            label_map[:], confidence[:] = IGNORE, 0
        record = {
            "image_id": image_id,
            "file_name": self.plan.images[image_id].relative_to(self.config.images).as_posix(),
            "height": size[0],
            "width": size[1],
            "keywords": list(keywords),
            "missing": [name for number, name in enumerate(keywords) if number not in assignment.keyword],
            "instances": _instance_records(masks, scores, keywords, assignment, parents),
        }
        return PictureLabels(record, label_map, confidence)

    def _assign(self, image_id: str, cues: PictureCues) -> Assignment:
        n, keywords = len(cues.masks), len(self.plan.keywords[image_id])
        if self.plan.strategy == "random":
            seed = [self.config.seed, zlib.crc32(image_id.encode())]
            return assign_random(n, keywords, np.random.default_rng(seed))
        if keywords > 1 and cues.maps is not None:
            return assign_attention(cues.masks, cues.maps, self.config.margin)
        return assign_single(n, keywords)


def _instance_records(
    masks: NDArray[np.bool_],
    scores: NDArray[np.float32],
    keywords: Sequence[str],
    assignment: Assignment,
    parents: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """One JSON object for each instance, in the order of the masks.

    Boxes are those of the masks, half-open. The rule is that of the assignment, or `split` for a part that was cut out.
    """
    rles = encode_masks(masks)
    boxes = boxes_of(rles).tolist()
    n_whole = len(set(parents.tolist()))
    instances = []
    for number, rle in enumerate(rles):
        keyword = int(assignment.keyword[number])
        instances.append(
            {
                "box": boxes[number],
                "score": round(float(scores[number]), 6),
                "keyword": None if keyword == UNASSIGNED else keywords[keyword],
                "margin": round(float(assignment.margin[number]), 6),
                "rule": "split" if number >= n_whole else assignment.rule,
                "area": int(masks[number].sum()),
                "segmentation": rle,
            }
        )
    return instances
