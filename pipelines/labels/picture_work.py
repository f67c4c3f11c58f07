"""What labelling does with single pictures, in whatever process; what learns from all pictures is `learn`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.images import open_working_picture
from pipelines.data.label_folder import LabelFolder
from pipelines.data.notes import Cases
from pipelines.data.output_names import require_short_name
from pipelines.data.review import PictureReview, read_reviews
from pipelines.data.review_maps import ReviewedLabels
from pipelines.data.working_size import WorkingSize
from pipelines.engine.picture_steps import Given, Result, Step
from pipelines.errors import InputError, MachineError
from pipelines.events import Events
from pipelines.labels.attention import ATTENTION, AttentionMaps, AttentionSteps, open_attention, stored_attention
from pipelines.labels.cells import cells_per_picture
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import FALLBACK, CueFinder, PictureCues
from pipelines.labels.earlier_deeplab import Segmenter
from pipelines.labels.instances import MaskSource, open_source
from pipelines.labels.labeller import PictureLabeller, PictureLabels, gather_witnesses, reviewed_labels
from pipelines.labels.learn import Evidence
from pipelines.labels.plan import LabelPlan
from pipelines.labels.recognizer import Recognizer, open_recognizer

Passes = Callable[[Step["PictureWork", Any, Any], Sequence[tuple[str, Any]]], Iterator[tuple[str, Any]]]
"""(step, [(image_id, what is given for the picture)]) -> answers, see `PictureWorkers.answers`."""


class PictureWork:
    """The networks of a label folder, and what they do with one picture.

    A network is opened at its first use. A copy that another process gets opens its own. Such a copy writes label maps
    itself, so that it need not send them.
    """

    def __init__(self, config: PseudoLabelConfig, plan: LabelPlan, writes: bool = False) -> None:
        """Open nothing yet.

        Args:
            config: Settings of the labels.
            plan: The pictures, and how to label them.
            writes: Whether `label` writes the label maps, and returns the record alone.
        """
        self.config, self.plan, self._writes = config, plan, writes
        self._notes = plan.notes
        self._store = CueStore(config.out)
        self._folder = LabelFolder(config.out, plan.classes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process gets: the settings, and no network."""
        return PictureWork, (self.config, self.plan, True)

    def open(self) -> None:
        """Open the networks that may refuse the settings.

        Raises:
            InputError: A network or its weights cannot be used.
            ConfigError: A setting does not fit a network.
        """
        _ = self._find, self._segmenter, self._recognise

    def told(self) -> Cases:
        """Return what was noted of files since the last call."""
        return self._notes.taken()

    def hear(self, told: Cases) -> None:
        """Take what another process noted of files."""
        self._notes.add(told)

    def find(self, image_id: str, _: None) -> None:
        """Find the cues of a picture, and keep them in the cue store.

        Raises:
            InputError: The picture cannot be used.
        """
        require_short_name(self._store.path(image_id))
        picture, _size = open_working_picture(self.plan.images[image_id])
        self._store.save(image_id, self._look(image_id, picture, self.plan.keywords[image_id]))

    def label(self, image_id: str, evidence: Evidence) -> PictureLabels:
        """Label a picture. If people had corrected its labels in this folder, the new ones are corrected too.

        Args:
            image_id: Id of the picture.
            evidence: What was learned from all pictures, as far as it is about this one.

        Raises:
            InputError: The picture or its cues cannot be used.
        """
        require_short_name(self._folder.label_path(image_id))
        if self.plan.reviewed is not None and image_id in self.plan.reviewed:
            return self._written(self._reviewed(self.plan.reviewed, image_id))
        picture, size = open_working_picture(self.plan.images[image_id])
        cues = self._cues(image_id, picture, size)
        attention = None if evidence.cells is None else self._attention
        witnesses = gather_witnesses(self.plan, evidence, self._segmenter, attention)
        labels = PictureLabeller(self.config, self.plan, evidence, witnesses)(image_id, picture, cues, size)
        review = self._reviews.get(image_id)
        return self._written(labels if review is None else labels.corrected(review, self.plan.classes))

    def _reviewed(self, reviewed: ReviewedLabels, image_id: str) -> PictureLabels:
        """Return the labels as they were corrected in the earlier folder, and since then in this one."""
        labels = reviewed_labels(self.config, self.plan, reviewed, image_id)
        later = self._reviews.get(image_id, PictureReview())
        if later == reviewed.reviews[image_id]:
            return labels
        return PictureLabels(labels.record, *reviewed.maps(image_id, later))

    def _cues(self, image_id: str, picture: NDArray[np.uint8], size: WorkingSize) -> PictureCues:
        """Return the cues of a picture of this working size: from the store, or found now."""
        if self.plan.in_two_passes:
            return self._store.load(image_id, size.size)
        return self._look(image_id, picture, self.plan.keywords[image_id])

    def _written(self, labels: PictureLabels) -> PictureLabels:
        """Return labels as this process hands them on: with their maps, or as a record once the maps are written."""
        if not self._writes:
            return labels
        labels.write(self._folder)
        return PictureLabels(labels.record)

    def train_attention(self, events: Events, passes: Passes) -> None:
        """Open the attention network of the label folder, and train it first if that was not done yet.

        Args:
            events: Receives progress of the training.
            passes: Does a step of this class with pictures, see `PictureWorkers.answers`.
        """
        self._attention = open_attention(
            self.config, self.plan, events, lambda step, items: passes(partial(_step_of_attention, step), items)
        )

    @cached_property
    def _attention(self) -> AttentionMaps:
        with _opening():
            found = stored_attention(self.config, self.plan)
        if found is None:
            path = self.config.out / ATTENTION
            message = f"{path}: gone or replaced while labels were made, the file as it was expected"
            raise MachineError(f"{message}; start the same command again", "file-missing")
        return found

    @cached_property
    def _reviews(self) -> dict[str, PictureReview]:
        """What people said of earlier labels in this folder."""
        with _opening():
            return read_reviews(self.config.out)

    @cached_property
    def _attention_steps(self) -> AttentionSteps:
        with _opening():
            return AttentionSteps.opened(self.config, self.plan)

    @cached_property
    def _find(self) -> MaskSource:
        plan, least = self.plan, self.config.min_score * FALLBACK
        return open_source(self.config, plan.masks, plan.images, plan.keywords, plan.classes, least, plan.notes)

    @cached_property
    def _segmenter(self) -> Segmenter | None:
        return None if self.config.segmenter is None else Segmenter(self.config, self.plan.classes)

    @cached_property
    def _recognise(self) -> Recognizer | None:
        return open_recognizer(self.config) if self.plan.recognise else None

    @cached_property
    def _look(self) -> CueFinder:
        return CueFinder(
            self._find,
            self._attention if self.plan.uses_attention else None,
            self.config.min_score,
            looks=self.plan.in_two_passes,
            fill=self.config.fill,
            cells=cells_per_picture(len(self.plan.images)) if self.plan.cells else 0,
            recognise=self._recognise,
        )


def _step_of_attention(
    step: Step[AttentionSteps, Given, Result], work: PictureWork, image_id: str, given: Given
) -> Result:
    """Do a step of the attention network's training."""
    return step(work._attention_steps, image_id, given)


@contextmanager
def _opening() -> Iterator[None]:
    """Turn an `InputError` into one that is not taken for the fault of a single picture."""
    try:
        yield
    except InputError as error:
        raise MachineError(error.message, error.rule) from error
