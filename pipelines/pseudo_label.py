"""Label maps from salient instances and image-level keywords: `s4 pseudo-label`.

Each picture is an item of its own: its files are written first, then its record, so that a run which is killed and
started again does what is missing and nothing else (see `pipelines.data.label_records`).

A picture in which no instance reaches `min_score` keeps its best one if that reaches a third of it: its keywords say
that something is there, and a doubtful instance taught more than none. Failing that the whole picture is 255, for
background would be wrong about the very object that it is known to show.
"""

import time
from collections.abc import Callable, Iterable
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
from pipelines.labels.cells import CELL_WEIGHT, CellWitness, cells_per_picture
from pipelines.labels.cue_store import SetCues, take_over
from pipelines.labels.cues import FALLBACK, CueFinder, PictureCues
from pipelines.labels.instances import open_source
from pipelines.labels.keyword_network import open_attention, open_recognizer
from pipelines.labels.labeller import PictureLabeller, PictureLabels
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
    label = PictureLabeller(config, plan)
    recognise = open_recognizer(config) if config.recognise == "imagenet" else None
    records.claim(settings)  # not before everything that may be refused
    if config.cues_of is not None:
        found = take_over(config.cues_of, config.out, plan.images)
        if plan.in_two_passes:  # else there are no cues, and the attention network is all
            events.info(f"{config.cues_of}: what was found in {found} of {len(plan.images)} pictures is taken over")
    attention = open_attention(config, plan, events) if plan.uses_attention else None
    count = cells_per_picture(len(plan.images)) if plan.cells else 0
    look = CueFinder(
        find,
        attention,
        config.min_score,
        features=plan.in_two_passes,
        fill=config.fill,
        cells=count,
        recognise=recognise,
        names=plan.classes.names,
    )
    if plan.in_two_passes:
        _label_in_two_passes(config, plan, todo, look, label, records, events)
        return

    def label_one(image_id: str) -> PictureLabels:
        picture = open_image(plan.images[image_id])
        return label(image_id, picture, look(image_id, picture, plan.positions(image_id)))

    _each(todo, "labels", label_one, plan, records, events)


def _label_in_two_passes(
    config: PseudoLabelConfig,
    plan: LabelPlan,
    todo: list[str],
    look: CueFinder,
    label: PictureLabeller,
    records: LabelRecords,
    events: Events,
) -> None:
    """Find the instances of all pictures, learn from them, then label."""
    cues = SetCues(config.out, plan)

    def look_one(image_id: str) -> PictureLabels | None:
        cues.save(image_id, look(image_id, open_image(plan.images[image_id]), plan.positions(image_id)))
        return None

    # A picture belongs to the set if its cues are there: what has been labelled from them stays as it is.
    given_up = records.failures() - set(todo)
    unseen = [image_id for image_id in plan.own if image_id not in given_up and not cues.has(image_id)]
    _each(unseen, "instances", look_one, plan, records, events)
    failed = records.failures()
    absent = [image_id for image_id in plan.images if image_id not in failed and not cues.has(image_id)]
    if absent:
        events.info(
            f"{config.out}: instances of shard {config.shard} are found, not those of {len(absent)} pictures "
            "of other shards; start this shard again when the others have come here"
        )
        return
    assignments = cues.assign() if plan.strategy == "graph" else {}

    def from_instances(image_id: str, seen: PictureCues) -> NDArray[np.uint8]:
        return label.from_instances(image_id, seen, assignments.get(image_id))

    if look.recognise is not None:
        label.window_probe = cues.learn_windows(from_instances)
    if plan.cells and look.attention is not None:
        probe = cues.learn_cells(from_instances)
        if probe is not None:
            label.witnesses.append((CellWitness(look.attention, probe, cues.numbers), CELL_WEIGHT))

    def label_one(image_id: str) -> PictureLabels:
        return label(image_id, open_image(plan.images[image_id]), cues.load(image_id), assignments.get(image_id))

    _each([image_id for image_id in todo if cues.has(image_id)], "labels", label_one, plan, records, events)


def _each(
    image_ids: Iterable[str],
    what: str,
    work: Callable[[str], PictureLabels | None],
    plan: LabelPlan,
    records: LabelRecords,
    events: Events,
) -> None:
    """Work on pictures one by one, and write what comes of it beside the next one's work.

    Raises:
        Stopped: a signal came; all that was done is kept.
    """
    todo, total = list(image_ids), len(plan.own)
    with (
        events.progress(total, what, done=total - len(todo)) as progress,
        StopRequest() as stop,
    ):
        with write_behind(progress) as write:
            for image_id in todo:
                try:
                    labels = work(image_id)
                except InputError as error:  # one damaged picture does not stop the others
                    failed = {"rule": error.rule, "message": error.message}
                    labels = PictureLabels({"image_id": image_id, "failed": failed})
                    events.warn(str(error))
                write(partial(_keep, labels, records))
                if stop.asked:
                    break
        if stop.asked and (progress.done < total or what != "labels"):
            folder = records.folder.path
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
