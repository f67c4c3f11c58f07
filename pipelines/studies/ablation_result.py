"""What `s4 ablate` writes when its trainings are done: figures with intervals, paired differences, speed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import AblateConfig
from pipelines.data.coco import CocoPicture
from pipelines.engine.run_dir import environment
from pipelines.engine.version import __version__
from pipelines.events import Events
from pipelines.files import plain, sha256_lines, write_json, write_text
from pipelines.metrics.judged_pictures import JudgedPictures, judge
from pipelines.metrics.occlusion import occluded_subset, strictly_occluded_subset
from pipelines.metrics.seed_averages import METRICS, seed_averages
from pipelines.report.ablation_table import excludes_zero, markdown, reading
from pipelines.studies.ablation_speed import detection_speed
from pipelines.studies.paper_tables import Table
from pipelines.studies.trial import Trial

RESAMPLES = 1000

Trials = dict[tuple[str, int], Trial]
"""Every training of a table, by the name of its row and its seed."""

Figures = dict[str, dict[str, Any]]
"""The `seed_averages` of one row for each subset of the pictures."""


@dataclass(frozen=True)
class Failure:
    """A training that diverged.

    Attributes:
        row: Name of its row.
        seed: Its seed.
        run: Its folder.
        reason: What was not finite.
    """

    row: str
    seed: int
    run: Path
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return the record of failures.jsonl."""
        return {**asdict(self), "run": self.run.as_posix()}


def write_table(
    config: AblateConfig,
    settings: Mapping[str, Any],
    table: Table,
    trials: Trials,
    pictures: list[CocoPicture],
    failures: Sequence[Failure],
    events: Events,
) -> dict[str, Any]:
    """Score every finished training of a table, and write OUT/tableN.json and OUT/tableN.md.

    Args:
        config: Settings of `s4 ablate`.
        settings: What to print as the settings of the study.
        table: The table to write.
        trials: Its trainings, finished except for `failures`.
        pictures: Test pictures.
        failures: Trainings that diverged.
        events: Progress.

    Returns:
        The short form of the JSON file; see `pipelines.ablate.ablate`.
    """
    judged = _judged(trials, pictures, events)
    reference = table.reference if table.reference in judged else None
    subsets = _subsets(pictures)
    figures = _figures(judged, subsets, reference, events)
    result = {**_head(config, settings, table, pictures, subsets), "reference": reference}
    result["rows"] = [
        {
            "name": row.name,
            "trained": {"trunk": row.trunk, "roi": row.roi, "alpha": row.alpha, "folder": row.folder},
            "trainings": _trainings(row.name, trials, judged.get(row.name, {}), subsets["all"]),
            "failed": [failure.as_json() for failure in failures if failure.row == row.name],
            "paper": asdict(row.paper) if row.paper else None,
            "figures": figures.get(row.name, {}),
        }
        for row in table.rows
    ]
    if table.number == 3 and judged:
        _add_speed(result["rows"], config, pictures, events)
    result = plain(result)
    result["reading"] = reading(result)
    files = {kind: config.out / f"table{table.number}.{kind}" for kind in ("json", "md")}
    write_json(files["json"], result)
    write_text(files["md"], markdown(result))
    failed = {"failed": len(failures)} if failures else {}
    return {**_short(result), "markdown": files["md"], "json": files["json"], "out": config.out, **failed}


def _head(
    config: AblateConfig,
    settings: Mapping[str, Any],
    table: Table,
    pictures: list[CocoPicture],
    subsets: Mapping[str, NDArray[np.int64]],
) -> dict[str, Any]:
    """Return what was compared, on what, and how."""
    return {
        "schema": "s4/ablate/1",
        "s4_version": __version__,
        "table": table.number,
        "title": table.title,
        "notes": list(table.notes),
        "settings": dict(settings),
        "machine": environment(),
        "seeds": list(config.seed_list),
        "images": len(pictures),
        "list_sha256": sha256_lines([picture.image_id for picture in pictures]),
        "occluded": {"images": len(subsets["occluded"])},
        "occluded_strict": {"images": len(subsets["occluded_strict"])},
        "resamples": RESAMPLES,
        "quoted": {name: asdict(figures) for name, figures in table.quoted.items()},
    }


def _judged(trials: Trials, pictures: list[CocoPicture], events: Events) -> dict[str, dict[int, JudgedPictures]]:
    """Compare the finished trainings with the truth; the outcome is kept by row and seed."""
    judged: dict[str, dict[int, JudgedPictures]] = {}
    finished = {key: trial for key, trial in trials.items() if trial.is_finished}
    with events.progress(len(finished), "score") as progress:
        for (row, seed), trial in finished.items():
            judged.setdefault(row, {})[seed] = judge(pictures, trial.detections(pictures))
            progress.advance()
    return judged


def _subsets(pictures: list[CocoPicture]) -> dict[str, NDArray[np.int64]]:
    """Return the positions of the pictures of each subset: all, and both definitions of occlusion."""
    members = {"occluded": set(occluded_subset(pictures)), "occluded_strict": set(strictly_occluded_subset(pictures))}
    positions = {
        name: np.flatnonzero([picture.image_id in ids for picture in pictures]) for name, ids in members.items()
    }
    return {"all": np.arange(len(pictures)), **positions}


def _figures(
    judged: Mapping[str, Mapping[int, JudgedPictures]],
    subsets: Mapping[str, NDArray[np.int64]],
    reference: str | None,
    events: Events,
) -> dict[str, Figures]:
    """Return for each row its `seed_averages` on each subset that has pictures."""
    figures: dict[str, Figures] = {row: {} for row in judged}
    scored = {name: chosen for name, chosen in subsets.items() if len(chosen) and judged}
    with events.progress(RESAMPLES * len(scored), "intervals") as progress:
        for name, chosen in scored.items():
            for row, values in seed_averages(judged, chosen, reference, RESAMPLES, progress.advance).items():
                figures[row][name] = values
    return figures


def _trainings(
    row: str, trials: Trials, nets: Mapping[int, JudgedPictures], everything: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return for each finished training of a row what it took, and its scores on all test pictures."""
    return [{**trials[row, seed].result(), **net.scores(everything)} for seed, net in nets.items()]


def _add_speed(rows: list[dict[str, Any]], config: AblateConfig, pictures: list[CocoPicture], events: Events) -> None:
    """Add `speed` to each row, measured on its first finished training; None without one."""
    folders = {
        row["name"]: config.out / row["trained"]["folder"] / f"seed{row['trainings'][0]['seed']}"
        for row in rows
        if row["trainings"]
    }
    speed = detection_speed(folders, pictures, events, device=config.device, precision=config.precision)
    for row in rows:
        row["speed"] = speed.get(row["name"])


def _short(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result without intervals and trainings, as a terminal shows it."""
    names = ("schema", "table", "title", "seeds", "images", "list_sha256", "occluded", "occluded_strict", "reference")
    return {**{name: result[name] for name in names}, "rows": [_short_row(row) for row in result["rows"]]}


def _short_row(row: Mapping[str, Any]) -> dict[str, Any]:
    figures: Figures = row["figures"]
    short = {"name": row["name"], "trainings": len(row["trainings"])}
    for subset, prefix in (("all", ""), ("occluded", "occluded_")):
        means = {metric: figures[subset][metric]["mean"] if subset in figures else None for metric in METRICS}
        short |= {prefix + metric: mean for metric, mean in means.items()}
    short |= row.get("speed") or {}
    short["differs"] = [metric for metric in METRICS if excludes_zero(figures.get("all", {}).get(metric, {}))]
    return short
