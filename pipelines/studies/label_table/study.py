"""The whole of Table 5: check, label, train, score, tell.

OUT/  table5/config.json      settings that the whole table shares
      table5/found/           cues of all pictures, see `pipelines.studies.label_table.labels`
      table5/ROW/labels/      labels of a row
      table5/ROW/seed0/ ...   trainings of a row, see `pipelines.studies.label_table.trials`
      table5.json table5.md   the table
      report.html             the table with charts, and the labels of some pictures
      failures.jsonl          trainings that diverged and pictures that failed, if any did
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from pipelines.config import AblateConfig
from pipelines.data.checking import check_pictures
from pipelines.data.record_files import write_failures
from pipelines.data.shown_classes import require_classes
from pipelines.data.voc import read_split, truth_path
from pipelines.events import Events
from pipelines.files import sha256_lines, write_json
from pipelines.networks.build import new_deeplab
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_weights import trunk_state
from pipelines.scoring.files import list_pictures, list_truths, require_equal_sizes
from pipelines.studies.frozen_settings import require_same_study, saved_settings
from pipelines.studies.label_table.labels import (
    failures_of,
    is_labelled,
    make_labels,
    require_claimable,
    scored_labels,
)
from pipelines.studies.label_table.plans import PLACE, LabelPlans, make_plans
from pipelines.studies.label_table.result import Outcome, write_table
from pipelines.studies.label_table.trials import TrainCommand, Trials, label_trials, run_trial, training_settings
from pipelines.studies.missing_trials import run_missing

_SHARED = ("split", "val_split", "classes", "min_score")
"""Settings of the whole table, beside those of the trainings."""


@dataclass(frozen=True)
class _Inputs:
    """What is there before the work starts.

    Attributes:
        plans: The rows.
        trials: The trainings.
        val_ids: The pictures to score on, in the order of their list.
        truths: image_id -> true label map, of the pictures to label that have one. No stage before the scores sees it.
        frozen: Settings that the whole table shares.
    """

    plans: LabelPlans
    trials: Trials
    val_ids: Sequence[str]
    truths: Mapping[str, Path]
    frozen: Mapping[str, Any]


def label_table(config: AblateConfig, train: TrainCommand, events: Events) -> dict[str, Any]:
    """Make the labels that Table 5 lacks, train what it lacks, score all, and write the table.

    All rows of a seed are trained before the next seed begins, so an interrupted study is balanced. Started again, the
    command does only what is missing.

    Args:
        config: Settings of `s4 ablate`, located.
        train: The function of `s4 deeplab-train`.
        events: Progress and log lines.

    Returns:
        {schema, table, title, seeds, images, list_sha256, split, val_split, reference, warnings, rows [{name,
        trainings, labels, label_miou, miou, low, high, difference, difference_low, difference_high, differs, paper}],
        markdown, json, report, out}, and the number of trainings and pictures that failed as `failed`. Scores are
        fractions 0..1, means over seeds. `difference` is the row minus the reference, with the ends of its paired 95 %
        interval. `warnings` tells of networks that find nothing, see `pipelines.metrics.plausibility`. With `dry_run`:
        {table, rows, seeds, images, several_keywords, trainings, finished, missing, ..}, and nothing is written.

    Raises:
        ConfigError: The folder holds a table of other settings [study-differs] [labels-differ] [resume-differs].
        InputError: Data are missing or damaged; nothing was trained.
        Stopped: A signal came; the same command goes on.
    """
    inputs = _inputs(config, events)
    path = config.out / PLACE / "config.json"
    require_same_study(path, _tied(config, inputs.frozen))
    require_claimable(inputs.plans)
    megabytes = _megabytes(inputs)
    if config.dry_run:
        return _plan(config, inputs, megabytes)
    write_json(path, {**saved_settings(path), **inputs.frozen})
    make_labels(inputs.plans, events)
    labels = {}
    for row in inputs.plans.rows:
        events.info(f"labels of {row.row.name}: compared with the truth of {len(inputs.truths)} pictures")
        labels[row.row.name] = scored_labels(row, inputs.truths, config.workers, events)
    run = partial(run_trial, train=train, config=config, image_ids=inputs.val_ids, events=events)
    failures = run_missing(config.out, inputs.trials, run, events)
    lost = [failure for row in inputs.plans.rows for failure in failures_of(row)]
    write_failures(config.out, [*(failure.as_json() for failure in failures), *lost])
    outcome = Outcome(inputs.plans.rows, inputs.trials, labels, inputs.val_ids, failures, lost, inputs.frozen)
    return write_table(config, outcome, events)


def _tied(config: AblateConfig, frozen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that cannot change any more: those of trainings can until the first has begun."""
    begun = any((config.out / PLACE).glob("*/seed*/config.json"))
    return {name: value for name, value in frozen.items() if begun or name not in training_settings(config)}


def _inputs(config: AblateConfig, events: Events) -> _Inputs:
    """Read and check all that the table needs."""
    voc = cast(Path, config.voc)
    val_ids = read_split(voc, config.val_split)
    pictures, truths = list_pictures(voc, val_ids), list_truths(voc, config.val_split, val_ids)
    require_equal_sizes(pictures, truths)
    check_pictures(list(pictures.values()), config.workers)
    plans = make_plans(config, events)
    require_classes(truths.values(), plans.plan.classes)
    _tell_shared(config, plans, val_ids, events)
    found = {image_id: truth_path(voc, image_id) for image_id in plans.plan.images}
    found = {image_id: path for image_id, path in found.items() if os.path.isfile(path)}
    frozen = {
        **training_settings(config),
        **{name: getattr(config, name) for name in _SHARED},
        "val_list_sha256": sha256_lines(val_ids),
        **{name: plans.settings[name] for name in ("weights_sha256", "image_list_sha256", "keywords_sha256")},
    }
    return _Inputs(plans, label_trials(config, plans.rows), val_ids, found, frozen)


def _tell_shared(config: AblateConfig, plans: LabelPlans, val_ids: Sequence[str], events: Events) -> None:
    """Warn of pictures that are trained and scored on."""
    shared = plans.plan.images.keys() & set(val_ids)
    if shared:
        events.warn(
            f"--val-split {config.val_split}: {len(shared)} of {len(val_ids)} pictures are in {config.split} too; the "
            "scores say little about new pictures"
        )


def _megabytes(inputs: _Inputs) -> int:
    """Return how much the checkpoints of the missing trainings will take, after a look for the weights of trunks.

    Raises:
        S4Error: A trunk or its weights cannot be used.
    """
    missing = [trial for trial in inputs.trials.values() if not trial.is_finished]
    if not all(map(is_labelled, inputs.plans.rows)):
        own = inputs.plans.config
        trunk_state(resolve_trunk(own.trunk), own.trunk_weights)
    if not missing:
        return 0
    network = new_deeplab(missing[0].config, inputs.plans.plan.classes)
    size: int = sum(tensor.nbytes for tensor in network.state_dict().values())
    return round(len(missing) * size / 1e6)


def _plan(config: AblateConfig, inputs: _Inputs, megabytes: int) -> dict[str, Any]:
    """Check the pictures to label as well, and count the work."""
    plan, trials = inputs.plans.plan, inputs.trials.values()
    check_pictures([cast(Path, path) for path in plan.images.values()], config.workers)
    finished = [trial for trial in trials if trial.is_finished]
    missing = len(trials) - len(finished)
    settings = next(iter(trials)).config
    return {
        "table": config.table,
        "rows": [
            {
                "name": row.row.name,
                "labels": "there" if is_labelled(row) else "to make",
                "finished": sum(inputs.trials[row.row.name, seed].is_finished for seed in config.seed_list),
            }
            for row in inputs.plans.rows
        ],
        "seeds": list(config.seed_list),
        "images": len(plan.images),
        "several_keywords": sum(len(words) > 1 for words in plan.keywords.values()),
        "with_truth": len(inputs.truths),
        "val_images": len(inputs.val_ids),
        "trainings": len(trials),
        "finished": len(finished),
        "missing": missing,
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "seconds": fmean(trial.result()["seconds"] for trial in finished) * missing if finished else None,
        "megabytes": megabytes,
        "out": config.out,
    }
