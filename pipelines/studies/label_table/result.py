"""What Table 5 leaves when its trainings are done: figures with intervals, paired differences, and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.config import AblateConfig
from pipelines.data.label_folder import LabelFolder
from pipelines.data.record_files import MANIFEST
from pipelines.data.thumbnails import thumbnail
from pipelines.engine.run_dir import environment
from pipelines.engine.version import __version__
from pipelines.errors import S4Error
from pipelines.events import Events
from pipelines.files import plain, read_json, sha256_lines, write_json, write_text
from pipelines.metrics.miou_bootstrap import JudgedMaps, compare_miou, miou_interval
from pipelines.metrics.plausibility import background_alone
from pipelines.metrics.seed_averages import seed_averages
from pipelines.report.html import Picture, Row
from pipelines.report.label_table import markdown, reading, write_page
from pipelines.report.sheet import LONGEST, draw_regions, placed_tags, shrunk
from pipelines.studies.ablation_result import Failure
from pipelines.studies.label_table.labels import ScoredLabels
from pipelines.studies.label_table.plans import RowPlan
from pipelines.studies.label_table.rows import NOTES, OF_INSTANCES, TITLE, reference
from pipelines.studies.label_table.trials import Trials

RESAMPLES = 1000
_SHOWN = 8  # pictures of which the page shows the labels of every row


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        rows: The rows.
        trials: The trainings, finished except for `failures`.
        labels: The labels of each row beside the truth; None where no labelled picture has a truth.
        val_ids: The pictures that were scored on.
        failures: Trainings that diverged.
        lost: {row, image_id, rule, message} of pictures that could not be labelled.
        settings: Settings that the whole table shares.
    """

    rows: Sequence[RowPlan]
    trials: Trials
    labels: Mapping[str, ScoredLabels | None]
    val_ids: Sequence[str]
    failures: Sequence[Failure]
    lost: Sequence[Mapping[str, str]]
    settings: Mapping[str, Any]


def write_table(config: AblateConfig, outcome: Outcome, events: Events) -> dict[str, Any]:
    """Score every finished training, and write OUT/table5.json, OUT/table5.md and OUT/report.html.

    Args:
        config: Settings of `s4 ablate`.
        outcome: What was done.
        events: Progress.

    Returns:
        The short form of the JSON file; see `pipelines.studies.label_table.study.label_table`.
    """
    judged = _judged(outcome)
    first = reference([row.row for row in outcome.rows]).name
    figures = _figures(judged, len(outcome.val_ids), first if first in judged else None, events)
    result = plain(
        {
            **_head(config, outcome),
            "reference": first,
            "rows": [_row(row, outcome, judged, figures, first) for row in outcome.rows],
            "warnings": [
                warning
                for row, maps in judged.items()
                for seed, one in maps.items()
                for warning in background_alone(f"{row}, seed {seed}", one.overlaps)
            ],
        }
    )
    result["reading"] = reading(result)
    files = {kind: config.out / f"table{config.table}.{kind}" for kind in ("json", "md")}
    write_json(files["json"], result)
    write_text(files["md"], markdown(result))
    page = config.out / "report.html"
    write_page(page, result, _shown_labels(outcome))
    failed = len(outcome.failures) + len(outcome.lost)
    places = {"markdown": files["md"], "json": files["json"], "report": page, "out": config.out}
    return {**_short(result), **places, **({"failed": failed} if failed else {})}


def _head(config: AblateConfig, outcome: Outcome) -> dict[str, Any]:
    return {
        "schema": "s4/ablate/1",
        "s4_version": __version__,
        "table": config.table,
        "title": TITLE,
        "notes": list(NOTES),
        "settings": {**outcome.settings, "weights": str(config.weights), "voc": str(config.voc)},
        "machine": environment(),
        "seeds": list(config.seed_list),
        "images": len(outcome.val_ids),
        "list_sha256": sha256_lines(outcome.val_ids),
        "split": config.split,
        "val_split": config.val_split,
        "labelled_images": len(outcome.rows[0].plan.images),
        "several_keywords": sum(len(words) > 1 for words in outcome.rows[0].plan.keywords.values()),
        "resamples": RESAMPLES,
    }


def _judged(outcome: Outcome) -> dict[str, dict[int, JudgedMaps]]:
    """Return the counts of the finished trainings by row and seed."""
    judged: dict[str, dict[int, JudgedMaps]] = {}
    for (row, seed), trial in outcome.trials.items():
        if trial.is_finished:
            judged.setdefault(row, {})[seed] = trial.judged(outcome.val_ids)
    return judged


def _figures(
    judged: Mapping[str, Mapping[int, JudgedMaps]], images: int, first: str | None, events: Events
) -> dict[str, dict[str, Any]]:
    """Return the `seed_averages` of the mIoU of each row that has a finished training."""
    if not judged:
        return {}
    with events.progress(RESAMPLES, "intervals") as progress:
        averages = seed_averages(judged, np.arange(images), first, RESAMPLES, progress.advance, ("miou",))
    return {row: values["miou"] for row, values in averages.items()}


def _row(
    row: RowPlan,
    outcome: Outcome,
    judged: Mapping[str, Mapping[int, JudgedMaps]],
    figures: Mapping[str, Mapping[str, Any]],
    first: str,
) -> dict[str, Any]:
    """Return all that is known of a row."""
    name, own = row.row.name, judged.get(row.row.name, {})
    names = ("background", *row.plan.classes.names)
    trainings = []
    for seed, maps in own.items():
        trial = outcome.trials[name, seed]
        miou = maps.scores(np.arange(len(outcome.val_ids)))["miou"]
        per_class = dict(zip(names, maps.iou().tolist(), strict=True))
        trainings.append({**trial.result(), "run": trial.folder, "miou": miou, "per_class": per_class})
    return {
        "name": name,
        "made": {
            "from": row.row.shape,
            "assign": row.row.assign,
            "strategy": row.plan.strategy,
            "cells": row.plan.cells,
            "recognise": row.plan.recognise,
            "source": None if row.row.source is None else str(row.row.source),
        },
        "labels": _labels(row, outcome, first),
        "trainings": trainings,
        "failed": [failure.as_json() for failure in outcome.failures if failure.row == name],
        "lost": sum(failure["row"] == name for failure in outcome.lost),
        "paper": [asdict(figure) for figure in row.row.paper or (OF_INSTANCES if name == first else ())],
        "figures": figures.get(name, {}),
        "per_class": {word: _mean([one["per_class"][word] for one in trainings]) for word in names},
    }


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are known; nan without one."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _labels(row: RowPlan, outcome: Outcome, first: str) -> dict[str, Any]:
    """Return what the labels of a row are worth, and how they differ from those of the reference."""
    counts = read_json(row.config.out / MANIFEST)["counts"]
    entry: dict[str, Any] = {"folder": row.config.out, "counts": counts, "scored": 0}
    scored, base = outcome.labels.get(row.row.name), outcome.labels.get(first)
    if scored is None:
        return entry
    entry |= {**scored.figures, "scored": len(scored.image_ids), "interval": miou_interval(scored.overlaps, RESAMPLES)}
    if base is not None and row.row.name != first and base.image_ids == scored.image_ids:
        compared = compare_miou(scored.overlaps, base.overlaps, RESAMPLES)
        ends = compared.difference_interval
        entry["difference"] = {"mean": compared.difference, "low": ends[0], "high": ends[1]}
    return entry


def _short(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result without trainings and classes, as a terminal shows it."""
    names = (
        "schema",
        "table",
        "title",
        "seeds",
        "images",
        "list_sha256",
        "split",
        "val_split",
        "reference",
        "warnings",
    )
    return {**{name: result[name] for name in names}, "rows": [_short_row(row) for row in result["rows"]]}


def _short_row(row: Mapping[str, Any]) -> dict[str, Any]:
    figures = row["figures"]
    difference = figures.get("difference") or {}
    low, high = difference.get("low"), difference.get("high")
    return {
        "name": row["name"],
        "trainings": len(row["trainings"]),
        "labels": row["labels"]["counts"]["labelled"],
        "label_miou": row["labels"].get("miou"),
        **{name: figures.get(key) for name, key in (("miou", "mean"), ("low", "low"), ("high", "high"))},
        "difference": difference.get("mean"),
        "difference_low": low,
        "difference_high": high,
        "differs": bool(low is not None and high is not None and (low > 0 or high < 0)),
        "paper": [figure["miou"] for figure in row["paper"]],
    }


def _shown_labels(outcome: Outcome) -> list[Row]:
    """Return some pictures with the labels of every row, those with several keywords first."""
    plan = outcome.rows[0].plan
    several = [image_id for image_id, words in plan.keywords.items() if len(words) > 1]
    others = [image_id for image_id in plan.images if image_id not in set(several)]
    chosen = _spread(several, max(_SHOWN // 2, _SHOWN - len(others)))
    shown = []
    for image_id in [*chosen, *_spread(others, _SHOWN - len(chosen))]:
        try:
            shown.append(Row(f"{image_id}: {', '.join(plan.keywords[image_id].names)}", _labels_of(image_id, outcome)))
        except S4Error:  # a picture that failed in a row, or that is gone
            continue
    return shown


def _labels_of(image_id: str, outcome: Outcome) -> list[Picture]:
    """Return a picture with the labels of each row drawn on it."""
    small = thumbnail(outcome.rows[0].plan.images[image_id], LONGEST)
    pictures = []
    for row in outcome.rows:
        folder = LabelFolder(row.config.out, row.plan.classes)
        regions = shrunk(folder.read_label(image_id), (small.shape[0], small.shape[1]))
        drawn = draw_regions(small, regions, placed_tags(regions, row.plan.classes.names))
        pictures.append(Picture.from_array(drawn, row.row.name))
    return pictures


def _spread(items: Sequence[str], count: int) -> list[str]:
    """Return at most so many items, evenly from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int).tolist() if items else []
    return [items[place] for place in places]
