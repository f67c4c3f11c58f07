"""Names the instances of one picture: assigns keywords, divides instances that show several, doubts unsure ones.

`pipelines.labels.assign_in_picture` chooses keywords picture by picture, `assign_set` for all pictures together.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import (
    UNASSIGNED,
    Assignment,
    assign_attention,
    assign_named,
    assign_random,
    assign_single,
)
from pipelines.labels.cues import PictureCues
from pipelines.labels.divide import divide_by_evidence, split_fused
from pipelines.labels.paint import Painted
from pipelines.labels.plan import LabelPlan

_RECOGNISED = 0.3  # on pictures of six classes, 2 % of the true animals are below, and most of what is no animal


@dataclass(frozen=True, eq=False)
class NamedInstances:
    """M instances and parts of instances, with their keywords.

    Attributes:
        masks: [M, H, W] bool.
        scores: [M] float32; a part has the score of its whole instance.
        assignment: Keywords of the instances and parts.
        parents: [M], the instance that each one comes from.
        low: [M] bool, whether the score is too low for a label.
        recognised: [M] float32 in 0..1, see `Recognizer`; None if not asked for.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    assignment: Assignment
    parents: NDArray[np.int64]
    low: NDArray[np.bool_]
    recognised: NDArray[np.float32] | None

    @property
    def strange(self) -> NDArray[np.bool_]:
        """[M] bool, whether the instance looks like nothing that the keywords can mean."""
        return np.zeros_like(self.low) if self.recognised is None else self.recognised < _RECOGNISED

    @property
    def sure(self) -> NDArray[np.bool_]:
        """[M] bool, whether the instance gets a label: neither `low` nor `strange`."""
        return ~(self.low | self.strange)

    @property
    def painted(self) -> Painted:
        """The instances as they are painted: sure ones with their keyword, the others without keyword."""
        keyword = np.where(self.sure, self.assignment.keyword, UNASSIGNED)
        of_kind = None if self.recognised is None else np.where(self.strange, self.recognised, np.float32(np.nan))
        return Painted(self.masks, self.scores, keyword, of_kind)


def name_instances(
    config: PseudoLabelConfig, plan: LabelPlan, image_id: str, cues: PictureCues, assignment: Assignment | None
) -> NamedInstances:
    """Give the instances of a picture their keywords, and divide those that show several.

    Args:
        config: Settings of the labels.
        plan: The strategy, and the keywords of the picture.
        image_id: Id of the picture.
        cues: Cues of the picture.
        assignment: The keywords that all pictures together gave; None if the strategy decides picture by picture.
    """
    keywords = plan.keywords[image_id]
    if assignment is None:
        assignment = _assign(config, plan, image_id, cues, keywords)
    if cues.named is not None:
        assignment = assign_named(assignment, cues.named)
    masks, parents = cues.masks, np.arange(len(cues.masks))
    if assignment.rule == "attention" and cues.attention is not None:
        masks, parents, assignment = split_fused(masks, assignment, cues.attention.maps, keywords)
    if assignment.rule == "graph" and cues.attention is not None:
        masks, parents, assignment = divide_by_evidence(masks, assignment, cues.attention.log_odds, keywords)
    scores = cues.scores[parents]
    low = (scores < config.sure_score) & (scores < scores.max(initial=0))
    recognised = None if cues.recognised is None else cues.recognised[parents]
    return NamedInstances(masks, scores, assignment, parents, low, recognised)


def _assign(
    config: PseudoLabelConfig, plan: LabelPlan, image_id: str, cues: PictureCues, keywords: Keywords
) -> Assignment:
    n = len(cues.masks)
    if plan.strategy == "random":
        return assign_random(
            n, keywords, np.random.default_rng([config.seed, zlib.crc32(image_id.encode("utf-8", "surrogateescape"))])
        )
    if plan.strategy == "attention" and len(keywords) > 1 and cues.attention is not None:
        return assign_attention(cues.masks, cues.attention.maps, keywords, config.margin)
    return assign_single(n, keywords)
