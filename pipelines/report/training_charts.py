"""Charts of trainings and evaluations for a page: curves of one or several runs, confusions, precision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipelines.files import is_number
from pipelines.report.charts import chart_text, new_figure, styled

# Of Okabe and Ito, dark enough for lines on white. The styles tell lines apart without colour.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a35a86", "#7a6a00", "#3a7ca5", "#444444")
_STYLES = ("-", "--", "-.", ":")
_MOST_POINTS = 800
_MOST_NAMED = 24  # classes whose numbers are written into the cells of a confusion matrix
_SMOOTHED = 15  # parts of a curve over which its mean is taken

Records = Sequence[Mapping[str, Any]]


def curves(records: Records, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps and values of one number of `metrics.jsonl`, thinned to 800 points.

    Args:
        records: The lines; those without the number, or with one that is not finite, are left out.
        name: The number.
    """
    points: list[tuple[Any, Any]] = [(record.get("step"), record.get(name)) for record in records]
    known = [(float(step), float(value)) for step, value in points if is_number(step) and is_number(value)]
    array = np.array(known, np.float64).reshape(-1, 2)
    array = array[:: max(1, -(-len(array) // _MOST_POINTS))]
    return array[:, 0], array[:, 1]


def curve_names(records: Records) -> dict[str, list[str]]:
    """Return the numbers that a training recorded: `loss`, `score` and `rate` with the names of each, in order."""
    found = dict.fromkeys(name for record in records for name, value in record.items() if is_number(value))
    names = [name for name in found if name != "step"]
    return {
        "loss": [name for name in names if name != "lr" and not name.startswith("val_")],
        "score": [name for name in names if name.startswith("val_")],
        "rate": [name for name in names if name == "lr"],
    }


def curve_chart(runs: Mapping[str, Records], names: Sequence[str], title: str, smooth: bool = False) -> bytes:
    """Draw numbers of one or several trainings over their steps, in one chart.

    Args:
        runs: The records of each training by its name; with several trainings, the legend names them.
        names: The numbers to draw.
        title: Title of the chart.
        smooth: Whether to draw a running mean, with the numbers themselves pale behind it.

    Returns:
        A PNG file.
    """
    figure = new_figure(width=4.7, height=3.5)
    axes: Axes = figure.subplots()
    number = 0
    for run, records in runs.items():
        for name in names:
            steps, values = curves(records, name)
            if not len(steps):
                continue
            label = name.removeprefix("val_") if len(runs) == 1 else f"{run}: {name.removeprefix('val_')}"
            colour, style = _COLOURS[number % len(_COLOURS)], _STYLES[number % len(_STYLES)]
            if smooth and len(steps) > _SMOOTHED:
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                values = _running_mean(values)
            dot = "o" if len(steps) == 1 else None  # a line of one point is no line
            axes.plot(steps, values, color=colour, linestyle=style, linewidth=1.7, label=chart_text(label), marker=dot)
            number += 1
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step")
    if smooth:
        axes.set_ylim(bottom=0)
    if number:
        figure.legend(loc="outside lower center", frameon=False, fontsize=9, ncols=4 if len(runs) == 1 else 1)
    return styled(figure)


def confusion_chart(classes: Sequence[str], pixels: NDArray[Any]) -> bytes:
    """Draw a confusion matrix: for each true class (row), the share of its pixels that got each class (column).

    Args:
        classes: n names, background first.
        pixels: [n, n + 1] counts, see `pipelines.metrics.confusion`. The last column counts pixels without a class.

    Returns:
        A PNG file. Classes without a pixel are left out.
    """
    counts = np.asarray(pixels, np.float64)
    shown = [at for at in range(len(classes)) if counts[at].sum() or counts[:, at].sum()]
    columns = [*shown, len(classes)] if counts[:, -1].any() else shown
    kept = counts[np.ix_(shown, columns)]
    shares = 100 * kept / np.maximum(1, counts[shown].sum(axis=1, keepdims=True))
    side = 1.9 + 0.36 * len(columns)
    figure = new_figure(width=max(4.2, side + 1.0), height=max(3.4, side))
    axes: Axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    names = [chart_text(name, 20) for name in [*classes, "unknown"]]
    axes.set_xticks(range(len(columns)), [names[at] for at in columns], rotation=45, ha="right")
    axes.set_yticks(range(len(shown)), [names[at] for at in shown])
    axes.set_xlabel("given")
    axes.set_ylabel("true")
    if len(shown) <= _MOST_NAMED:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                ink = "white" if share > 55 else "#212529"
                axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_title("% of the pixels of each true class", fontsize=10)
    return styled(figure, grid=False)


def precision_chart(levels: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Draw how many of the labelled pixels are right, by their confidence.

    Args:
        levels: For each line {confidence [low, high], pixels, precision}, as `evaluate --labels` gives it.

    Returns:
        A PNG file. Levels without a pixel are left out.
    """
    figure = new_figure(width=5.0, height=3.4)
    axes: Axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color="#868e96", linewidth=1, linestyle=":", label="as confident as right")
    for number, (name, curve) in enumerate(levels.items()):
        known = [(50 * sum(at["confidence"]), 100 * at["precision"]) for at in curve if is_number(at["precision"])]
        if known:
            style = _STYLES[number % len(_STYLES)]
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(*zip(*known, strict=True), color=colour, linestyle=style, marker="o", label=chart_text(name))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 103)
    axes.set_xlabel("confidence in %")
    axes.set_ylabel("right pixels in %")
    axes.legend(frameon=False, fontsize=9)
    return styled(figure)


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = max(1, len(values) // (2 * _SMOOTHED))
    padded = np.pad(values, reach, mode="edge")
    kernel = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    return np.convolve(padded, kernel, mode="valid")
