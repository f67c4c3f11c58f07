"""Speed of the rows of a benchmark and, for networks whose accuracy is known, speed against accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from pipelines.report.charts import GREY, chart_text, new_figure, to_png

_COLORS = {"fp32": "#e4572e", "bf16": "#1d6fd1"}
_ROW_HEIGHT = 0.24  # inches


def speed_plot(rows: Sequence[Mapping[str, Any]], peer: str, title: str = "") -> bytes:
    """Draw a benchmark.

    Args:
        rows: Rows of the result of `s4 bench`: `name`, `images_per_second` and `ratio` (None: not timed, left out),
            `precision`, and for trained networks `accuracy` in 0..1.
        peer: Name of the row that ratios refer to; its speed is a vertical line.
        title: Title above the panels.

    Returns:
        A PNG file. The first panel has a dot for each row over images/s on a logarithmic scale, where equal ratios are
        equal distances. A second panel has accuracy over images/s, where there is an accuracy.
    """
    timed = [row for row in rows if row.get("images_per_second")]
    judged = [row for row in timed if row.get("accuracy") is not None]
    height = max(2.6, 1.2 + _ROW_HEIGHT * len(timed))
    figure = new_figure(14 if judged else 10, height)
    panels = figure.subplots(1, 2, width_ratios=(3, 2)) if judged else [figure.subplots()]
    _draw_speeds(panels[0], timed, peer)
    if judged:
        _draw_accuracies(panels[1], judged)
    if title:
        figure.suptitle(chart_text(title), fontsize=11)
    return to_png(figure)


def _draw_speeds(axes: Axes, rows: Sequence[Mapping[str, Any]], peer: str) -> None:
    for place, row in enumerate(rows):
        speed, ratio = row["images_per_second"], row["ratio"]
        axes.plot(speed, place, "o", color=_color(row), markersize=6)
        text = f"{speed:.3g}/s" + (f"  {ratio:.2f}x" if ratio is not None else "")
        axes.annotate(
            text, (speed, place), (7, 0), textcoords="offset points", va="center", fontsize=7.5, color="#495057"
        )
    axes.set_yticks(range(len(rows)), [chart_text(row["name"]) for row in rows], fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    reference = next((row["images_per_second"] for row in rows if row["name"] == peer), None)
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_xlabel("images per second")
    if rows:
        axes.set_xscale("log")
        speeds = [row["images_per_second"] for row in rows]
        axes.set_xlim(min(speeds) / 1.3, max(speeds) * 2.2)  # room for the texts
    else:
        axes.text(0.5, 0.5, "nothing timed", ha="center", va="center", transform=axes.transAxes, color=GREY)
    _finish(axes)


def _draw_accuracies(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        speed, accuracy = row["images_per_second"], 100 * row["accuracy"]
        axes.plot(speed, accuracy, "o", color=_color(row), markersize=6)
        label = row["name"].partition(", ")[2] or row["name"]
        axes.annotate(chart_text(label), (speed, accuracy), (0, 6), textcoords="offset points", fontsize=7, rotation=30)
    axes.set_xscale("log")
    axes.set_xlabel("images per second")
    axes.set_ylabel("AP50 in %, val pictures of the training")
    axes.margins(x=0.25, y=0.4)
    _finish(axes)


def _color(row: Mapping[str, Any]) -> str:
    return _COLORS.get(str(row.get("precision")), GREY)


def _finish(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dee2e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
