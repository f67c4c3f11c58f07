"""The page of a chain: what was done, what came out of each round, and how the trainings went."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.chain.steps import Step
from pipelines.config import DeepLabTrainConfig, TrainConfig
from pipelines.files import Journal
from pipelines.report.charts import loss_curves, per_class_bars
from pipelines.report.html import Picture, Section, Table, render_report

_FIGURES = ("miou", "miou_kept", "coverage", "ap50", "images", "labelled", "empty", "failed", "steps", "iou")


def write_chain_report(path: Path, result: Mapping[str, Any], steps: Sequence[Step]) -> None:
    """Writes the page.

    Args:
        path: The HTML file.
        result: What `run` returns.
        steps: The steps of the chain, one for each record of `result`.
    """
    sections = [_stages(result)]
    per_class = {
        record["stage"]: record["result"]["per_class"]
        for record in result["stages"]
        if isinstance(record["result"].get("per_class"), Mapping)
    }
    if per_class:
        sections.append(_rounds(result, per_class))
    curves = _curves(steps)
    if curves:
        sections.append(Section("Trainings", "Losses over the steps.", pictures=curves))
    headline = {f"mIoU, round {row['round']}": _percent(row["miou"]) for row in result["rounds"]}
    if len(headline) == 1:
        headline = {"mIoU": _percent(result["miou"])}
    render_report(path, "s4 run", sections, "Every stage of the chain, with what it gave.", headline)


def _stages(result: Mapping[str, Any]) -> Section:
    rows = [
        [record["stage"], record["action"], f"{record['seconds']:g}", _figures(record["result"])]
        for record in result["stages"]
    ]
    text = "A skipped stage was done before, with the same settings and inputs; its figures are from then."
    return Section("Stages", text, [Table(("stage", "action", "seconds", "figures"), rows)])


def _rounds(result: Mapping[str, Any], per_class: Mapping[str, Mapping[str, float | None]]) -> Section:
    rounds = [[str(row["round"]), _percent(row["miou"]), _percent(row["gain"])] for row in result["rounds"]]
    names = dict.fromkeys(name for values in per_class.values() for name in values)
    rows = [[name, *(_percent(values.get(name)) for values in per_class.values())] for name in names]
    return Section(
        "Results",
        "IoU of every class, and the gain of each round over the one before.",
        [Table(("round", "mIoU", "gain"), rounds), Table(("class", *per_class), rows)],
        [Picture(per_class_bars(per_class, "IoU of every class"), "IoU of every class")],
    )


def _curves(steps: Sequence[Step]) -> list[Picture]:
    pictures = []
    for step in steps:
        if isinstance(step.config, TrainConfig | DeepLabTrainConfig):
            records = Journal(step.config.run / "metrics.jsonl").read()
            if records:
                pictures.append(Picture(loss_curves(records, step.name), step.name))
    return pictures


def _figures(result: Mapping[str, Any]) -> str:
    shown = [f"{name} {value:.4g}" for name in _FIGURES if isinstance(value := result.get(name), int | float) and value]
    best = result.get("best")
    if isinstance(best, Mapping) and best.get("value") is not None:
        shown.insert(0, f"{best['metric']} {best['value']:.4g}")
    return ", ".join(shown) or "-"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
