"""Makes the labels of the rows of Table 5, and compares them with the truth.

OUT/table5/  found/                 cues: what the networks find in each picture, once for all rows
             ROW/labels/            a label folder, as `s4 pseudo-label` leaves it
             ROW/labels.json        its comparison with the truth
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.usual_places import record_pictures
from pipelines.data.checking import require_same_size
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import read_label_map
from pipelines.data.label_records import LabelRecords
from pipelines.data.record_files import MANIFEST
from pipelines.data.review import review_sha256
from pipelines.engine.picture_engine import arithmetic, open_workers
from pipelines.events import Events
from pipelines.files import plain, read_json, remove_stale_temporaries, sha256_file, sha256_lines, write_json
from pipelines.labels.cue_store import PARTS, CueStore, take_over
from pipelines.labels.learn import Evidence, learn
from pipelines.labels.passes import PicturePasses
from pipelines.labels.picture_work import PictureWork
from pipelines.labels.stored_work import StoredWork
from pipelines.metrics.miou_bootstrap import Overlaps
from pipelines.scoring.pseudo_labels import score_label_folder
from pipelines.studies.label_table.plans import LabelPlans, RowPlan

_FIGURES = ("miou", "miou_kept", "coverage", "precision_kept", "per_class")


@dataclass(frozen=True, eq=False)
class ScoredLabels:
    """Labels of a row beside the truth.

    Attributes:
        image_ids: The N pictures that have both.
        figures: {miou, miou_kept, coverage, precision_kept, per_class}, see `score_label_folder`.
        overlaps: [N, 2, n], see `pipelines.metrics.confusion.overlap`.
    """

    image_ids: Sequence[str]
    figures: Mapping[str, Any]
    overlaps: Overlaps


def make_labels(plans: LabelPlans, events: Events) -> None:
    """Find the cues of all pictures, and make the labels of all rows, as far as they are not there.

    Args:
        plans: The rows.
        events: Told which row is labelled.

    Raises:
        ConfigError: A folder is tied to other settings [labels-differ].
        InputError: A network or its weights cannot be used.
        Stopped: A signal came; what was done before is kept.
    """
    lacking = [row for row in plans.rows if not is_labelled(row)]
    if not lacking:
        return
    failed = _find(plans, events)
    for number, row in enumerate(plans.rows, start=1):
        if row in lacking:
            events.info(f"labels {number} of {len(plans.rows)}, {row.row.name}")
            _label(row, plans, failed, events)


def require_claimable(plans: LabelPlans) -> None:
    """Check that no folder was begun with other settings; nothing is written.

    Raises:
        ConfigError: A folder is tied to other settings [labels-differ].
    """
    _records(plans).claim(plans.settings, dry_run=True)
    for row in plans.rows:
        _records(row).claim(row.settings, dry_run=True)


def is_labelled(row: RowPlan) -> bool:
    """Return whether the labels of a row are complete."""
    return (row.config.out / MANIFEST).is_file()


def failures_of(row: RowPlan) -> list[dict[str, str]]:
    """Return {row, image_id, rule, message} of each picture of a row that could not be labelled."""
    records = _records(row).done().values()
    return [
        {"row": row.row.name, "image_id": record["image_id"], **record["failed"]}
        for record in records
        if "failed" in record
    ]


def scored_labels(row: RowPlan, truths: Mapping[str, Path], workers: int, events: Events) -> ScoredLabels | None:
    """Return what labels and truth have in common: from the file of an earlier run, or counted now.

    Args:
        row: A row whose labels are complete.
        truths: image_id -> true label map, of pictures of the list that have one.
        workers: Threads.
        events: Receives progress.

    Returns:
        None if no labelled picture has a true label map.

    Raises:
        InputError: A label map is missing or damaged, or of another size than its truth [label-size].
    """
    folder = LabelFolder(row.config.out, row.plan.classes)
    image_ids = [image_id for image_id in folder.ids() if image_id in truths]
    if not image_ids:
        return None
    path = row.config.out.parent / "labels.json"
    known = {
        "labels_sha256": sha256_file(row.config.out / MANIFEST),
        "list_sha256": sha256_lines(image_ids),
        "review_sha256": review_sha256(row.config.out),
    }
    saved = read_json(path) if path.is_file() else None
    if isinstance(saved, dict) and all(saved.get(name) == value for name, value in known.items()):
        return ScoredLabels(image_ids, saved["figures"], np.array(saved["overlaps"], np.int64))

    def read_pair(image_id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        given, truth = folder.read_label(image_id), read_label_map(truths[image_id], folder.classes)
        require_same_size(folder.label_path(image_id), given.shape, truths[image_id], truth.shape)
        return given, truth

    result, overlaps = score_label_folder(folder, image_ids, read_pair, workers, events)
    figures = plain({name: result[name] for name in _FIGURES})
    write_json(path, {**known, "figures": figures, "overlaps": overlaps.tolist()}, indent=None)
    return ScoredLabels(image_ids, figures, overlaps)


def _find(plans: LabelPlans, events: Events) -> dict[str, Any]:
    """Find the cues of all pictures, and return the records of those that cannot be used by image id."""
    config, plan, records = plans.config, plans.plan, _records(plans)
    remove_stale_temporaries(config.out, PARTS)
    work, store = PictureWork(config, plan), CueStore(config.out)
    with arithmetic(config), open_workers(config, work, list(plan.images.values()), events) as workers:
        work.open()
        records.claim(plans.settings)
        passes = PicturePasses(plan, records, workers, events)
        given_up, has = records.failures(), store.presence()
        missing = [image_id for image_id in plan.own if image_id not in given_up and not has(image_id)]
        if missing:
            events.info(f"instances and attention of {len(plan.images)} pictures, once for all rows")
            work.train_attention(events, passes.attention)
            passes.find(missing)
    plan.notes.tell()
    return {image_id: record for image_id, record in records.done().items() if "failed" in record}


def _label(row: RowPlan, plans: LabelPlans, failed: Mapping[str, Any], events: Events) -> None:
    """Label the pictures of a row from the cues."""
    config, plan, records = row.config, row.plan, _records(row)
    remove_stale_temporaries(config.out, PARTS)
    records.claim(row.settings)
    take_over(plans.config.out, config.out, ())  # the attention network, which cells are shown to
    done = records.done()
    for image_id, record in failed.items():
        if image_id not in done:
            records.add(record)
    todo = [image_id for image_id in plan.own if image_id not in done and image_id not in failed]
    stored = StoredWork(config, plan, plans.config.out, row.row.shape)
    work: PictureWork = stored
    # Without a network a picture takes hundredths of a second. To start processes would take longer.
    own = config if plan.cells else replace(config, workers=0)
    with arithmetic(config), open_workers(own, work, list(plan.images.values()), events) as workers:
        evidence = learn(config, plan, stored.store) if todo and plan.in_two_passes else Evidence()
        PicturePasses(plan, records, workers, events).label(todo, evidence)
    plan.notes.tell()
    record_pictures(config.out, config.images)
    records.merge(list(plan.images), row.settings)


def _records(what: LabelPlans | RowPlan) -> LabelRecords:
    return LabelRecords(LabelFolder(what.config.out, what.plan.classes), what.plan.shard)
