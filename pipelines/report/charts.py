"""Charts as PNG files in memory; neither a display nor matplotlib's global state is needed."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipelines.errors import printable
from pipelines.files import is_number

_COLORS = ("#1d6fd1", "#e4572e", "#2a9d8f", "#8e44ad", "#f2a900", "#6c757d", "#c2185b", "#558b2f")
GREY = "#868e96"
_LONGEST = 48  # letters of a name in a chart; longer ones would leave no room for what is drawn
_LONGEST_TICK = 28
_SCORE_PREFIX = "val_"
# Fields of a record that are neither a loss nor a score.
_NOT_DRAWN = frozenset({"step", "lr"})


def chart_text(text: str, longest: int = _LONGEST) -> str:
    """Return a text as matplotlib draws it letter by letter: two `$` would be a formula, and a line break a new line.

    Args:
        text: The text.
        longest: Letters after which the text is cut off.
    """
    shown = printable(text)
    if not shown or shown.startswith("_"):
        shown = f" {shown}"  # a legend would leave the name out
    return (shown if len(shown) <= longest else shown[: longest - 3] + "...").replace("$", r"\$")


def loss_curves(records: Sequence[Mapping[str, Any]], title: str = "") -> bytes:
    """Draw the losses over the steps of a training and, in a second panel, the scores where there are any.

    Args:
        records: Lines of a run's `metrics.jsonl`, each with `step`. Numbers named `val_...` are scores. The other
            numbers are losses, except for the learning rate.
        title: Title above the panels.

    Returns:
        A PNG file. Where there is nothing to draw, the axes say so.
    """
    curves = _series(records)
    losses = {name: curve for name, curve in curves.items() if not name.startswith(_SCORE_PREFIX)}
    scores = {name.removeprefix(_SCORE_PREFIX): curve for name, curve in curves.items() if name not in losses}
    figure = new_figure(width=9 if scores else 4.4, height=3.4)
    panels = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    _draw_losses(panels[0], losses)
    if scores:
        for color, (name, (steps, values)) in zip(_cycle(len(scores)), scores.items(), strict=True):
            panels[1].plot(
                steps, values, color=color, marker="o", markersize=3.5, linewidth=1.6, label=chart_text(name)
            )
        panels[1].set_title("score on held-out pictures", fontsize=10)
        panels[1].set_xlabel("step")
        panels[1].legend(frameon=False, fontsize=9)
    if title:
        figure.suptitle(chart_text(title), fontsize=11)
    return styled(figure)


def per_class_bars(series: Mapping[str, Mapping[str, float | None]], title: str = "", label: str = "IoU") -> bytes:
    """Draw the scores of every class as a group of bars, one bar for each series.

    Args:
        series: For each series, by its name in the legend, the score 0..1 of each class; None: not judged, no bar.
            Classes come in the order of the first series; classes that it lacks follow.
        title: Title above the bars.
        label: Name of the score.

    Returns:
        A PNG file.
    """
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    figure = new_figure(width=max(5.0, 1.5 + 0.16 * len(names) * (2 + len(series))), height=3.4)
    axes: Axes = figure.subplots()
    width = 0.8 / max(1, len(series))
    for number, (color, (legend, values)) in enumerate(zip(_cycle(len(series)), series.items(), strict=True)):
        known = [(place, value) for place, name in enumerate(names) if (value := values.get(name)) is not None]
        left = [place - 0.4 + (number + 0.5) * width for place, _ in known]
        bars = axes.bar(left, [100 * value for _, value in known], 0.92 * width, color=color, label=chart_text(legend))
        axes.bar_label(bars, fmt="%.0f", fontsize=7.5, padding=1.5, color="#495057")
    many, shown = len(names) > 6, [chart_text(name, _LONGEST_TICK) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=30 if many else 0, ha="right" if many else "center")
    axes.set_xlim(-0.6, max(1, len(names)) - 0.4)
    axes.set_ylim(0, 105)
    axes.set_ylabel(f"{chart_text(label)} in %")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9, ncols=len(series), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    if title:
        figure.suptitle(chart_text(title), fontsize=11)
    return styled(figure)


def _series(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Return steps and values by name, in order of appearance; a value that is no finite number is left out."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for record in records:
        for name, value in record.items():
            if is_number(value) and name not in _NOT_DRAWN:
                steps, values = curves.setdefault(name, ([], []))
                steps.append(int(record["step"]))
                values.append(float(value))
    return curves


def _draw_losses(axes: Axes, losses: Mapping[str, tuple[list[int], list[float]]]) -> None:
    """Draw each loss smoothed; the total also as it was measured, pale behind its smooth line."""
    for color, (name, (steps, values)) in zip(_cycle(len(losses)), losses.items(), strict=True):
        is_total = name == "total"
        if is_total:
            axes.plot(steps, values, color=GREY, alpha=0.35, linewidth=0.8)
        shade, width = ("#212529", 2.0) if is_total else (color, 1.3)
        axes.plot(steps, _smooth(values), color=shade, linewidth=width, label=chart_text(name))
    axes.set_title("loss", fontsize=10)
    axes.set_xlabel("step")
    axes.set_ylim(bottom=0)
    if losses:
        axes.legend(frameon=False, fontsize=9)
    else:
        axes.text(0.5, 0.5, "nothing recorded", ha="center", va="center", transform=axes.transAxes, color=GREY)


def _smooth(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the centred mean over about a twentieth of the curve; at its ends the window is cut off."""
    array = np.asarray(values, dtype=np.float64)
    reach = len(array) // 40
    sums = np.concatenate([[0.0], np.cumsum(array)])
    places = np.arange(len(array))
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(array))
    return np.asarray((sums[last] - sums[first]) / (last - first))


def _cycle(count: int) -> list[str]:
    return [_COLORS[number % len(_COLORS)] for number in range(count)]


def styled(figure: Figure, grid: bool = True) -> bytes:
    """Return a figure as a PNG file, with the grid and letters that all charts have."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        if grid:
            axes.grid(axis="y", color="#dee2e6", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
    return to_png(figure)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    with any_script():
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


@contextmanager
def any_script() -> Iterator[None]:
    """Draw without warnings letters that the font lacks, which become boxes, and names that leave little room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s)Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        yield
