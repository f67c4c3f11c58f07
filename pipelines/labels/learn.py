"""What the cues of a whole set of pictures teach, before the first of them is labelled."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.labels.assign import Assignment
from pipelines.labels.assign_set import PictureInstances, assign_set
from pipelines.labels.cells import CellProbe, cells_per_picture, fit_cells, labels_of_cells, some_places
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import PictureCues
from pipelines.labels.named import name_instances
from pipelines.labels.paint import compose_label_map
from pipelines.labels.plan import LabelPlan
from pipelines.labels.windows import WindowProbe, fit_windows


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was learned from the cues of all pictures; empty where each picture is labelled by itself.

    Attributes:
        assignments: image_id -> the keywords of its instances, where the whole set decides them.
        windows: What the windows of the cues are worth; None: nothing.
        cells: What cells show; None if that was not learned.
    """

    assignments: Mapping[str, Assignment] = field(default_factory=dict)
    windows: WindowProbe | None = None
    cells: CellProbe | None = None


def learn(config: PseudoLabelConfig, plan: LabelPlan, store: CueStore) -> Evidence:
    """Learn from the cues of all pictures whose cues are known.

    Windows and cells learn from the label maps that instances alone give.

    Args:
        config: Of the labels.
        plan: The pictures of the set, and what is asked of them.
        store: Their cues.

    Raises:
        InputError: Cues are damaged [cues-damaged].
    """
    lesson = _Lesson(config, plan, store)
    assignments = lesson.assignments() if plan.strategy == "graph" else {}
    windows = lesson.windows(assignments) if config.recognise == "imagenet" else None
    return Evidence(assignments, windows, lesson.cells(assignments) if plan.cells else None)


class _Lesson:
    """The pictures whose cues are known, and what there is to learn from them."""

    def __init__(self, config: PseudoLabelConfig, plan: LabelPlan, store: CueStore) -> None:
        self.config, self.plan, self.store = config, plan, store
        self.image_ids = [image_id for image_id in plan.images if store.has(image_id)]
        self.n_classes = len(plan.classes.names)

    def assignments(self) -> dict[str, Assignment]:
        """Give keywords to the instances of all pictures."""
        pictures = {}
        for image_id in self.image_ids:
            number, keywords, looks = self.plan.numbers[image_id], self.plan.keywords[image_id], self._looks(image_id)
            pictures[image_id] = PictureInstances(number, keywords, *looks)
        return assign_set(pictures, self.n_classes)

    def _looks(self, image_id: str) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        looks = self.store.load(image_id).looks
        return (None, None) if looks is None else (looks.features, looks.log_odds)

    def cells(self, assignments: Mapping[str, Assignment]) -> CellProbe | None:
        """Learn what cells show; None where there is too little to learn from."""
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
        """Learn what windows are worth that ImageNet's classifier has looked at; None where there is too little."""
        log_odds, keywords, labels = [], [], []
        count = cells_per_picture(len(self.image_ids))
        for image_id in self.image_ids:
            cues = self.store.load(image_id)
            if cues.windows is None or not len(cues.masks):
                continue  # without an instance, what the keywords name would be taken for background
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
        """Return the label map [H, W] as instances alone tell it."""
        painted = name_instances(self.config, self.plan, image_id, cues, assignments.get(image_id)).painted
        return compose_label_map(painted.masks, painted.scores, painted.keyword, cues.masks.shape[1:])[0]
