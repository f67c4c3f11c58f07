"""The page of one result."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import S4Error
from pipelines.pages.result import Result, Sheet, Shot, link_to
from pipelines.report.charts import per_class_bars
from pipelines.report.html import Link, Picture, Section, Table, add_link, read_facts, render_report
from pipelines.report.training_charts import confusion_chart, curve_chart, curve_names, precision_chart
from pipelines.stores.paths import is_address

MOST_PICTURES = 60
"""Pictures of a sheet."""
_SAMPLE = 12  # of them that are not the most doubtful ones
SECONDS = 20.0
"""Time after which no further picture is drawn, unless the caller gives another."""
_TITLES = {
    "pseudo-label": "Labels",
    "predict": "Predictions",
    "train": "Training of S4Net",
    "deeplab-train": "Training of DeepLab",
    "evaluate": "Evaluation",
    "run": "Chain",
}
_SHARES = ("miou", "ap", "coverage", "precision", "pixel_accuracy", "boundary_iou", "accuracy", "release_map")
_HEADLINE = (
    "miou", "ap50", "ap", "best miou", "best ap50", "miou_kept", "coverage", "precision_kept", "images", "labelled",
    "empty", "written", "failed", "assigned", "instances", "steps",
)  # fmt: skip
_CONTENTS = {"loss": "loss", "score": "score on held-out pictures", "rate": "learning rate"}


def write_page(path: Path, result: Result, seconds: float = SECONDS) -> int:
    """Write the page of a result, and a link to it into the pages of the stages before.

    Args:
        path: The HTML file.
        result: The result.
        seconds: Time after which no further picture is drawn.

    Returns:
        Number of pictures with results drawn on them.

    Raises:
        S4Error: The page cannot be written.
    """
    sheet, shown = picture_sections(result, seconds)
    sections = [*_warnings(result), *sheet, *chart_sections(result), *_left_out(result), *tables_of(result)]
    before = {} if is_address(path) else result.before
    links = [link_to(path, page, f"{name}: {Path(page).parent.name}", "before") for name, page in before.items()]
    links += _links_after(path)
    title = _TITLES.get(result.kind, "Report")
    summary = f"{result.name}, left by s4 {result.kind}."
    name = f"{title}: {Path(result.name).name}"
    render_report(path, name, sections, summary, headline(result), links, result.facts())
    for page in before.values():
        with suppress(S4Error, OSError):  # the folder of the stage before may be read-only, or without a page
            words = f"{_TITLES.get(result.kind, 'report')}: {Path(result.name).name}"
            add_link(Path(page), link_to(Path(page), str(path), words, "after"))
    return shown


def headline(result: Result) -> dict[str, str]:
    """Return the few figures of a result that matter most."""
    found = [name for name in _HEADLINE if result.figures.get(name) is not None]
    return {name: figure(name, result.figures[name]) for name in found[:6]}


def figure(name: str, value: Any) -> str:
    """Return a number as the page shows it: shares in per cent."""
    if value is None:
        return "-"
    if isinstance(value, float) and is_share(name):
        return f"{100 * value:.1f} %"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def is_share(name: str) -> bool:
    """Return whether a number is a share of 1, by its name."""
    last = name.removeprefix("best ").removeprefix("versus ").removeprefix("occluded ").removeprefix("assignment ")
    return last.startswith(_SHARES)


def picture_sections(result: Result, seconds: float) -> tuple[list[Section], int]:
    """Return the sheet of a result, and how many pictures with results it shows."""
    sections, count = [], 0
    if result.first_batch is not None:
        with suppress(S4Error, OSError):
            data = result.first_batch.read_bytes()
            alt = "Pictures of the first step, with the labels or masks that teach the network"
            text = "What the network was taught first, as it saw it: cut, mirrored and scaled. Wrong labels show here."
            sections.append(
                Section(
                    "First batch", text, pictures=[Picture(data, "", alt)], legend=Sheet((), result.classes).legend()
                )
            )
    sheet = result.sheet
    if sheet is not None and sheet.shots:
        groups = chosen(sheet.shots, sheet.whole)
        ends = time.monotonic() + seconds
        for heading, shots in groups.items():
            pictures, lost = drawn_shots(shots, ends)
            count += len(pictures)
            if shots:
                note = f" {lost} more could not be shown." if lost else ""
                text = f"{len(pictures)} of {len(sheet.shots)} pictures.{note} {sheet.order}"
                sections.append(Section(heading, text, pictures=pictures, legend=sheet.legend()))
    return sections, count


def chosen(shots: Sequence[Shot], whole: bool = False) -> dict[str, list[Shot]]:
    """Return the shots to draw by heading: the most doubtful ones, and an even sample of the others.

    Args:
        shots: All shots.
        whole: Whether the first ones are wanted, in their order.
    """
    if whole:
        return {"Worst pictures": list(shots[:MOST_PICTURES])}
    ordered = sorted(shots, key=lambda shot: (shot.certainty, shot.image_id))
    if len(ordered) <= MOST_PICTURES:
        return {"Pictures, most doubtful first": ordered}
    doubtful, others = ordered[: MOST_PICTURES - _SAMPLE], ordered[MOST_PICTURES - _SAMPLE :]
    places = np.linspace(0, len(others) - 1, _SAMPLE).round().astype(int).tolist()
    return {"Most doubtful pictures": doubtful, "A sample of the others": [others[at] for at in places]}


def drawn_shots(shots: Sequence[Shot], ends: float) -> tuple[list[Picture], int]:
    """Draw shots until a moment of `time.monotonic`; return the pictures, and how many are missing."""
    pictures: list[Picture] = []
    for shot in shots:
        if time.monotonic() > ends:
            break
        with suppress(S4Error, OSError, KeyError, ValueError):  # a picture that is gone or damaged
            caption = f"{shot.image_id}. {shot.caption}".rstrip(". ")
            pictures.append(Picture.from_array(shot.draw(), caption))
    return pictures, len(shots) - len(pictures)


def chart_sections(result: Result) -> list[Section]:
    """Return curves, IoU by class, confusion matrix and precision, as far as the result has them."""
    sections = []
    charts = curve_charts({result.name: result.curves}) if result.curves else []
    if charts:
        sections.append(
            Section("Curves", "A loss is a running mean; its numbers themselves are pale.", pictures=charts)
        )
    known = {name: value for name, value in result.per_class.items() if value is not None}
    if known:
        chart = Picture(per_class_bars({"IoU": known}, "IoU of each class"), "", "Bars of the IoU in the table")
        rows = [[name, figure("miou", value)] for name, value in known.items()]
        sections.append(Section("Classes", tables=[Table(("class", "IoU"), rows)], pictures=[chart]))
    if result.confusion.get("classes") and result.confusion.get("pixels"):
        classes, pixels = result.confusion["classes"], np.asarray(result.confusion["pixels"])
        chart = Picture(confusion_chart(classes, pixels), "", "Confusion matrix, of which the table names the most")
        sections.append(Section("Confusions", _CONFUSIONS, [_largest(classes, pixels)], [chart]))
    if result.precision:
        rows = [
            [f"{name}, {at['confidence'][0]:.1f} to {at['confidence'][1]:.1f}", figure("pixels", at["pixels"]),
             figure("precision", at["precision"])]
            for name, levels in result.precision.items()
            for at in levels
            if at["pixels"]
        ]  # fmt: skip
        chart = Picture(precision_chart(result.precision), "", "Precision by confidence, as in the table")
        table = Table(("labelled as, confidence", "pixels", "right"), rows)
        sections.append(Section("Precision by confidence", tables=[table], pictures=[chart]))
    return sections


_CONFUSIONS = "Each row is a true class; its cells say which share of its pixels got which class."


def curve_charts(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Picture]:
    """Return a chart of losses, one of scores and one of the learning rate, of one or several trainings."""
    every = [record for records in runs.values() for record in records]
    charts = []
    for kind, names in curve_names(every).items():
        if names and len(runs) > 1 and kind == "loss":
            names = ["total"] if "total" in names else names[:1]
        if names:
            chart = curve_chart(runs, names, _CONTENTS[kind], smooth=kind == "loss")
            charts.append(Picture(chart, "", f"Curves over the steps: {_CONTENTS[kind]} ({', '.join(names)})"))
    return charts


def _largest(classes: Sequence[str], pixels: "np.ndarray[Any, Any]", most: int = 10) -> Table:
    """Return the table of the largest shares off the diagonal."""
    names = [*classes, "unknown"]
    shares = pixels / np.maximum(1, pixels.sum(axis=1, keepdims=True))
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    off = [divmod(int(at), shares.shape[1]) for at in order if shares.flat[at] > 0]
    rows = [[classes[row], names[column], figure("miou", float(shares[row, column]))] for row, column in off]
    return Table(("true class", "given", "of its pixels"), rows, "The largest confusions")


def tables_of(result: Result) -> list[Section]:
    """Return all figures, the settings, and the environment."""
    parts: list[tuple[str, Mapping[str, Any], Callable[[str, Any], str]]] = [
        ("Figures", result.figures, figure),
        ("Settings", {name: value for name, value in result.settings.items() if value is not None}, _plain),
        ("Environment", result.environment, _plain),
    ]
    return [
        Section(heading, tables=[Table(("name", "value"), [[name, show(name, value)] for name, value in rows.items()])])
        for heading, rows, show in parts
        if rows
    ]


def _warnings(result: Result) -> list[Section]:
    return [Section("Warnings", "\n\n".join(result.warnings))] if result.warnings else []


def _left_out(result: Result) -> list[Section]:
    if not result.left_out:
        return []
    rows = [[str(what), str(why), figure("count", count)] for what, why, count in result.left_out]
    return [Section("Left out", tables=[Table(("what", "why", "how many"), rows)])]


def _links_after(path: Path) -> list[Link]:
    """Return the links to later stages that the page had before it is written anew."""
    try:
        return read_facts(path)[1]
    except (S4Error, OSError):
        return []


def _plain(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
