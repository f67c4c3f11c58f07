"""Makes the label map and the record of one picture, from its cues and from what all pictures taught."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.checking import require_same_size
from pipelines.data.classes import IGNORE, ClassList, Keywords
from pipelines.data.images import image_size
from pipelines.data.label_folder import LabelFolder
from pipelines.data.picture_folders import name_below
from pipelines.data.record_files import Record
from pipelines.data.review import PictureReview
from pipelines.data.review_maps import Maps, OriginalMaps, ReviewedLabels, corrected_maps
from pipelines.data.rle import boxes_of
from pipelines.data.working_size import WorkingSize
from pipelines.engine.distributed import choose_device
from pipelines.labels.assign_in_picture import UNASSIGNED
from pipelines.labels.attention import AttentionMaps
from pipelines.labels.cells import CELL_WEIGHT, CellWitness
from pipelines.labels.cues import PictureCues
from pipelines.labels.earlier_deeplab import SEGMENTER_WEIGHT, Segmenter
from pipelines.labels.fuse import instance_probabilities, pool, unassigned_pixels, weigh
from pipelines.labels.instance_keywords import NamedInstances, name_instances
from pipelines.labels.learn import Evidence
from pipelines.labels.missing import fill_keywords, missing_keywords, shown_pixels
from pipelines.labels.paint import LabelMaps, Painted, near_other_labels, paint_label_map
from pipelines.labels.plan import LabelPlan
from pipelines.labels.windows import WINDOW_WEIGHT
from pipelines.networks.crf import refined_map

Witness = Callable[[str, NDArray[np.uint8], Keywords], NDArray[np.float32]]
"""(image_id, picture [H, W, 3], its K keywords) -> probabilities [1 + K, H, W], background first.

A witness has an opinion of its own on every pixel of a picture, beside the opinion of the instances.
"""


def gather_witnesses(
    plan: LabelPlan, evidence: Evidence, segmenter: Segmenter | None, attention: AttentionMaps | None
) -> list[tuple[Witness, float]]:
    """Return the witnesses that are heard beside the instances, each with its weight.

    Args:
        plan: The pictures, and how to label them.
        evidence: What was learned from all pictures.
        segmenter: The DeepLab of an earlier round, if there is one.
        attention: The attention network, if there is one; the classifier of cells needs it.
    """
    witnesses: list[tuple[Witness, float]] = []
    if segmenter is not None:
        witnesses.append((segmenter, SEGMENTER_WEIGHT))
    if evidence.cells is not None and attention is not None:
        witnesses.append((CellWitness(attention, evidence.cells, plan.numbers), CELL_WEIGHT))
    return witnesses


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """What is written for a picture: its record, and two maps [H, W] uint8.

    There are no maps if the picture failed, or if they are written already. The maps as they were made are there if
    people have corrected them.
    """

    record: Record
    label_map: NDArray[np.uint8] | None = None
    confidence: NDArray[np.uint8] | None = None
    original: Maps | None = None

    def corrected(self, review: PictureReview, classes: ClassList) -> "PictureLabels":
        """Return the labels as people had corrected earlier ones of the same picture."""
        assert self.label_map is not None and self.confidence is not None
        original = self.label_map, self.confidence
        return PictureLabels(self.record, *corrected_maps(original, self.record, review, classes), original)

    def write(self, folder: LabelFolder) -> None:
        """Write the maps, if there are any."""
        if self.original is not None:
            OriginalMaps(folder).keep(self.record["image_id"], self.original)
        if self.label_map is not None and self.confidence is not None:
            folder.write_label(self.record["image_id"], self.label_map)
            folder.write_confidence(self.record["image_id"], self.confidence)


def reviewed_labels(
    config: PseudoLabelConfig, plan: LabelPlan, reviewed: ReviewedLabels, image_id: str
) -> PictureLabels:
    """Return the labels of a picture as people corrected them.

    The record is that of the earlier round: the corrections of instances lie in the journal, which the new folder takes
    over. So a review can go on in the new folder, and everything can be undone there too.

    Raises:
        InputError: A map is missing or damaged, or of another size than the picture [label-size].
    """
    label_map, confidence = reviewed.maps(image_id)
    picture = plan.images[image_id]
    require_same_size(picture, image_size(picture), reviewed.path, label_map.shape)
    earlier = reviewed.records[image_id]
    rejected = "review" if reviewed.is_rejected(image_id) else earlier["rejected"]
    if rejected != "review" and (label_map != IGNORE).any():
        rejected = None
    record = {**earlier, "file_name": name_below(picture, config.images), "rejected": rejected}
    return PictureLabels(record, label_map, confidence)


class PictureLabeller:
    """A callable: (image_id, picture, cues) -> labels of the picture."""

    def __init__(
        self,
        config: PseudoLabelConfig,
        plan: LabelPlan,
        evidence: Evidence,
        witnesses: Sequence[tuple[Witness, float]] = (),
    ) -> None:
        """Take what is the same for all pictures.

        Args:
            config: Settings of the labels.
            plan: The pictures, and how to label them.
            evidence: What was learned from all pictures.
            witnesses: The witnesses beside the instances, each with its weight. Instances have weight 1.
        """
        self.config, self.plan, self.evidence, self.witnesses = config, plan, evidence, witnesses
        self.device = choose_device(config.device)

    def __call__(
        self, image_id: str, picture: NDArray[np.uint8], cues: PictureCues, size: WorkingSize | None = None
    ) -> PictureLabels:
        """Label a picture.

        Args:
            image_id: Id of the picture.
            picture: [h, w, 3] RGB, of its working size.
            cues: Cues of the picture.
            size: Size of the picture, at which its labels are written; None if it was not reduced.
        """
        size = size or WorkingSize((picture.shape[0], picture.shape[1]))
        keywords = self.plan.keywords[image_id]
        named = name_instances(self.config, self.plan, image_id, cues, self.evidence.assignments.get(image_id))
        keyword = named.assignment.keyword
        label_map, confidence = self._maps(image_id, picture, named.painted, cues)
        if self.config.fill and cues.attention is not None:
            fill_keywords(cues.attention.maps, keywords, keyword, label_map, confidence)
        missing = missing_keywords(keywords, keyword)
        rejected = self._rejected(label_map)
        if rejected:
            label_map[:] = IGNORE
        elif self.config.border:
            label_map[near_other_labels(label_map, -(-self.config.border // max(size.factors)))] = IGNORE
        confidence[label_map == IGNORE] = 0
        record = {
            "image_id": image_id,
            "file_name": name_below(self.plan.images[image_id], self.config.images),
            "height": size.shown[0],
            "width": size.shown[1],
            "keywords": list(keywords.names),
            "missing": [keywords.names[number] for number in missing],
            "filled": [keywords.names[number] for number in missing if (label_map == keywords.positions[number]).any()],
            "rejected": rejected,
            "instances": _instance_records(named, self.plan.classes, size),
        }
        return PictureLabels(record, size.enlarge(label_map), size.enlarge(confidence))

    def _maps(self, image_id: str, picture: NDArray[np.uint8], painted: Painted, cues: PictureCues) -> LabelMaps:
        """Return label map and confidence, before `fill`, `border` and the share of foreground change them."""
        of_instances = paint_label_map(painted, picture.shape[:2])
        others_speak = bool(self.witnesses) or self.evidence.windows is not None
        if not others_speak and self.config.refine == "none":
            return of_instances
        fused = self._fused_maps(image_id, picture, painted, cues)
        # A keyword says that the picture shows it. If the others leave no pixel of any keyword, they are not believed.
        shows_nothing = not ((fused.label_map != 0) & (fused.label_map != IGNORE)).any()
        return of_instances if others_speak and shows_nothing else fused

    def _fused_maps(self, image_id: str, picture: NDArray[np.uint8], painted: Painted, cues: PictureCues) -> LabelMaps:
        """Return label map and confidence that follow from instances, witnesses and windows together, refined."""
        keywords, size = self.plan.keywords[image_id], picture.shape[:2]
        if not self.witnesses:
            painted = replace(painted, of_kind=None)  # below, instances without keyword become 255 all the same
        opinions = [instance_probabilities(painted, keywords, size, self._missing(painted, cues, keywords))]
        opinions += [witness(image_id, picture, keywords) for witness, _ in self.witnesses]
        probabilities = pool(opinions, [1.0, *(weight for _, weight in self.witnesses)])
        if self.evidence.windows is not None and cues.windows is not None:
            # Windows only count inside instances. Just outside an instance, the coarse windows still see it.
            inside = painted.masks.any(axis=0)
            likelihood = np.where(inside, self.evidence.windows(cues.windows, keywords, size), np.float32(1))
            probabilities = weigh(probabilities, likelihood, WINDOW_WEIGHT)
        if self.config.refine == "crf":
            winner = refined_map(probabilities, picture, self.config.crf_preset, self.device)
        else:
            winner = probabilities.argmax(axis=0)
        label_map = np.array([0, *keywords.positions], np.uint8)[winner]
        if not self.witnesses:  # only witnesses can tell what an instance without keyword shows
            label_map[unassigned_pixels(painted, size)] = IGNORE
        # The CRF makes nearly every pixel sure. So confidence is the probability that the label had before the CRF.
        worth = np.take_along_axis(probabilities, winner[None], axis=0)[0]
        return LabelMaps(label_map, np.rint(255 * worth).astype(np.uint8))

    def _missing(
        self, painted: Painted, cues: PictureCues, keywords: Keywords
    ) -> Mapping[int, NDArray[np.bool_]] | None:
        """Return where attention shows the keywords without instance; None if cells do not tell how sure that is."""
        if self.evidence.cells is None or cues.attention is None:
            return None
        return shown_pixels(cues.attention.maps, missing_keywords(keywords, painted.keyword), painted.masks.shape[1:])

    def _rejected(self, label_map: NDArray[np.uint8]) -> str | None:
        """Return the rule that makes the whole picture 255, if one holds.

        A keyword says that the picture shows it. A label map that is background throughout would teach that it is not
        there. Where an instance without keyword or an unsure one is 255, the thing may be that instance, and training
        ignores its pixels. Such a map still teaches what is background, so it stays, unless `least_foreground` is
        above 0.
        """
        foreground = float(((label_map != 0) & (label_map != IGNORE)).mean())
        if (label_map == 0).all() or (label_map == IGNORE).all():
            return "nothing-found"
        if foreground < self.config.least_foreground:
            return "too-little-foreground"
        return "too-much-foreground" if foreground > self.config.most_foreground else None


def _instance_records(named: NamedInstances, classes: ClassList, size: WorkingSize) -> Sequence[dict[str, Any]]:
    """Describe each instance as a JSON object, in the order of the masks.

    `box` is the half-open box of the mask. `rule` is that of the assignment, `named` for an instance whose source names
    its keyword, or `split` for a part that was cut out.
    `doubt` says why an instance is not labelled: `unrecognised` or `low-score`. It is None if the instance is sure.
    """
    masks, scores, assignment = named.masks, named.scores, named.assignment
    doubts = np.where(named.strange, "unrecognised", np.where(named.low, "low-score", "")).tolist()
    rles = size.encode(masks)
    boxes = boxes_of(rles).tolist()
    n_whole, comes_named = len(set(named.parents.tolist())), assignment.is_named
    instances = []
    for number, rle in enumerate(rles):
        keyword = int(assignment.keyword[number])
        instances.append(
            {
                "box": boxes[number],
                "score": round(float(scores[number]), 6),
                "keyword": None if keyword == UNASSIGNED else classes.name_of(keyword),
                "margin": round(float(assignment.margin[number]), 6),
                "rule": "split" if number >= n_whole else "named" if comes_named[number] else assignment.rule,
                "recognised": None if named.recognised is None else round(float(named.recognised[number]), 6),
                "sure": not doubts[number],
                "doubt": doubts[number] or None,
                "area": size.area(masks[number]),
                "segmentation": rle,
            }
        )
    return instances
