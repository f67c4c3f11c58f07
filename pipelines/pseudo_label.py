"""Stage `s4 pseudo-label`: label maps from salient instances and image-level keywords.

Each picture is done by itself: its files are written first, then its record. A run that was killed and is started again
does what is missing and nothing else (see `pipelines.data.label_records`).

If no instance of a picture reaches `min_score`, the best one is kept, provided that it reaches a third of `min_score`.
The keywords say that something is there, and a doubtful instance taught more than none. Otherwise the whole picture is
255: background would be wrong for the very object that the keywords name.
"""

import io
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.chain.dry_run import dry_run, look_at
from pipelines.chain.findings import Seen
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.config import PseudoLabelConfig, Shard
from pipelines.config.outputs import alone
from pipelines.config.usual_places import record_pictures
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_records import LabelRecords, count_records
from pipelines.data.review import REVIEW, read_reviews
from pipelines.engine.picture_engine import arithmetic, open_workers, together
from pipelines.engine.rehearsal import Pace, device_in_words, rehearse
from pipelines.events import Events
from pipelines.files import remove_stale_temporaries
from pipelines.folder_lock import is_held_elsewhere
from pipelines.labels.cue_store import PARTS, CueStore, take_over
from pipelines.labels.learn import Evidence, learn
from pipelines.labels.passes import PicturePasses
from pipelines.labels.picture_work import PictureWork
from pipelines.labels.plan import LabelPlan, check_earlier, label_settings, make_plan, tell, tell_done, with_reviewed
from pipelines.metrics.plausibility import Warnings, empty_labels
from pipelines.pages.labels import labels_result
from pipelines.pages.leave import leave_page
from pipelines.pages.result import REPORT

_TRIED = 8  # pictures that a dry run labels


@alone
def pseudo_label(config: PseudoLabelConfig, events: Events) -> dict[str, Any]:
    """Label every picture that has keywords.

    Args:
        config: See `PseudoLabelConfig`.
        events: Receives progress and warnings.

    Returns:
        images, labelled, empty, failed, ...: Counts of this shard, earlier runs included, see `count_records`.
        seconds, images_per_second: Time and speed of this run.
        out: The label folder.
        warnings: Whether too many labels are empty, see `pipelines.metrics.plausibility`.
        With `dry_run`: images, to_label, out, and what `pipelines.chain.dry_run.dry_run` returns.

    Raises:
        ConfigError: The label folder was made with other settings [labels-differ], the cues of the earlier round were
            made with other settings [cues-differ], or a setting is unusable.
        InputError: Pictures, keywords, classes or weights cannot be used.
        Stopped: A signal came. The same command, started again, goes on.
    """
    start = time.monotonic()
    config = config.located(events.info)
    step = PseudoLabelStep("pseudo-label", 0, config)
    look = look_at([step], events, quiet=True) if config.dry_run else None
    given = make_plan(config, events)
    plan = with_reviewed(given, config.reviewed, events)
    records = LabelRecords(LabelFolder(config.out, plan.classes), plan.shard)
    settings = label_settings(config, given)
    if config.cues_of is not None:
        check_earlier(config.cues_of, settings)
    records.claim(settings, dry_run=True)
    reviews = read_reviews(config.out)
    done = records.done(config.retry_failed)
    todo = [image_id for image_id in plan.own if image_id not in done]
    if look is not None:
        tell(plan, todo, events)
        counts = {"images": len(plan.own), "to_label": len(todo)}
        return {**counts, **dry_run(step, look, len(todo), labelling_pace, events), "out": str(config.out)}
    # The number of a process says nothing about one on another machine, which may label another shard.
    remove_stale_temporaries(config.out, PARTS, lambda: not is_held_elsewhere(config.out))
    if todo:
        events.info(f"keywords by strategy {plan.strategy}")
        _label_all(config, plan, todo, records, settings, events)
        remove_stale_temporaries(config.out)  # of processes that died while others went on
    else:
        tell_done(config.out, [done[image_id] for image_id in plan.own], events)
    record_pictures(config.out, config.images)
    plan.notes.tell()
    complete = _complete(plan, records, settings, events)
    done = records.done()
    corrected = reviews.keys() - set(plan.reviewed.reviews if plan.reviewed is not None else ())  # here, not elsewhere
    again = sum(image_id in corrected and "failed" not in done.get(image_id, {"failed": {}}) for image_id in todo)
    if again:
        events.info(f"{config.out}: pictures that were made anew, and corrected again as in {REVIEW}: {again}")
    counts = count_records([done[image_id] for image_id in plan.own if image_id in done])
    seconds, warnings = time.monotonic() - start, empty_labels(str(config.out), counts)
    if complete:
        _leave_page(config, plan, warnings, seconds, events, anew=bool(todo))
    speed = {"seconds": seconds, "images_per_second": len(todo) / seconds}
    return {**counts, **speed, "out": str(config.out), "warnings": warnings}


def _leave_page(
    config: PseudoLabelConfig, plan: LabelPlan, warnings: Warnings, seconds: float, events: Events, anew: bool
) -> None:
    """Write the page of the label folder, unless it is not wanted, or there and not to be written anew."""
    path = config.out / REPORT
    if config.report and (anew or not path.is_file()):
        told = [f"{warning['message']} [{warning['rule']}]" for warning in warnings]
        leave_page(path, lambda: labels_result(config.out, plan.images, config, warnings=told), seconds, events)


def _complete(plan: LabelPlan, records: LabelRecords, settings: dict[str, Any], events: Events) -> bool:
    """Complete the label folder if all shards have finished."""
    complete = records.merge(list(plan.images), settings)
    if not complete:
        path = records.folder.path
        events.info(f"{path}: not complete yet; the folder is usable when all shards have finished")
    return complete


def labelling_pace(config: PseudoLabelConfig, seen: Seen) -> Pace | None:
    """Label a few pictures in one process, and return the time that a picture takes in all passes.

    Several processes are supposed to divide it evenly. None if no picture can be used.
    """
    plan = make_plan(config, Events(io.StringIO()))
    usable = [image_id for image_id in plan.own if image_id in seen.files]
    chosen = usable[:: max(1, len(usable) // _TRIED)][:_TRIED]
    if not chosen:
        return None
    with TemporaryDirectory(prefix="s4-dry-run-") as folder:
        tried = replace(
            config, out=Path(folder, "labels"), shard=None, dry_run=False, engine="local", ray_address="auto"
        )
        few = replace(
            plan,
            images={image_id: plan.images[image_id] for image_id in chosen},
            keywords={image_id: plan.keywords[image_id] for image_id in chosen},
            shard=Shard(),
        )
        records = LabelRecords(LabelFolder(tried.out, plan.classes))
        settings = label_settings(tried, few)
        seconds = rehearse(lambda events: _label_all(tried, few, chosen, records, settings, events), most=None)
    processes = together(config, len(usable))
    return Pace(sum(seconds.values()) / processes, "picture", 1, device_in_words(config.device))


def _label_all(
    config: PseudoLabelConfig,
    plan: LabelPlan,
    todo: list[str],
    records: LabelRecords,
    settings: dict[str, Any],
    events: Events,
) -> None:
    work = PictureWork(config, plan)
    with arithmetic(config), open_workers(config, work, list(plan.images.values()), events) as workers:
        work.open()
        records.claim(settings)  # after all that may still refuse the settings
        if config.cues_of is not None:
            found = take_over(config.cues_of, config.out, plan.images.keys() - plan.other_keywords)
            if plan.in_two_passes:  # otherwise there are no cues, and only the attention network is copied
                events.info(
                    f"{config.cues_of}: the cues of {found} of {len(plan.images)} pictures are taken from there"
                )
        if plan.reviewed is not None:
            plan.reviewed.carry_to(config.out, plan.own)
        passes = PicturePasses(plan, records, workers, events)
        if plan.uses_attention:
            work.train_attention(events, passes.attention)
        if not plan.in_two_passes:
            passes.label(todo, Evidence())
            return
        store = CueStore(config.out)
        has = store.presence()
        # Cues are needed of every picture of this shard, even if it is labelled already: all pictures teach.
        given_up = records.failures() - set(todo)
        passes.find([i for i in plan.own if i not in given_up and not has(i)])
        failed, has = records.failures(), store.presence()
        absent = [image_id for image_id in plan.images if image_id not in failed and not has(image_id)]
        if absent:
            events.info(
                f"{config.out}: shard {config.shard} has found its instances, but {len(absent)} pictures of other "
                "shards have none yet; start this shard again when the other shards have found theirs"
            )
            return
        passes.label([image_id for image_id in todo if has(image_id)], learn(config, plan, store, has))
