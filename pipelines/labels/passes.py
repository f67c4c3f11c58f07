"""Passes over the pictures of a label folder: what each picture gives is written while the next one is worked on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.data.label_records import LabelRecords
from pipelines.engine.picture_steps import Given, Step, Workers, in_order
from pipelines.engine.signals import StopRequest
from pipelines.engine.write_behind import write_behind
from pipelines.errors import InputError, Stopped
from pipelines.events import Events
from pipelines.labels.labeller import PictureLabels
from pipelines.labels.learn import Evidence
from pipelines.labels.picture_work import PictureWork
from pipelines.labels.plan import LabelPlan


@dataclass(frozen=True)
class PicturePasses:
    """Passes over the pictures of a plan, one after the other."""

    plan: LabelPlan
    records: LabelRecords
    workers: Workers[PictureWork]
    events: Events

    def attention(
        self, step: Step[PictureWork, Any, Any], items: Sequence[tuple[str, Any]]
    ) -> Iterator[tuple[str, Any]]:
        """Do a step of the attention network's training, and yield the results in the order of the pictures.

        Raises:
            Stopped: A signal came.
        """
        with StopRequest() as stop:
            yield from in_order(items, self.workers.answers(step, items, lambda: stop.asked))
            if stop.asked:
                message = f"{self.records.folder.path}: stopped by a signal before the attention network was trained"
                raise Stopped(f"{message}; start the same command again to go on", "stopped")

    def find(self, image_ids: list[str]) -> None:
        """Find the cues of pictures, and keep them in the cue store.

        Raises:
            Stopped: A signal came; what was done before is kept.
        """
        self._each(PictureWork.find, [(image_id, None) for image_id in image_ids], "instances", last=False)

    def label(self, image_ids: list[str], evidence: Evidence) -> None:
        """Label pictures.

        Args:
            image_ids: Ids of the pictures.
            evidence: What was learned from all pictures.

        Raises:
            Stopped: A signal came; what was done before is kept.
        """
        items = [(image_id, evidence.about(image_id)) for image_id in image_ids]
        self._each(PictureWork.label, items, "labels", last=True)

    def _each(
        self,
        step: Step[PictureWork, Given, PictureLabels | None],
        items: list[tuple[str, Given]],
        what: str,
        last: bool,
    ) -> None:
        """Do a step with each picture, and write what it gives while the next picture is worked on.

        Args:
            step: A step of `PictureWork`.
            items: (image_id, what is given for the picture).
            what: The caption of the progress.
            last: Whether this pass is the last. A signal that comes with its last picture then no longer stops the run.
        """
        total = len(self.plan.own)
        with (
            self.events.progress(total, what, done=total - len(items)) as progress,
            StopRequest() as stop,
        ):
            with self.records.kept(), write_behind(progress) as write:
                for image_id, labels in self.workers.answers(step, items, lambda: stop.asked):
                    if isinstance(labels, InputError):
                        self.events.warn(str(labels))
                        failed = {"rule": labels.rule, "message": labels.message}
                        labels = PictureLabels({"image_id": image_id, "failed": failed})
                    write(partial(_keep, labels, self.records))
            if stop.asked and (progress.done < total or not last):
                folder = self.records.folder.path
                message = f"{folder}: stopped by a signal after {progress.done} of {total} pictures ({what}), all kept"
                raise Stopped(f"{message}; start the same command again to go on", "stopped")


def _keep(labels: PictureLabels | None, records: LabelRecords) -> None:
    """Write the files of a picture first, then its record: a picture with a record is complete."""
    if labels is not None:
        labels.write(records.folder)
        records.add(labels.record)
