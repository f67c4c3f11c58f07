"""A table of `s4 ablate` for people: Markdown with our figures beside the paper's, and what the figures show."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.markdown_text import code, lines_of, plain_text, table_of

Result = Mapping[str, Any]

_METRICS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap70": "AP70",
    "release_map50": "released 0.5",
    "release_map70": "released 0.7",
}
_SUBSETS = {
    "all": "All {n} test pictures",
    "occluded": "{n} pictures in which two true boxes share area",
    "occluded_strict": "{n} pictures with two boxes of IoU above 0.05, or with masks at most one pixel apart",
}
# The paper's columns by subset. Its occlusion set is unknown, so its figures stand beside our looser set alone.
_PAPER = {
    "all": {"map50": "paper mAP.5", "map70": "paper mAP.7"},
    "occluded": {"occluded50": "paper mAP_O.5", "occluded70": "paper mAP_O.7"},
}
_ORDERED_BY = {"release_map50": "map50", "release_map70": "map70"}


def markdown(result: Result) -> str:
    """Return the whole table with settings, explained columns, and the reading.

    Args:
        result: Content of the table's JSON file, as `pipelines.studies.ablation_result` writes it.
    """
    parts = [f"# Table {result['table']}: {result['title']}", _settings(result), _legend(result)]
    for subset, title in _SUBSETS.items():
        parts += [f"## {title.format(n=_count(result, subset))}", *_subset(result, subset)]
    if any(row.get("speed") for row in result["rows"]):
        parts += ["## Speed", *_speed(result)]
    if result["quoted"]:
        metrics = [f"{name}: {figures['metric']}." for name, figures in result["quoted"].items()]
        parts += ["## Metrics of the quoted rows", lines_of(metrics)]
    parts += ["## Reading", lines_of(result["reading"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def reading(result: Result) -> list[str]:
    """Return sentences that say what the figures over all pictures show, and what they do not show.

    A row differs from the reference in a metric when the 95 % interval of the paired difference excludes 0.

    Args:
        result: Content of the table's JSON file, of which `reading` may be missing.
    """
    reference = result["reference"]
    rows = [row for row in result["rows"] if row["figures"]]
    lines = [_verdict(row, reference) for row in rows if reference is not None and row["name"] != reference]
    lines += [line for metric in _ORDERED_BY if (line := _order(rows, metric))]
    lines += [
        f"{row['name']}, seed {failure['seed']}: diverged, in no figure."
        for row in result["rows"]
        for failure in row["failed"]
    ]
    if reference is None and len(rows) > 1:
        lines.append("No differences: the row to compare with has no finished training.")
    elif len(rows) > 1:
        count = (len(rows) - 1) * len(_METRICS)
        lines.append(
            f"{count} comparisons: of those without a true difference, about one in twenty excludes 0 by chance."
        )
    if result["quoted"]:
        lines.append(
            "The quoted figures are of other pictures and other metrics: nothing here says which method is best."
        )
    return lines


def excludes_zero(figure: Mapping[str, Any]) -> bool:
    """Return whether a figure of `seed_averages` differs from the reference: 0 is outside the difference's interval."""
    difference = figure.get("difference")
    if not difference or difference["low"] is None:
        return False
    return bool(difference["low"] > 0 or difference["high"] < 0)


def _settings(result: Result) -> str:
    settings, machine = result["settings"], result["machine"]
    names = ("preset", "trunk", "trunk_weights", "steps", "batch_size", "image_size", "lr", "precision")
    words = [f"{name.replace('_', ' ')} {plain_text(settings[name])}" for name in names if name in settings]
    words.append(f"seeds {', '.join(map(str, result['seeds']))}")
    val = settings["val_annotations"]
    chosen = f"best checkpoint by {code(val)}" if val else "last checkpoint"
    trained, scored = code(settings["annotations"]), code(settings["test_annotations"])
    where = machine["cuda"] or f"{machine['processors']} processors, {machine['threads']} threads"
    return (
        f"Settings: {', '.join(words)}. Trained on {trained} (sha256 "
        f"{settings['annotations_sha256'][:12]}), {chosen}, scored on {scored} (sha256 of its "
        f"list of {result['images']} pictures {result['list_sha256'][:12]}). s4 {result['s4_version']}, torch "
        f"{machine['torch']}, {where}."
    )


def _legend(result: Result) -> str:
    against = f"minus that of {result['reference']}, same pictures and seeds; bold where the interval excludes 0"
    lines = [
        "Per cent: mean over seeds ± standard deviation over seeds (n - 1) [95 % bootstrap interval of the mean over "
        f"pictures, {result['resamples']} resamples]. The interval is about other pictures, not about other seeds.",
        "AP, AP50, AP70: COCO mask AP, class-agnostic, pooled over pictures, 20 detections. Released 0.5 and 0.7: "
        "metric of the released evaluator, an AP in each picture, averaged over pictures.",
        "The paper's figures are of other pictures and presumably of the released evaluator: compare orders and "
        "differences, not levels.",
        f"Difference: value of the row {against}." if result["reference"] else "",
        *result["notes"],
    ]
    return lines_of([line for line in lines if line])


def _subset(result: Result, subset: str) -> list[str]:
    """Return the table of one subset of the pictures, and the table of differences where there is one."""
    if not _count(result, subset):
        return ["No such picture."]
    paper = _paper_columns(result, subset)
    header = ["row", "trainings", *_METRICS.values(), *paper.values()]
    lines = [
        [row["name"], str(len(row["trainings"])), *_cells(row, subset), *_quoted(row["paper"], paper)]
        for row in result["rows"]
    ]
    nothing = [""] * (1 + len(_METRICS))
    lines += [[name, *nothing, *_quoted(figures, paper)] for name, figures in result["quoted"].items() if paper]
    parts = [table_of(header, lines)]
    compared = [
        row for row in result["rows"] if result["reference"] not in (None, row["name"]) and subset in row["figures"]
    ]
    if compared:
        header = [f"difference to {result['reference']}", *_METRICS.values()]
        parts.append(table_of(header, [[row["name"], *_differences(row, subset)] for row in compared]))
    return parts


def _speed(result: Result) -> list[str]:
    text = (
        "`net.detect` at batch 1 (network, proposals, masks at network size), median, the trained rows taking turns on "
        "the same pictures in one pass after a warm-up; ratio to the slowest row."
    )
    header = ["row", "ms", "images/s", "ratio", "paper images/s (GTX 1080 Ti)"]
    lines = []
    for row in result["rows"]:
        speed, fps = row.get("speed"), (row["paper"] or {}).get("fps")
        own = [speed["ms"], speed["images_per_second"], speed["ratio"]] if speed else [None] * 3
        lines.append([row["name"], *["-" if value is None else f"{value:.3g}" for value in [*own, fps]]])
    return [text, table_of(header, lines)]


def _verdict(row: Mapping[str, Any], reference: str) -> str:
    """Return what the differences between one row and the reference show, over all pictures."""
    shown, not_shown = [], []
    for metric, title in _METRICS.items():
        figure = row["figures"]["all"][metric]
        if excludes_zero(figure):
            shown.append(f"{title} {_direction(figure['difference'])}")
        else:
            not_shown.append(title)
    if not row["figures"]["all"]["ap"]["difference"]:
        return f"{row['name']} against {reference}: no seed in common, not compared."
    parts = shown + ([f"no difference shown in {', '.join(not_shown)} (the interval holds 0)"] if not_shown else [])
    return f"{row['name']} against {reference}: {'; '.join(parts)}."


def _direction(difference: Mapping[str, Any]) -> str:
    """Return `lower by 1.9 [0.4, 3.4] in 3 of 3 seeds` for a difference whose interval excludes 0."""
    sign = 1 if difference["mean"] > 0 else -1
    ends = sorted(100 * abs(difference[end]) for end in ("low", "high"))
    agree = sum(sign * value > 0 for value in difference["by_seed"])
    word = "higher" if sign > 0 else "lower"
    size = f"{100 * abs(difference['mean']):.1f} [{ends[0]:.1f}, {ends[1]:.1f}]"
    return f"{word} by {size} in {agree} of {len(difference['by_seed'])} seeds"


def _order(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Return the rows from best to worst, by our figures and by the paper's; empty for a single row."""
    own = {row["name"]: 100 * row["figures"]["all"][metric]["mean"] for row in rows}
    paper = {row["name"]: row["paper"][_ORDERED_BY[metric]] for row in rows if row["paper"]}
    if len(own) < 2:
        return ""
    text = f"Order by {_METRICS[metric]}: {_ranking(own)}"
    return f"{text}; in the paper: {_ranking(paper)}." if len(paper) > 1 else f"{text}."


def _ranking(values: Mapping[str, float]) -> str:
    ranked = sorted(values.items(), key=lambda item: -item[1])
    text = ""
    for (name, value), (_, before) in zip(ranked, [("", 0.0), *ranked[:-1]], strict=True):
        sign = "" if not text else " = " if f"{value:.1f}" == f"{before:.1f}" else " > "
        text += f"{sign}{name} {value:.1f}"
    return text


def _cells(row: Mapping[str, Any], subset: str) -> list[str]:
    figures = row["figures"].get(subset)
    if not figures:
        return ["diverged" if row["failed"] else "-"] * len(_METRICS)
    return [_cell(figures[metric], "{:.1f}") for metric in _METRICS]


def _differences(row: Mapping[str, Any], subset: str) -> list[str]:
    figures = [row["figures"][subset][metric] for metric in _METRICS]
    texts = [_cell(figure["difference"], "{:+.1f}") for figure in figures]
    return [f"**{text}**" if excludes_zero(figure) else text for text, figure in zip(texts, figures, strict=True)]


def _cell(estimate: Mapping[str, Any] | None, form: str) -> str:
    """Return `76.3 ± 0.8 [73.5, 79.1]`."""
    if not estimate or estimate["mean"] is None:
        return "-"
    mean, low, high = (form.format(100 * estimate[name]) for name in ("mean", "low", "high"))
    spread = f" ± {100 * estimate['sd']:.1f}" if estimate["sd"] is not None else ""
    return f"{mean}{spread} [{low}, {high}]"


def _paper_columns(result: Result, subset: str) -> dict[str, str]:
    """Return the paper's columns that have at least one figure."""
    lines = [row["paper"] or {} for row in result["rows"]] + list(result["quoted"].values())
    columns = _PAPER.get(subset, {})
    return {name: title for name, title in columns.items() if any(line.get(name) is not None for line in lines)}


def _quoted(figures: Mapping[str, Any] | None, columns: Mapping[str, str]) -> list[str]:
    values = [figures[name] if figures else None for name in columns]
    return ["-" if value is None else f"{value:.1f}" for value in values]


def _count(result: Result, subset: str) -> int:
    count: int = result["images"] if subset == "all" else result[subset]["images"]
    return count
