import io
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.report.charts import _series, _smooth, loss_curves, per_class_bars
from pipelines.report.training_charts import curve_chart, curves

ROOT = Path(__file__).parents[3]


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def has_color(png: bytes, color: str) -> bool:
    rgb = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return bool((np.abs(pixels(png) - rgb).max(axis=2) <= 2).any())


def records(steps: int) -> list[dict[str, object]]:
    losses = [{"step": step, "lr": 0.1, "boxes": 1 / step, "total": 2 / step} for step in range(1, steps)]
    return [*losses, {"step": steps, "val_ap50": 0.5}]


def test_curves_are_read_by_name_without_step_and_learning_rate() -> None:
    assert _series(records(3)) == {
        "boxes": ([1, 2], [1.0, 0.5]),
        "total": ([1, 2], [2.0, 1.0]),
        "val_ap50": ([3], [0.5]),
    }


def test_values_that_are_no_finite_number_are_left_out() -> None:
    assert _series([{"step": 5, "total": 1.5, "bad": math.nan, "done": True, "note": "x", "none": None}]) == {
        "total": ([5], [1.5])
    }


def test_smoothing_keeps_a_constant_and_averages_inside_its_window() -> None:
    np.testing.assert_allclose(_smooth([3.0] * 90), 3.0)
    assert _smooth([1.0, 5.0]).tolist() == [1.0, 5.0]  # too short to smooth
    values = [0.0] * 40
    values[20] = 3.0
    # 40 values: one neighbour on each side
    assert _smooth(values)[18:23].tolist() == pytest.approx([0, 1, 1, 1, 0])


def test_scores_get_a_panel_of_their_own() -> None:
    with_scores, without = pixels(loss_curves(records(50), "S4Net")), pixels(loss_curves(records(50)[:-1]))
    assert with_scores.shape[1] > 1.5 * without.shape[1]


@pytest.mark.parametrize("given", [[], [{"step": 1}], [{"step": 1, "total": 1.0}], [{"step": 1, "val_miou": 0.5}]])
def test_few_or_no_records_still_make_a_chart(given: list[dict[str, object]]) -> None:
    assert pixels(loss_curves(given)).size > 0


def test_every_series_has_bars_of_its_colour_and_unjudged_classes_none() -> None:
    blue, red = "#1d6fd1", "#e4572e"
    both = per_class_bars({"pseudo": {"cat": 0.5, "dog": 0.8}, "truth": {"cat": 0.7, "dog": None}}, "DeepLab")
    assert has_color(both, blue)
    assert has_color(both, red)
    alone = per_class_bars({"pseudo": {"cat": 0.5, "dog": None}})
    assert has_color(alone, blue)
    assert not has_color(alone, red)
    assert not has_color(per_class_bars({"pseudo": {"cat": None}}), blue)


def test_bars_are_as_high_as_their_scores() -> None:
    image = pixels(per_class_bars({"net": {"half": 0.5, "full": 1.0}}))
    is_bar = np.abs(image - [0x1D, 0x6F, 0xD1]).max(axis=2) <= 2
    heights = is_bar.sum(axis=0)
    middle = image.shape[1] // 2
    assert heights[:middle].max() / heights[middle:].max() == pytest.approx(0.5, abs=0.02)


def test_many_classes_widen_the_chart() -> None:
    few, many = ({f"class {index}": 0.5 for index in range(count)} for count in (3, 21))
    assert pixels(per_class_bars({"a": many})).shape[1] > 1.5 * pixels(per_class_bars({"a": few})).shape[1]
    assert pixels(per_class_bars({})).size > 0


def test_charts_need_no_display_and_leave_pyplot_alone() -> None:
    code = (
        "import sys; from pipelines.report.charts import loss_curves; loss_curves([]); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "number", [10**400, 10**30, -(10**30), 1e308, -1e308, float("inf"), float("nan"), 5e-324, True, "1"]
)
def test_numbers_of_any_size_are_drawn_or_left_out(number: Any) -> None:
    own = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": number}, {"step": number, "loss": 0.25}]
    for names in (["loss"], ["val_miou"], ["lr"]):
        records = [{"step": one["step"], names[0]: one["loss"]} for one in own]
        assert curve_chart({"run": records}, names, "title").startswith(b"\x89PNG")
    drawn = {5e-324: 3, 10**30: 3, -(10**30): 3}.get(number, 1)  # 1e100 is the largest number that is drawn
    assert len(curves(own, "loss")[0]) == drawn
