"""The page that compares results: settings that differ, figures, curves, and the same pictures beside each other."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.errors import S4Error
from pipelines.files import is_number
from pipelines.pages.page import SECONDS, curve_charts, figure, is_share
from pipelines.pages.result import Result, Shot, page_of
from pipelines.report.charts import per_class_bars
from pipelines.report.html import Link, Picture, Row, Section, Table, render_report

MOST_ROWS = 20
"""Pictures that are shown beside each other."""
_OF_WORK = ("run", "out", "report", "tensorboard", "resume", "dry_run", "device", "workers", "save_predictions")
_UNSHOWN = ("arguments", "started", "finished")  # of the environment: never alike


def short_names(results: Sequence[Result]) -> list[str]:
    """Return a short name for each result: the end of its path that tells it from the others, as far as one does."""
    parts = [Path(os.path.abspath(result.name)).parts for result in results]
    for length in range(1, max(map(len, parts))):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{result.name} ({number})" for number, result in enumerate(results, start=1)]


def write_comparison(path: Path, results: Sequence[Result], seconds: float = SECONDS) -> dict[str, int]:
    """Write the page.

    Args:
        path: The HTML file.
        results: Two results or more.
        seconds: Time after which no further row of pictures is drawn.

    Returns:
        settings: Number of settings that differ. figures: Number of figures. pictures: Number of rows of pictures.

    Raises:
        S4Error: The page cannot be written.
    """
    names = short_names(results)
    settings = differing([_shared(result, results) for result in results])
    machine = differing(
        [{key: value for key, value in result.environment.items() if key not in _UNSHOWN} for result in results]
    )
    rows = _picture_rows(results, names, seconds)
    sections = [
        _table("Settings that differ", settings, names, "All settings that are known are the same."),
        _figures(results, names),
        *_curves(results, names),
        *_classes(results, names),
        *_pictures(results, rows),
        *([_table("Machines", machine, names, "")] if machine else []),
    ]
    sections = [section for section in sections if section is not None]
    summary = f"{len(results)} results beside each other. A difference is a value minus that of {names[0]}."
    links = [_link(path, result, name) for result, name in zip(results, names, strict=True)]
    facts = {"kind": "report", "results": [result.facts() for result in results]}
    title = f"Comparison: {' and '.join(names)}"
    render_report(path, title, sections, summary, {}, [link for link in links if link is not None], facts)
    return {"settings": len(settings), "figures": len(_names_of(results)), "pictures": len(rows)}


def differing(sides: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the names whose values differ, with the value of each side as text; `-` where a side has none."""
    names = dict.fromkeys(name for side in sides for name in side)
    found = {}
    for name in names:
        values = [side.get(name) for side in sides]
        if any(value != values[0] for value in values):
            found[name] = ["-" if value is None else str(value) for value in values]
    return found


def _shared(result: Result, results: Sequence[Result]) -> dict[str, Any]:
    """Return the settings of a result that results of at least one other command may have, but for mere places."""
    kinds = {other.kind for other in results}
    counts = {name: sum(name in other.settings for other in results) for name in result.settings}
    least = 1 if len(kinds) == 1 else 2
    return {name: value for name, value in result.settings.items() if counts[name] >= least and name not in _OF_WORK}


def _link(path: Path, result: Result, name: str) -> Link | None:
    page = page_of(Path(result.name))
    if page is None or not os.path.isfile(page):
        return None
    return Link(name, os.path.relpath(page, os.path.abspath(path.parent)), "part")


def _table(heading: str, rows: Mapping[str, Sequence[str]], names: Sequence[str], otherwise: str) -> Section:
    if not rows:
        return Section(heading, otherwise)
    return Section(heading, tables=[Table(("name", *names), [[name, *values] for name, values in rows.items()])])


def _names_of(results: Sequence[Result]) -> list[str]:
    """Return the figures that at least two results have."""
    names = dict.fromkeys(name for result in results for name in result.figures)
    return [name for name in names if sum(result.figures.get(name) is not None for result in results) > 1]


def _figures(results: Sequence[Result], names: Sequence[str]) -> Section:
    shown = _names_of(results)
    if not shown:
        return Section("Figures", "No figure is known of two of the results.")
    rows = [_row(name, [result.figures.get(name) for result in results], is_share(name)) for name in shown]
    return Section("Figures", tables=[Table(_columns(names), rows)])


def _columns(names: Sequence[str]) -> list[str]:
    return ["name", *names, *(["difference"] if len(names) == 2 else [f"{name}, difference" for name in names[1:]])]


def _row(name: str, values: Sequence[Any], share: bool) -> list[str]:
    cells = [name, *(figure("miou" if share else name, value) for value in values)]
    return cells + [_difference(values[0], value, share) for value in values[1:]]


def _difference(first: Any, second: Any, share: bool) -> str:
    if not is_number(first) or not is_number(second):
        return "-"
    return f"{100 * (second - first):+.1f} points" if share else f"{second - first:+,.4g}"


def _curves(results: Sequence[Result], names: Sequence[str]) -> list[Section]:
    runs = {name: result.curves for name, result in zip(names, results, strict=True) if result.curves}
    charts = curve_charts(runs) if runs else []
    return [Section("Curves", pictures=charts)] if charts else []


def _classes(results: Sequence[Result], names: Sequence[str]) -> list[Section]:
    sides = {name: result.per_class for name, result in zip(names, results, strict=True) if result.per_class}
    if len(sides) < 2:
        return []
    classes = [
        name
        for name in dict.fromkeys(name for side in sides.values() for name in side)
        if any(side.get(name) is not None for side in sides.values())
    ]
    rows = [_row(name, [side.get(name) for side in sides.values()], True) for name in classes]
    known = {name: {each: side.get(each) for each in classes} for name, side in sides.items()}
    chart = Picture(per_class_bars(known, "IoU of each class"), "", "Bars: IoU of each class, as in the table")
    return [Section("Classes", tables=[Table(_columns(list(sides)), rows)], pictures=[chart])]


def _picture_rows(results: Sequence[Result], names: Sequence[str], seconds: float) -> list[Row]:
    """Draw the pictures that all results with a sheet have, the most doubtful ones of the first result first."""
    sides = [
        (name, {shot.image_id: shot for shot in result.sheet.shots})
        for name, result in zip(names, results, strict=True)
        if result.sheet is not None
    ]
    if len(sides) < 2:
        return []
    first = sorted(sides[0][1].values(), key=lambda shot: (shot.certainty, shot.image_id))
    shared = [shot.image_id for shot in first if all(shot.image_id in side for _, side in sides)]
    rows, ends = [], time.monotonic() + seconds
    for image_id in shared[:MOST_ROWS]:
        if time.monotonic() > ends:
            break
        with suppress(S4Error, OSError, KeyError, ValueError):
            rows.append(Row(image_id, [_picture(name, side[image_id]) for name, side in sides]))
    return rows


def _picture(name: str, shot: Shot) -> Picture:
    return Picture.from_array(shot.draw(), f"{name}. {shot.caption}".rstrip(". "), f"{shot.image_id} in {name}")


def _pictures(results: Sequence[Result], rows: Sequence[Row]) -> list[Section]:
    if not rows:
        return []
    legends = [entry for result in results if result.sheet is not None for entry in result.sheet.legend()]
    text = "The pictures that all of the results have. The most doubtful ones of the first come first."
    return [Section("The same pictures", text, legend=list(dict.fromkeys(legends)), rows=rows)]
