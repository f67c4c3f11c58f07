"""Table 5 for people: Markdown and a page, with the paper's figures beside ours, and what the figures show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.report.ablation_table import excludes_zero
from pipelines.report.charts import chart_text, new_figure, styled
from pipelines.report.html import Picture, Row, Section, Table, render_report
from pipelines.report.markdown_text import code, lines_of, table_of

Result = Mapping[str, Any]

_COLUMNS = (
    "labels from", "label mIoU", "label coverage", "label precision", "seeds", "DeepLab mIoU", "difference",
    "paper", "paper's difference",
)  # fmt: skip
_PAPER_INSTANCES = 57.4  # DeepLab-VGG16 on salient instances: what the paper's other VGG16 rows are compared with
_PAPER_NETWORK = "DeepLab-VGG16"


def markdown(result: Result) -> str:
    """Return the whole table with settings, explained columns, and the reading.

    Args:
        result: Content of the table's JSON file, as `pipelines.studies.label_table.result` writes it.
    """
    parts = [
        f"# Table {result['table']}: {result['title']}",
        _settings(result, code),
        lines_of([*_legend(result), *result["notes"]]),
        table_of(_COLUMNS, _cells(result, bold="**")),
        "## IoU by class",
        table_of(*_per_class(result)),
        "## Reading",
        lines_of(result["reading"]),
    ]
    return "\n\n".join(parts) + "\n"


def write_page(path: Path, result: Result, pictures: Sequence[Row]) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        result: As for `markdown`.
        pictures: Some pictures with the labels of every row.

    Raises:
        MachineError: The file cannot be written.
    """
    columns, rows = _per_class(result)
    sections = [
        Section("Reading", "\n\n".join(result["reading"])),
        Section("Table", tables=_tables(result), pictures=_chart(result)),
        Section("What the columns mean", "\n\n".join([*_legend(result), *map(_unmarked, result["notes"])])),
        Section(
            "Labels of the same pictures",
            "Pictures with several keywords come first, since there the rows differ. Striped pixels are unknown: "
            "nothing is learned from them.",
            rows=pictures,
        ),
        Section("IoU by class", "Mean over seeds, DeepLab on the pictures to score on.", tables=[Table(columns, rows)]),
    ]
    headline = {row["name"]: _percent(row["figures"].get("mean")) for row in result["rows"]}
    render_report(path, f"Table 5: {result['title']}", sections, _settings(result, str), headline)


def reading(result: Result) -> list[str]:
    """Return sentences that say what the figures show, and what they do not show.

    A row differs from the reference when the 95 % interval of the paired difference excludes 0.

    Args:
        result: Content of the table's JSON file, of which `reading` may be missing.
    """
    first, rows = result["reference"], result["rows"]
    lines = [_verdict(row, first) for row in rows if row["name"] != first]
    compared = [row for row in rows if row["figures"].get("difference")]
    if compared:
        lines.append(
            f"{len(compared)} comparisons: of those without a true difference, about one in twenty excludes 0 by "
            "chance."
        )
    if len(result["seeds"]) == 1 and compared:
        lines.append("One seed: another training may differ by more than the interval, which is about pictures alone.")
    lines += [
        f"{row['name']}, seed {failure['seed']}: diverged, in no figure." for row in rows for failure in row["failed"]
    ]
    lines += [f"{row['name']}: {row['lost']} pictures could not be labelled." for row in rows if row["lost"]]
    lines += [f"{warning['message']}." for warning in result["warnings"]]
    return lines


def _verdict(row: Mapping[str, Any], first: str) -> str:
    """Return what the difference between one row and the reference shows."""
    start = f"{row['name']} against {first}:"
    difference = row["figures"].get("difference")
    if not difference or difference["mean"] is None:
        return f"{start} no seed in common, not compared."
    ends = f"[{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
    words = f"{start} {100 * difference['mean']:+.1f} points {ends}"
    if not excludes_zero(row["figures"]):
        return f"{words}, no difference shown (the interval holds 0)."
    agree = sum(value * difference["mean"] > 0 for value in difference["by_seed"])
    return f"{words}, in {agree} of {len(difference['by_seed'])} seeds in this direction."


def _settings(result: Result, shown: Any) -> str:
    settings, machine = result["settings"], result["machine"]
    names = ("network", "loss", "steps", "batch_size", "crop", "lr", "trunk_weights", "min_score", "precision")
    words = [f"{name.replace('_', ' ')} {settings[name]}" for name in names]
    words.append(f"seeds {', '.join(map(str, result['seeds']))}")
    where = machine["cuda"] or f"{machine['processors']} processors, {machine['threads']} threads"
    return (
        f"Settings: {', '.join(words)}. Salient instances of {shown(settings['weights'])}. {result['labelled_images']} "
        f"pictures of {shown(result['split'])} labelled, {result['several_keywords']} of them with several keywords. "
        f"Scored on {result['images']} pictures of {shown(result['val_split'])} (sha256 of the list "
        f"{result['list_sha256'][:12]}), one scale, no CRF. s4 {result['s4_version']}, torch {machine['torch']}, "
        f"{where}."
    )


def _legend(result: Result) -> list[str]:
    return [
        "Per cent. Label mIoU: labels beside the truth of the labelled pictures that have one; unknown pixels count as "
        "errors. Coverage: share of pixels with a label. Precision: share of these that are right.",
        "DeepLab mIoU: mean over seeds ± standard deviation over seeds (n - 1) [95 % bootstrap interval of the mean "
        f"over pictures, {result['resamples']} resamples].",
        f"Difference: DeepLab mIoU of the row minus that of {result['reference']}, same pictures and seeds, with its "
        "paired interval. In Markdown it is bold where the interval excludes 0.",
        "Paper: mIoU in the S4Net paper's Table 5. Paper's difference: minus its 57.4 for salient instances, both with "
        "DeepLab-VGG16.",
    ]


def _tables(result: Result) -> list[Table]:
    """Return the table in two, since a page is not as wide: the labels, and the DeepLabs."""
    rows, own = _cells(result), _COLUMNS.index("seeds")
    return [
        Table(_COLUMNS[:own], [row[:own] for row in rows]),
        Table((_COLUMNS[0], *_COLUMNS[own:]), [[row[0], *row[own:]] for row in rows]),
    ]


def _cells(result: Result, bold: str = "") -> list[list[str]]:
    """Return the cells of each row of the table."""
    return [
        [
            row["name"],
            *(_percent(row["labels"].get(name), "") for name in ("miou", "coverage", "precision_kept")),
            str(len(row["trainings"])),
            _estimate(row["figures"], "{:.1f}", bool(row["failed"])),
            _difference(row, bold),
            *_of_paper(row["paper"]),
        ]
        for row in result["rows"]
    ]


def _difference(row: Mapping[str, Any], bold: str) -> str:
    text = _estimate(row["figures"].get("difference") or {}, "{:+.1f}")
    return f"{bold}{text}{bold}" if excludes_zero(row["figures"]) else text


def _estimate(figures: Mapping[str, Any], form: str, diverged: bool = False) -> str:
    """Return `76.3 ± 0.8 [73.5, 79.1]`."""
    if figures.get("mean") is None:
        return "diverged" if diverged else "-"
    mean, low, high = (form.format(100 * figures[name]) if figures[name] is not None else "-" for name in _ENDS)
    spread = f" ± {100 * figures['sd']:.1f}" if figures["sd"] is not None else ""
    return f"{mean}{spread} [{low}, {high}]"


_ENDS = ("mean", "low", "high")


def _of_paper(figures: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the paper's figures, and their differences to its salient instances with the same network."""
    if not figures:
        return "-", "-"
    told = [f"{one['miou']:.1f} ({one['cues']}, {one['network'].removeprefix('DeepLab-')})" for one in figures]
    same = [one["miou"] - _PAPER_INSTANCES for one in figures if one["network"] == _PAPER_NETWORK]
    return ", ".join(told), ", ".join(f"{value:+.1f}" for value in same if abs(value) > 0.01) or "-"


def _per_class(result: Result) -> tuple[list[str], list[list[str]]]:
    """Return the table of IoU by class: a line for each class, a column for each row of Table 5."""
    names = list(result["rows"][0]["per_class"])
    lines = [[name, *(_percent(row["per_class"].get(name), "") for row in result["rows"])] for name in names]
    return ["class", *(row["name"] for row in result["rows"])], lines


def _chart(result: Result) -> list[Picture]:
    """Return the chart of the rows: our mIoU with its interval, and the paper's figures."""
    rows = [row for row in result["rows"] if row["figures"].get("mean") is not None]
    if not rows:
        return []
    figure = new_figure(width=7.5, height=1.2 + 0.42 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        mean, low, high = (100 * (row["figures"][name] or 0) for name in _ENDS)
        is_first = row["name"] == result["reference"]
        axes.barh(place, mean, 0.6, color="#1d6fd1" if is_first else "#8fb8e8")
        axes.plot([low, high], [place, place], color="#212529", linewidth=1.6)
        for paper in row["paper"]:
            if paper["network"] == _PAPER_NETWORK:
                axes.plot(paper["miou"], place, "D", color="#e4572e", markersize=5)
    axes.plot([], [], "D", color="#e4572e", label=f"paper, {_PAPER_NETWORK}")
    axes.plot([], [], color="#212529", label="95 % over pictures")
    axes.set_yticks(range(len(rows)), [chart_text(row["name"], 32) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("mIoU in %")
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    alt = "Bars of the mIoU of each row with its interval, and the paper's figures as diamonds"
    return [Picture(styled(figure, grid=False), "mIoU of DeepLab on the labels of each row", alt)]


def _percent(value: float | None, unit: str = " %") -> str:
    return "-" if value is None else f"{100 * value:.1f}{unit}"


def _unmarked(text: str) -> str:
    """Return a sentence without the marks of Markdown."""
    return text.replace("`", "")
