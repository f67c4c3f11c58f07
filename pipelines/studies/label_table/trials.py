"""The trainings of Table 5: a DeepLab on the labels of a row, compared with the truth of the pictures to score on.

FOLDER/  the run folder of `s4 deeplab-train`; only best.pt stays of its checkpoints when the training is done
         val.json       counts of each picture of the list
         result.json    written last: the training is finished
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipelines.config import AblateConfig, DeepLabTrainConfig, EvaluateConfig, resolve
from pipelines.config.recipes import deeplab_recipe
from pipelines.data.voc import pictures_folder
from pipelines.events import Events
from pipelines.files import plain, read_json, sha256_lines, write_json
from pipelines.metrics.miou_bootstrap import JudgedMaps
from pipelines.scoring.semantic import network_overlaps
from pipelines.studies.label_table.plans import PLACE, RowPlan
from pipelines.studies.trial import Training, drop_state

TrainCommand = Callable[[DeepLabTrainConfig, Events], dict[str, Any]]
"""The function of `s4 deeplab-train`, given by whoever may import commands."""

_VAL = "val.json"


@dataclass(frozen=True)
class DeepLabTrial(Training):
    """A training of DeepLab on the labels of a row."""

    config: DeepLabTrainConfig

    def judged(self, image_ids: Sequence[str]) -> JudgedMaps:
        """Return the counts of a finished training.

        Args:
            image_ids: The pictures that are scored on.

        Raises:
            InputError: The file is missing, damaged, or of other pictures [trial-damaged].
        """
        content = read_json(self.folder / _VAL)
        advice = "remove result.json beside it, and the same command counts anew"
        try:
            overlaps = np.array(content["overlaps"], np.int64)
            right = content["list_sha256"] == sha256_lines(image_ids) and overlaps.shape[:2] == (len(image_ids), 2)
        except (TypeError, KeyError, ValueError) as error:
            raise self.damaged(_VAL, advice) from error
        if not right:
            raise self.damaged(_VAL, advice)
        return JudgedMaps(overlaps)


Trials = dict[tuple[str, int], DeepLabTrial]
"""Every training of the table, by the name of its row and its seed."""


def label_trials(config: AblateConfig, rows: Sequence[RowPlan]) -> Trials:
    """Return every training, seed by seed.

    Raises:
        ConfigError: A training was begun with other settings [resume-differs].
    """
    return {
        (row.row.name, seed): DeepLabTrial(f"{row.row.name}, seed {seed}", _train_config(config, row, seed))
        for seed in config.seed_list
        for row in rows
    }


def training_settings(config: AblateConfig) -> dict[str, Any]:
    """Return the settings that all trainings share, with the recipe's values for what is left open."""
    recipe = deeplab_recipe(config.network, None)
    own = {name: getattr(config, name) for name in ("network", "loss", "crop", "trunk_weights", "precision")}
    return own | {name: getattr(config, name) or getattr(recipe, name) for name in ("steps", "batch_size", "lr")}


def run_trial(
    trial: DeepLabTrial, train: TrainCommand, config: AblateConfig, image_ids: Sequence[str], events: Events
) -> Mapping[str, Any]:
    """Bring a trial to its end; started again after a kill, it goes on from the training's last checkpoint.

    Args:
        trial: A trial that is not finished.
        train: The command that trains.
        config: Settings of `s4 ablate`.
        image_ids: The pictures to score on.
        events: Receives the lines of the training.

    Returns:
        {seed, steps, seconds, images_per_second}.

    Raises:
        S4Error: Those of `train`.
    """
    # A channel of its own, because the log file of the training belongs to the training alone.
    summary = train(trial.config, Events(events.stream))
    scored = EvaluateConfig(
        voc=config.voc,
        split=config.val_split,
        weights=trial.folder,
        device=config.device,
        precision=config.precision,
        workers=config.workers,
    )
    overlaps = network_overlaps(scored, events)
    content = {"list_sha256": sha256_lines(image_ids), "overlaps": overlaps.tolist()}
    write_json(trial.folder / _VAL, content, indent=None)
    result = {"seed": trial.config.seed, **{name: summary[name] for name in ("steps", "seconds", "images_per_second")}}
    write_json(trial.folder / "result.json", plain(result))
    drop_state(trial)
    return result


def _train_config(config: AblateConfig, row: RowPlan, seed: int) -> DeepLabTrainConfig:
    run = config.out / PLACE / row.row.folder / f"seed{seed}"
    return resolve(
        DeepLabTrainConfig,
        None,
        {
            **training_settings(config),
            "images": (pictures_folder(cast(Path, config.voc)),),
            "labels": row.config.out,
            "run": run,
            "seed": seed,
            "device": config.device,
            "workers": config.workers,
            "resume": (run / "config.json").exists(),
        },
    )
