"""Stage `s4 ablate`: the comparisons of the S4Net paper, with several seeds, intervals and paired differences.

Table 5 is `pipelines.studies.label_table.study`. Of the others:

OUT/  config.json                   settings that every training of the study shares
      trunk=..,roi=..,alpha=../     the trainings of a row; tables with the same row share the folder
          seed0/ seed1/ ...         one training each, see `pipelines.studies.trial`
      table1.md table1.json         the table; tables 2, 3 and 4 likewise
      failures.jsonl                trainings that diverged, if any did
"""

import os
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from pipelines.config import AblateConfig, TrainConfig, resolve, to_json
from pipelines.config.ablate import LABEL_SETTINGS, LABEL_TABLE
from pipelines.config.outputs import alone
from pipelines.config.recipes import TRAIN_SCHEDULES
from pipelines.config.setting import flag_of, settings_of
from pipelines.data.checking import check_pictures
from pipelines.data.coco import CocoPicture, load_coco
from pipelines.data.record_files import write_failures
from pipelines.deeplab_train import deeplab_train
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import sha256_file, write_json
from pipelines.networks.build import new_s4net
from pipelines.studies.ablation_result import Trials, write_table
from pipelines.studies.frozen_settings import require_same_study, saved_settings
from pipelines.studies.label_table.study import label_table
from pipelines.studies.missing_trials import run_missing
from pipelines.studies.paper_tables import Row, Table, paper_table
from pipelines.studies.trial import Trial, run_trial
from pipelines.train import train

# Settings that may differ between commands on one study: they choose trainings, or do not alter them.
_NOT_FROZEN = {"table", "out", "seeds", "trunks", "dry_run", "device", "workers", *LABEL_SETTINGS}
_NOT_OF_LABELS = (
    "images", "annotations", "test_annotations", "val_annotations", "preset", "trunk", "trunks", "mask_slack",
    "image_size",
)  # fmt: skip


@alone
def ablate(config: AblateConfig, events: Events) -> dict[str, Any]:
    """Train what a table lacks, score it, and write the table.

    All rows of a seed are trained before the next seed begins, so an interrupted study is balanced. Started again, the
    command trains only what is missing.

    Args:
        config: Settings of `s4 ablate`.
        events: Progress and log lines.

    Returns:
        {schema, table, title, seeds, images, list_sha256, occluded {images}, occluded_strict {images}, reference,
        rows [{name, trainings, ap, ap50, ap70, release_map50, release_map70, occluded_ap and so on, differs}],
        markdown, json, out} and, where trainings diverged, their number as `failed`. Scores are means over seeds,
        fractions 0..1; `differs` names the metrics whose paired 95 % interval against the reference excludes 0. Rows
        of table 3 have {ms, images_per_second, ratio} too. The JSON file has everything, intervals included. With
        `dry_run`: {table, rows, seeds, trainings, finished, missing, ..}, and nothing is written. The result of table 5
        is that of `pipelines.studies.label_table.study.label_table`.

    Raises:
        ConfigError: The folder holds a study of other settings [study-differs], or a trunk cannot be used.
        InputError: Data are missing or damaged; nothing was trained.
        Stopped: A signal came; the same command goes on.
    """
    _require_one_process()
    config = config.located(events.info)
    _tell_unused(config, events)
    if config.table == LABEL_TABLE:
        return label_table(config, deeplab_train, events)
    table = paper_table(config.table, config.trunk, config.trunk_list)
    pictures = _test_pictures(config, events)
    frozen = _frozen(config)
    path = config.out / "config.json"
    require_same_study(path, frozen)
    trials = _trials(config, table, frozen)
    missing = [trial for trial in trials.values() if not trial.is_finished]
    weights = _checkpoint_bytes(missing)
    if config.dry_run:
        return _plan(config, table, trials, weights)
    write_json(path, {**saved_settings(path), **frozen})
    failures = run_missing(config.out, trials, lambda trial: run_trial(trial, train, pictures, events), events)
    write_failures(config.out, [failure.as_json() for failure in failures])
    return write_table(config, frozen, table, trials, pictures, failures, events)


def _require_one_process() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        found = f"WORLD_SIZE: {os.environ['WORLD_SIZE']} processes, one expected"
        raise ConfigError(f"{found}; start ablate without torchrun", "one-process")


def _tell_unused(config: AblateConfig, events: Events) -> None:
    """Tell which of the given settings the table has no use for; a file may give settings to several tables."""
    names = _NOT_OF_LABELS if config.table == LABEL_TABLE else LABEL_SETTINGS
    settings = settings_of(AblateConfig)
    usual = {name: settings[name].default for name in names}
    given = [flag_of(name) for name in names if getattr(config, name) not in (usual[name], (usual[name],))]
    if given:
        events.info(f"table {config.table} makes no use of {', '.join(given)}")


def _test_pictures(config: AblateConfig, events: Events) -> list[CocoPicture]:
    """Load the pictures to score on, and check those to train and choose on too, before anything is done."""
    images, tested = cast(Path, config.images), cast(Path, config.test_annotations)
    others = [load_coco(file, images, events) for file in (config.annotations, config.val_annotations) if file]
    pictures = load_coco(tested, images, events)
    if not any(len(picture.boxes) for picture in pictures):
        found = f"{config.test_annotations}: no instance in {len(pictures)} pictures, expected some to score on"
        raise InputError(f"{found}; check the file", "coco-empty")
    check_pictures([picture.path for picture in pictures], config.workers)
    seen = {picture.image_id for picture in pictures} & {picture.image_id for other in others for picture in other}
    if seen:
        events.warn(
            f"{config.test_annotations}: {len(seen)} of {len(pictures)} pictures are for training or validation too; "
            "the scores say little about new pictures"
        )
    return pictures


def _frozen(config: AblateConfig) -> dict[str, Any]:
    """Return the settings that the whole study shares, with the preset's values for what is left open, and the data."""
    values = {name: value for name, value in to_json(config).items() if name not in _NOT_FROZEN}
    if config.table == 3:
        del values["trunk"]  # each row of table 3 names its own
        if config.trunk_weights not in ("imagenet", "none") and len(config.trunk_list) > 1:
            found = f"--trunk-weights: {config.trunk_weights} given for {len(config.trunk_list)} trunks"
            raise ConfigError(f"{found}, imagenet or none expected; or name one trunk with --trunks", "setting-value")
    schedule = TRAIN_SCHEDULES[config.preset]
    values |= {name: values[name] or getattr(schedule, name) for name in ("steps", "batch_size", "lr")}
    files = {name: getattr(config, name) for name in ("annotations", "val_annotations", "test_annotations")}
    return values | {f"{name}_sha256": sha256_file(path) for name, path in files.items() if path is not None}


def _trials(config: AblateConfig, table: Table, frozen: Mapping[str, Any]) -> Trials:
    """Return every training of the table by row and seed, seed by seed."""
    return {
        (row.name, seed): Trial(f"{row.name}, seed {seed}", _train_config(config, frozen, row, seed))
        for seed in config.seed_list
        for row in table.rows
    }


def _train_config(config: AblateConfig, frozen: Mapping[str, Any], row: Row, seed: int) -> TrainConfig:
    """Return the settings of one training.

    Raises:
        ConfigError: The training was begun with other settings [resume-differs].
    """
    run = config.out / row.folder / f"seed{seed}"
    own = {"run": run, "trunk": row.trunk, "roi": row.roi, "alpha": row.alpha, "seed": seed}
    own |= {"device": config.device, "workers": config.workers, "resume": (run / "config.json").exists()}
    shared = {name: value for name, value in frozen.items() if name in settings_of(TrainConfig)}
    return resolve(TrainConfig, None, {**shared, **own})


def _checkpoint_bytes(missing: list[Trial]) -> dict[str, int]:
    """Return the size of a checkpoint for each trunk to be trained.

    Raises:
        ConfigError: A trunk cannot be used [trunk-unusable].
    """
    first = {trial.config.trunk: trial.config for trial in missing}
    networks = ((trunk, new_s4net(config)) for trunk, config in first.items())
    return {trunk: sum(tensor.nbytes for tensor in network.state_dict().values()) for trunk, network in networks}


def _plan(config: AblateConfig, table: Table, trials: Trials, weights: Mapping[str, int]) -> dict[str, Any]:
    finished = [trial for trial in trials.values() if trial.is_finished]
    missing = [trial for trial in trials.values() if not trial.is_finished]
    settings = next(iter(trials.values())).config
    seconds = fmean(trial.result()["seconds"] for trial in finished) * len(missing) if finished else None
    return {
        "table": table.number,
        "rows": [row.name for row in table.rows],
        "seeds": list(config.seed_list),
        "trainings": len(trials),
        "finished": len(finished),
        "missing": len(missing),
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "seconds": seconds,
        "megabytes": round(sum(weights[trial.config.trunk] for trial in missing) / 1e6),
        "out": config.out,
    }
