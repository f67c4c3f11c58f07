"""Learns from the cues of all pictures, before the first picture is labelled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import IGNORE, Keywords
from pipelines.data.working_size import WorkingSize
from pipelines.labels.assign_in_picture import Assignment
from pipelines.labels.assign_in_set import PictureInstances, assign_set
from pipelines.labels.cells import CellProbe, cells_per_picture, fit_cells, labels_of_cells, some_places
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import InstanceLooks, PictureCues
from pipelines.labels.instance_keywords import name_instances
from pipelines.labels.missing import teach_missing
from pipelines.labels.paint import paint_label_map
from pipelines.labels.plan import LabelPlan
from pipelines.labels.windows import WindowProbe, fit_windows


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was learned from the cues of all pictures; empty if each picture is labelled by itself.

    Attributes:
        assignments: image_id -> keywords of its instances; empty if they are decided picture by picture.
        windows: What the log-odds of windows are worth; None if that was not learned.
        cells: What cells show; None if that was not learned.
    """

    assignments: Mapping[str, Assignment] = field(default_factory=dict)
    windows: WindowProbe | None = None
    cells: CellProbe | None = None

    def about(self, image_id: str) -> "Evidence":
        """Return what is needed for one picture."""
        own = {image_id: self.assignments[image_id]} if image_id in self.assignments else {}
        return replace(self, assignments=own)


def learn(
    config: PseudoLabelConfig, plan: LabelPlan, store: CueStore, has: Callable[[str], bool] | None = None
) -> Evidence:
    """Learn from all pictures whose cues are in the store.

    Windows and cells are learned from the label maps that instances alone give, and attention maps for keywords without
    an instance.

    Args:
        config: Settings of the labels.
        plan: The pictures, and how to label them.
        store: The cues of the pictures.
        has: Tells of which pictures there are cues, if the caller knows already; see `CueStore.presence`.

    Raises:
        InputError: A file of cues is damaged [cues-damaged].
    """
    lesson = _Lesson(config, plan, store, has or store.presence())
    assignments = lesson.assignments() if plan.strategy == "graph" else {}
    windows = lesson.windows(assignments) if plan.recognise else None
    return Evidence(assignments, windows, lesson.cells(assignments) if plan.cells else None)


class _Lesson:
    """The pictures whose cues are in the store, and what can be learned from them."""

    def __init__(self, config: PseudoLabelConfig, plan: LabelPlan, store: CueStore, has: Callable[[str], bool]) -> None:
        self.config, self.plan, self.store = config, plan, store
        rejected = plan.reviewed.is_rejected if plan.reviewed is not None else lambda image_id: False
        self.image_ids = [image_id for image_id in plan.images if has(image_id) and not rejected(image_id)]
        self.n_classes = len(plan.classes.names)

    def assignments(self) -> dict[str, Assignment]:
        """Give keywords to the instances of all pictures."""
        pictures = {}
        for image_id in self.image_ids:
            number, keywords = self.plan.numbers[image_id], self.plan.keywords[image_id]
            cues = self._certain_cues(image_id)
            features, log_odds = (None, None) if cues.looks is None else (cues.looks.features, cues.looks.log_odds)
            pictures[image_id] = PictureInstances(number, keywords, features, log_odds, cues.named)
        return assign_set(pictures, self.n_classes)

    def cells(self, assignments: Mapping[str, Assignment]) -> CellProbe | None:
        """Learn what cells show; return None if there is too little to learn from."""
        features, labels, pictures = [], [], []
        for image_id in self.image_ids:
            cues = self.store.load(image_id)
            if cues.cells is None or cues.attention is None:
                continue
            height, width = cues.attention.maps.shape[1:]
            label_map = self._label_map(image_id, cues, assignments)
            features.append(cues.cells.features)
            labels.append(labels_of_cells(label_map, (height, width), cues.cells.places))
            pictures.append(np.full(len(labels[-1]), self.plan.numbers[image_id], np.int64))
        if not features:
            return None
        return fit_cells(np.concatenate(features), np.concatenate(labels), np.concatenate(pictures), self.n_classes)

    def windows(self, assignments: Mapping[str, Assignment]) -> WindowProbe | None:
        """Learn what the log-odds of windows are worth; return None if there is too little to learn from."""
        log_odds, keywords, labels = [], [], []
        count = cells_per_picture(len(self.image_ids))
        for image_id in self.image_ids:
            cues = self.store.load(image_id)
            if cues.windows is None or not len(cues.masks):
                continue  # without an instance, attention alone would teach
            positions, (height, width) = self.plan.keywords[image_id].positions, cues.windows.shape[1:]
            places = some_places(height * width, count, image_id)
            seen = labels_of_cells(self._label_map(image_id, cues, assignments), (height, width), places)
            log_odds.append(cues.windows.reshape(len(positions), -1)[:, places].ravel())
            keywords.append(np.repeat(positions, len(places)).astype(np.int32))
            labels.append(np.tile(seen, len(positions)))
        if not log_odds:
            return None
        return fit_windows(np.concatenate(log_odds), np.concatenate(keywords), np.concatenate(labels), self.n_classes)

    def _label_map(self, image_id: str, cues: PictureCues, assignments: Mapping[str, Assignment]) -> NDArray[np.uint8]:
        """Return the label map [H, W] to learn from: that of the instances alone, or as people corrected it."""
        corrected = self._corrected(image_id, cues)
        if corrected is not None:
            return corrected
        painted = name_instances(self.config, self.plan, image_id, cues, assignments.get(image_id)).painted
        label_map = paint_label_map(painted, cues.masks.shape[1:]).label_map
        maps = None if cues.attention is None else cues.attention.maps
        teach_missing(label_map, maps, self.plan.keywords[image_id], painted.keyword)
        return label_map

    def _corrected(self, image_id: str, cues: PictureCues) -> NDArray[np.uint8] | None:
        """Return the label map that people corrected, at the size [H, W] of the cues; None if nobody did."""
        reviewed = self.plan.reviewed
        if reviewed is None or image_id not in reviewed:
            return None
        label_map = reviewed.maps(image_id)[0]
        size = WorkingSize.of((label_map.shape[0], label_map.shape[1]))
        if size.size != cues.masks.shape[1:]:  # the picture was replaced, and its labelling will fail
            return None
        return size.sample(label_map)

    def _certain_cues(self, image_id: str) -> PictureCues:
        """Return the cues of a picture; of one that people corrected, the instances that are certain, with keywords.

        An instance is certain if more than half of it has one label. Its keyword then counts as named by its source. An
        instance that shows background or nothing certain teaches no keyword, so it is left out.
        """
        cues = self.store.load(image_id)
        label_map = self._corrected(image_id, cues)
        if label_map is None or cues.looks is None:
            return cues
        return certain_instances(cues, label_map, self.plan.keywords[image_id])


def certain_instances(cues: PictureCues, label_map: NDArray[np.uint8], keywords: Keywords) -> PictureCues:
    """Keep the instances of which more than half has the label of one keyword, and name their keywords.

    Args:
        cues: Cues of a picture, with looks.
        label_map: [H, W] labels that are certain.
        keywords: Keywords of the picture.
    """
    shares = [np.bincount(label_map[mask], minlength=IGNORE + 1) / max(1, mask.sum()) for mask in cues.masks]
    named = np.array([int(share.argmax()) if share.max() > 0.5 else 0 for share in shares], np.int64)
    kept = np.flatnonzero(np.isin(named, keywords.positions))
    if not len(kept) or cues.looks is None:
        return replace(cues, masks=cues.masks[:0], scores=cues.scores[:0], looks=None, named=None)
    looks = InstanceLooks(cues.looks.features[kept], cues.looks.log_odds[kept])
    return replace(cues, masks=cues.masks[kept], scores=cues.scores[kept], looks=looks, named=named[kept])
