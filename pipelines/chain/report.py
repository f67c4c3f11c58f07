"""The page of a chain: what was done, what each round gave, and how the trainings went."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.chain.step import Step
from pipelines.pages.result import REPORT, link_to
from pipelines.report.charts import loss_curves, per_class_bars
from pipelines.report.html import Link, Picture, Section, Table, render_report


def write_chain_report(path: Path, result: Mapping[str, Any], steps: Sequence[Step]) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        result: What `run` returns.
        steps: The steps of the chain, one for each record of `result`.
    """
    sections = [*_warnings(result), _stages(result, steps)]
    per_class = {
        record["stage"]: record["result"]["per_class"]
        for record in result["stages"]
        if isinstance(record["result"].get("per_class"), Mapping)
    }
    if per_class:
        sections.append(_rounds(result, per_class))
    curves = [Picture(loss_curves(records, step.name), step.name) for step in steps if (records := step.curves())]
    if curves:
        sections.append(Section("Trainings", "Losses over the steps.", pictures=curves))
    headline = {f"mIoU, round {row['round']}": _percent(row["miou"]) for row in result["rounds"]}
    if len(headline) == 1:
        headline = {"mIoU": _percent(result["miou"])}
    summary = "Every stage of the chain, with what it gave."
    facts = {"kind": "run", "figures": {"miou": result["miou"]}}
    render_report(path, "s4 run", sections, summary, headline, _links(path, steps), facts)


def _links(path: Path, steps: Sequence[Step]) -> list[Link]:
    """Return links to the pages of the stages that have one."""
    links = []
    for step in steps:
        own = getattr(step.config, "report", None)
        page = own if isinstance(own, Path) else step.place / REPORT if step.place is not None else None
        if page is not None and page.is_file():
            links.append(link_to(path, str(page), step.name, "part"))
    return links


def _warnings(result: Mapping[str, Any]) -> list[Section]:
    """Return a section with what cannot be right; none where all may be."""
    lines = [f"{warning['stage']}: {warning['message']} [{warning['rule']}]" for warning in result.get("warnings", ())]
    return [Section("Warnings", "\n\n".join(lines))] if lines else []


def _stages(result: Mapping[str, Any], steps: Sequence[Step]) -> Section:
    rows = [
        [record["stage"], record["action"], f"{record['seconds']:g}", _in_words(step.figures(record["result"]))]
        for record, step in zip(result["stages"], steps, strict=True)
    ]
    text = "A skipped stage was done before, with the same settings and inputs; its figures are from then."
    return Section("Stages", text, [Table(("stage", "action", "seconds", "figures"), rows)])


def _rounds(result: Mapping[str, Any], per_class: Mapping[str, Mapping[str, float | None]]) -> Section:
    rounds = [[str(row["round"]), _percent(row["miou"]), _percent(row["gain"])] for row in result["rounds"]]
    # Classes that do not occur have no score anywhere, and get no row and no bar.
    names = dict.fromkeys(name for values in per_class.values() for name, iou in values.items() if iou is not None)
    known = {stage: {name: values.get(name) for name in names} for stage, values in per_class.items()}
    rows = [[name, *(_percent(values.get(name)) for values in per_class.values())] for name in names]
    return Section(
        "Results",
        "IoU of every class, and the gain of each round over the one before.",
        [Table(("round", "mIoU", "gain"), rounds), Table(("class", *per_class), rows)],
        [Picture(per_class_bars(known, "IoU of every class"), "IoU of every class")],
    )


def _in_words(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) or "-"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
