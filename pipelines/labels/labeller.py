"""From the cues of one picture, and the keywords of its instances, to its label map and its record."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import IGNORE
from pipelines.data.record_files import Record
from pipelines.data.rle import boxes_of, encode_masks
from pipelines.engine.distributed import choose_device
from pipelines.labels.assign import (
    UNASSIGNED,
    Assignment,
    assign_attention,
    assign_random,
    assign_single,
    compose_label_map,
    divide_by_evidence,
    split_fused,
)
from pipelines.labels.cues import PictureCues
from pipelines.labels.earlier_round import SEGMENTER_WEIGHT, Segmenter
from pipelines.labels.fuse import (
    FILLED_CONFIDENCE,
    Painted,
    instance_probabilities,
    near_other_labels,
    pool,
    shown_pixels,
    unassigned_pixels,
    weigh,
)
from pipelines.labels.plan import LabelPlan
from pipelines.labels.windows import WINDOW_WEIGHT, WindowProbe
from pipelines.networks.refine import refine

_RECOGNISED = 0.3  # of pictures of six classes, 2 % of the true animals are below, and most of what is none

Witness = Callable[[str, NDArray[np.uint8], Sequence[int]], NDArray[np.float32]]
"""Id, picture [H, W, 3] and K positions in the class list -> probabilities [1 + K, H, W], background first."""


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """What is written for a picture: its record, and maps [H, W] uint8 unless it failed."""

    record: Record
    label_map: NDArray[np.uint8] | None = None
    confidence: NDArray[np.uint8] | None = None


class PictureLabeller:
    """Labels pictures, each by itself.

    Attributes:
        witnesses: What is heard beside the instances, each with its weight, where that of the instances is 1.
        window_probe: What the windows of the cues are worth; None: nothing.
    """

    def __init__(self, config: PseudoLabelConfig, plan: LabelPlan) -> None:
        """Load what refines the labels.

        Raises:
            InputError: the segmenter cannot be used.
            ConfigError: it knows other classes [class-list-differs].
        """
        self.config, self.plan = config, plan
        self.witnesses: list[tuple[Witness, float]] = []
        if config.segmenter is not None:
            self.witnesses.append((Segmenter(config, plan.classes), SEGMENTER_WEIGHT))
        self.window_probe: WindowProbe | None = None
        self.device = choose_device(config.device)

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
        keywords = self.plan.keywords[image_id]
        named = self._named(image_id, cues, assignment)
        assignment = named.assignment
        label_map, confidence = self._maps(image_id, picture, named.painted, cues.windows)
        filled: list[str] = []
        if self.config.fill and cues.maps is not None:
            filled = self._fill(image_id, cues.maps, assignment, label_map, confidence)
        rejected = self._rejected(label_map)
        if rejected:
            label_map[:] = IGNORE
        elif self.config.border:
            label_map[near_other_labels(label_map, self.config.border)] = IGNORE
        confidence[label_map == IGNORE] = 0
        record = {
            "image_id": image_id,
            "file_name": self.plan.images[image_id].relative_to(self.config.images).as_posix(),
            "height": picture.shape[0],
            "width": picture.shape[1],
            "keywords": list(keywords),
            "missing": [name for number, name in enumerate(keywords) if number not in assignment.keyword],
            "filled": filled,
            "rejected": rejected,
            "instances": _instance_records(named, keywords),
        }
        return PictureLabels(record, label_map, confidence)

    def from_instances(
        self, image_id: str, cues: PictureCues, assignment: Assignment | None = None
    ) -> NDArray[np.uint8]:
        """The label map [H, W] as instances alone tell it, without witness or refinement."""
        painted = self._named(image_id, cues, assignment).painted
        return self._painted_maps(image_id, painted, cues.masks.shape[1:])[0]

    def _named(self, image_id: str, cues: PictureCues, assignment: Assignment | None) -> "_Named":
        """The instances with their keywords, those divided that show several."""
        if assignment is None:
            assignment = self._assign(image_id, cues)
        masks, parents = cues.masks, np.arange(len(cues.masks))
        if assignment.rule == "attention" and cues.maps is not None:
            masks, parents, assignment = split_fused(masks, assignment, cues.maps)
        if assignment.rule == "graph" and cues.maps is not None:
            masks, parents, assignment = divide_by_evidence(masks, assignment, cues.maps * np.float32(cues.unit))
        scores = cues.scores[parents]
        low = (scores < self.config.sure_score) & (scores < scores.max(initial=0))
        recognised = None if cues.recognised is None else cues.recognised[parents]
        return _Named(masks, scores, assignment, parents, low, recognised)

    def _maps(
        self,
        image_id: str,
        picture: NDArray[np.uint8],
        painted: Painted,
        windows: NDArray[np.float32] | None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Label map and confidence [H, W], before anything is filled or marked as unsure."""
        positions, size = self.plan.positions(image_id), (picture.shape[0], picture.shape[1])
        alone = not self.witnesses and self.window_probe is None
        if alone and self.config.refine == "none":
            return self._painted_maps(image_id, painted, size)
        if not self.witnesses:
            painted = replace(painted, of_kind=None)  # what looks like something else stays open
        opinions = [instance_probabilities(painted, len(positions), size)]
        opinions += [witness(image_id, picture, positions) for witness, _ in self.witnesses]
        probabilities = pool(opinions, [1.0, *(weight for _, weight in self.witnesses)])
        if self.window_probe is not None and windows is not None:
            # They tell what an instance shows; around it they are too coarse, and still see it.
            inside = painted.masks.any(axis=0)
            likelihood = np.where(inside, self.window_probe(windows, positions, size), np.float32(1))
            probabilities = weigh(probabilities, likelihood, WINDOW_WEIGHT)
        unknown = unassigned_pixels(painted, size) & (not self.witnesses)  # they see what lies there
        refined = probabilities
        if self.config.refine == "crf":
            refined = refine(probabilities, picture, self.config.crf_preset, self.device)
        winner = refined.argmax(axis=0)
        label_map = np.append(np.uint8(0), self._indices(image_id))[winner]
        label_map[unknown] = IGNORE
        if not alone and not ((label_map != 0) & (label_map != IGNORE)).any():
            # A keyword says that something is there: witnesses that leave nothing of it are not believed.
            return self._painted_maps(image_id, painted, size)
        # A mean field is sure of nearly everything it says: what was known before it says how far to trust a label.
        worth = np.take_along_axis(probabilities, winner[None], axis=0)[0]
        return label_map, np.rint(255 * worth).astype(np.uint8)

    def _painted_maps(
        self, image_id: str, painted: Painted, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        indices = self._indices(image_id)
        palette = np.where(painted.keyword == UNASSIGNED, IGNORE, indices[painted.keyword]).astype(np.uint8)
        return compose_label_map(painted.masks, painted.scores, palette, size)

    def _indices(self, image_id: str) -> NDArray[np.uint8]:
        """Palette index [K] of each keyword of a picture."""
        return np.array([self.plan.classes.indices[k] for k in self.plan.positions(image_id)], np.uint8)

    def _fill(
        self,
        image_id: str,
        maps: NDArray[np.float32],
        assignment: Assignment,
        label_map: NDArray[np.uint8],
        confidence: NDArray[np.uint8],
    ) -> list[str]:
        """Label in place what the attention shows of keywords without instance; returns those of which there is any."""
        filled = []
        for number, position in enumerate(self.plan.positions(image_id)):
            if number not in assignment.keyword:
                shown = shown_pixels(maps, number, label_map.shape)
                label_map[shown], confidence[shown] = self.plan.classes.indices[position], FILLED_CONFIDENCE
                if shown.any():
                    filled.append(self.plan.keywords[image_id][number])
        return filled

    def _rejected(self, label_map: NDArray[np.uint8]) -> str | None:
        """The rule by which the whole picture is unknown, if one holds.

        A keyword says that something is there: a picture without any of it would teach that it is background.
        """
        foreground = float(((label_map != 0) & (label_map != IGNORE)).mean())
        if (label_map == 0).all() or (label_map == IGNORE).all():
            return "nothing-found"
        if foreground < self.config.least_foreground:
            return "too-little-foreground"
        return "too-much-foreground" if foreground > self.config.most_foreground else None

    def _assign(self, image_id: str, cues: PictureCues) -> Assignment:
        n, keywords = len(cues.masks), len(self.plan.keywords[image_id])
        if self.plan.strategy == "random":
            seed = [self.config.seed, zlib.crc32(image_id.encode())]
            return assign_random(n, keywords, np.random.default_rng(seed))
        if self.plan.strategy == "attention" and keywords > 1 and cues.maps is not None:
            return assign_attention(cues.masks, cues.maps, self.config.margin)
        return assign_single(n, keywords)


@dataclass(frozen=True, eq=False)
class _Named:
    """M instances and parts of them, with their keywords.

    Attributes:
        masks: [M, H, W] bool.
        scores: [M] float32, of the whole instance.
        assignment: Their keywords.
        parents: [M], the instance that each one comes from.
        low: [M] bool, whether its score is too low for a label.
        recognised: [M] float32 in 0..1, how probably it is of a kind with the keywords; None: not asked for.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    assignment: Assignment
    parents: NDArray[np.int64]
    low: NDArray[np.bool_]
    recognised: NDArray[np.float32] | None

    @property
    def strange(self) -> NDArray[np.bool_]:
        """[M] whether it looks like nothing that the keywords can mean."""
        return np.zeros_like(self.low) if self.recognised is None else self.recognised < _RECOGNISED

    @property
    def sure(self) -> NDArray[np.bool_]:
        """[M] whether nothing speaks against labelling it."""
        return ~(self.low | self.strange)

    @property
    def painted(self) -> Painted:
        """Those that are sure, with keyword; the others without."""
        keyword = np.where(self.sure, self.assignment.keyword, UNASSIGNED)
        of_kind = None if self.recognised is None else np.where(self.strange, self.recognised, np.float32(np.nan))
        return Painted(self.masks, self.scores, keyword, of_kind)


def _instance_records(named: _Named, keywords: Sequence[str]) -> list[dict[str, Any]]:
    """One JSON object for each instance, in the order of the masks.

    Boxes are those of the masks, half-open. The rule is that of the assignment, or `split` for a part that was cut out.
    The doubt is why it is not labelled: `unrecognised`, `low-score`, or none.
    """
    masks, scores, assignment = named.masks, named.scores, named.assignment
    doubts = np.where(named.strange, "unrecognised", np.where(named.low, "low-score", "")).tolist()
    rles = encode_masks(masks)
    boxes = boxes_of(rles).tolist()
    n_whole = len(set(named.parents.tolist()))
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
                "recognised": None if named.recognised is None else round(float(named.recognised[number]), 6),
                "sure": not doubts[number],
                "doubt": doubts[number] or None,
                "area": int(masks[number].sum()),
                "segmentation": rle,
            }
        )
    return instances
