"""Label maps from salient instances and image-level keywords: `s4 pseudo-label`.

Each picture is an item of its own: its files are written first, then its record, so that a run which is killed and
started again does what is missing and nothing else (see `pipelines.data.label_records`).

A picture in which no instance reaches `min_score` keeps its best one if that reaches a third of it: its keywords say
that something is there, and a doubtful instance taught more than none. Failing that the whole picture is 255, for
background would be wrong about the very object that it is known to show.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.images import open_image
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_records import LabelRecords, count_records
from pipelines.engine.signals import StopRequest
from pipelines.engine.write_behind import write_behind
from pipelines.errors import InputError, Stopped
from pipelines.events import Events
from pipelines.files import remove_stale_temporaries
from pipelines.labels.cells import cells_per_picture
from pipelines.labels.cue_store import CueStore, take_over
from pipelines.labels.cues import FALLBACK, CueFinder, PictureCues
from pipelines.labels.earlier_round import Segmenter
from pipelines.labels.instances import open_source
from pipelines.labels.keyword_network import open_attention, open_recognizer
from pipelines.labels.labeller import PictureLabeller, PictureLabels, gather_witnesses
from pipelines.labels.learn import Evidence, learn
from pipelines.labels.plan import LabelPlan, check_earlier, label_settings, make_plan, tell


def pseudo_label(config: PseudoLabelConfig, events: Events) -> dict[str, Any]:
    """Labels every picture that has keywords.

    Args:
        config: See `PseudoLabelConfig`.
        events: Receives progress and warnings.

    Returns:
        images, labelled, empty, failed, instances, assigned, unassigned, missing_keywords, ...: counts of this shard,
        earlier runs included, see `count_records`; seconds, images_per_second: of this run; out. With `dry_run` the
        counts tell what is there already.

    Raises:
        ConfigError: The folder holds labels made with other settings [labels-differ], that of an earlier round cues
            made with others [cues-differ], or bad settings.
        InputError: Pictures, keywords, classes or weights cannot be used.
        Stopped: A signal came; the same command goes on.
    """
    start = time.monotonic()
    plan = make_plan(config)
    folder = LabelFolder(config.out, plan.classes)
    records = LabelRecords(folder, plan.shard)
    settings = label_settings(config, plan)
    if config.cues_of is not None:
        check_earlier(config.cues_of, settings)
    records.claim(settings, dry_run=True)
    done = records.done(config.retry_failed)
    todo = [image_id for image_id in plan.own if image_id not in done]
    if config.dry_run:
        tell(plan, todo, events)
    else:
        remove_stale_temporaries(config.out)
        if todo:
            events.info(f"keywords by strategy {plan.strategy}")
            _label_all(config, plan, todo, records, settings, events)
        if not records.merge(list(plan.images), settings):
            events.info(f"{config.out}: not complete yet; the folder is usable when all shards are through")
    done = records.done()
    counts = count_records([done[image_id] for image_id in plan.own if image_id in done])
    seconds = time.monotonic() - start
    made = 0 if config.dry_run else len(todo)
    return {**counts, "seconds": seconds, "images_per_second": made / seconds, "out": str(config.out)}


def _label_all(
    config: PseudoLabelConfig,
    plan: LabelPlan,
    todo: list[str],
    records: LabelRecords,
    settings: dict[str, Any],
    events: Events,
) -> None:
    find = open_source(config, plan.images, config.min_score * FALLBACK)
    segmenter = None if config.segmenter is None else Segmenter(config, plan.classes)
    recognise = open_recognizer(config) if config.recognise == "imagenet" else None
    records.claim(settings)  # not before everything that may be refused
    if config.cues_of is not None:
        found = take_over(config.cues_of, config.out, plan.images)
        if plan.in_two_passes:  # else there are no cues, and the attention network is all
            events.info(f"{config.cues_of}: what was found in {found} of {len(plan.images)} pictures is taken over")
    attention = open_attention(config, plan, events) if plan.uses_attention else None
    look = CueFinder(
        find,
        attention,
        config.min_score,
        looks=plan.in_two_passes,
        fill=config.fill,
        cells=cells_per_picture(len(plan.images)) if plan.cells else 0,
        recognise=recognise,
    )
    work = _Work(plan, records, events)
    if not plan.in_two_passes:
        label = PictureLabeller(config, plan, Evidence(), gather_witnesses(plan, Evidence(), segmenter, None))
        work.label(todo, label, lambda image_id, picture: look(image_id, picture, plan.keywords[image_id]))
        return
    store = CueStore(config.out)
    # A picture belongs to the set if its cues are there: what has been labelled from them stays as it is.
    given_up = records.failures() - set(todo)
    work.find([i for i in plan.own if i not in given_up and not store.has(i)], look, store)
    failed = records.failures()
    absent = [image_id for image_id in plan.images if image_id not in failed and not store.has(image_id)]
    if absent:
        events.info(
            f"{config.out}: instances of shard {config.shard} are found, not those of {len(absent)} pictures "
            "of other shards; start this shard again when the others have come here"
        )
        return
    evidence = learn(config, plan, store)
    label = PictureLabeller(config, plan, evidence, gather_witnesses(plan, evidence, segmenter, attention))
    work.label([image_id for image_id in todo if store.has(image_id)], label, lambda image_id, _: store.load(image_id))


@dataclass(frozen=True)
class _Work:
    """Passes over the pictures of a plan; each does one picture after the other, and writes beside the next one."""

    plan: LabelPlan
    records: LabelRecords
    events: Events

    def find(self, image_ids: list[str], look: CueFinder, store: CueStore) -> None:
        """Find the instances of pictures, and keep their cues.

        Raises:
            Stopped: A signal came; all that was done is kept.
        """

        def work(image_id: str) -> None:
            picture = open_image(self.plan.images[image_id])
            store.save(image_id, look(image_id, picture, self.plan.keywords[image_id]))

        self._each(image_ids, "instances", work, last=False)

    def label(
        self,
        image_ids: list[str],
        label: PictureLabeller,
        cues_of: Callable[[str, NDArray[np.uint8]], PictureCues],
    ) -> None:
        """Label pictures.

        Args:
            image_ids: Of the pictures.
            label: Makes their labels.
            cues_of: image id and picture [H, W, 3] -> its cues.

        Raises:
            Stopped: A signal came; all that was done is kept.
        """

        def work(image_id: str) -> PictureLabels:
            picture = open_image(self.plan.images[image_id])
            return label(image_id, picture, cues_of(image_id, picture))

        self._each(image_ids, "labels", work, last=True)

    def _each(self, image_ids: list[str], what: str, work: Callable[[str], PictureLabels | None], last: bool) -> None:
        """Work on pictures one by one.

        Args:
            image_ids: Of the pictures.
            what: The caption of the progress.
            work: Returns what is to be written of a picture, if anything.
            last: Whether all is done after this pass, so that a stop that comes with its last picture is none.
        """
        total = len(self.plan.own)
        with (
            self.events.progress(total, what, done=total - len(image_ids)) as progress,
            StopRequest() as stop,
        ):
            with write_behind(progress) as write:
                for image_id in image_ids:
                    try:
                        labels = work(image_id)
                    except InputError as error:  # one damaged picture does not stop the others
                        failed = {"rule": error.rule, "message": error.message}
                        labels = PictureLabels({"image_id": image_id, "failed": failed})
                        self.events.warn(str(error))
                    write(partial(_keep, labels, self.records))
                    if stop.asked:
                        break
            if stop.asked and (progress.done < total or not last):
                folder = self.records.folder.path
                message = f"{folder}: stopped by a signal after {progress.done} of {total} pictures ({what}), all kept"
                raise Stopped(f"{message}; start the same command again to go on", "stopped")


def _keep(labels: PictureLabels | None, records: LabelRecords) -> None:
    """Write the files of a picture and, after them, its record: what has a record is complete."""
    if labels is None:
        return
    if labels.label_map is not None and labels.confidence is not None:
        records.folder.write_label(labels.record["image_id"], labels.label_map)
        records.folder.write_confidence(labels.record["image_id"], labels.confidence)
    records.add(labels.record)
