import copy
from typing import Any

import pytest

from pipelines.report.ablation_table import excludes_zero, markdown, reading

METRICS = ("ap", "ap50", "ap70", "release_map50", "release_map70")


def figure(mean: float, difference: tuple[float, float, float] | None = None) -> dict[str, Any]:
    """A mean 3 points inside its interval; the difference as its mean and ends, of two seeds."""
    own = {"mean": mean, "sd": 0.008, "low": mean - 0.03, "high": mean + 0.03, "by_seed": [mean, mean]}
    if difference is None:
        return {**own, "difference": None}
    middle, low, high = difference
    ends = {"mean": middle, "sd": 0.004, "low": low, "high": high, "by_seed": [middle - 0.05, middle + 0.05]}
    return {**own, "difference": ends}


def row(name: str, figures: dict[str, Any], paper: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "trainings": [{"seed": 0}, {"seed": 1}], "failed": [], "paper": paper, **more} | {
        "figures": {"all": figures, "occluded": figures} if figures else {}
    }


def paper(map50: float, map70: float, occluded50: float | None = None, fps: float | None = None) -> dict[str, Any]:
    return {"map50": map50, "map70": map70, "occluded50": occluded50, "occluded70": None, "fps": fps, "metric": "VOC"}


@pytest.fixture
def result() -> dict[str, Any]:
    same, lower = (0.002, -0.01, 0.02), (-0.019, -0.034, -0.004)
    binary = {metric: figure(0.75, lower if metric == "ap70" else same) for metric in METRICS}
    return {
        "table": 1,
        "title": "RoI layers",
        "notes": ["A note."],
        "settings": {
            "preset": "modern", "trunk": "resnet50", "trunk_weights": "imagenet", "steps": 300, "batch_size": 8,
            "image_size": 320, "lr": 0.0004, "precision": "auto", "annotations": "train.json",
            "val_annotations": None, "test_annotations": "test.json", "annotations_sha256": "a" * 64,
        },
        "machine": {"cuda": None, "processors": 2, "threads": 1, "torch": "2.4"},
        "s4_version": "0.1.0",
        "seeds": [0, 1],
        "images": 300,
        "list_sha256": "b" * 64,
        "occluded": {"images": 82},
        "occluded_strict": {"images": 0},
        "resamples": 1000,
        "reference": "ternary",
        "quoted": {},
        "rows": [
            row("binary", binary, paper(85.5, 62.4, 80.1)),
            row("ternary", {metric: figure(0.76) for metric in METRICS}, paper(86.7, 63.6, 81.2)),
        ],
        "reading": ["A sentence."],
    }  # fmt: skip


def test_a_row_has_mean_spread_interval_and_the_figures_of_the_paper(result: dict[str, Any]) -> None:
    text = markdown(result)
    cell = "75.0 ± 0.8 [72.0, 78.0]"
    assert f"| binary | 2 | {' | '.join([cell] * 5)} | 85.5 | 62.4 |" in text
    assert "| row | trainings | AP | AP50 | AP70 | released 0.5 | released 0.7 | paper mAP.5 | paper mAP.7 |" in text


def test_differences_are_bold_where_their_interval_excludes_zero(result: dict[str, Any]) -> None:
    same = "+0.2 ± 0.4 [-1.0, +2.0]"
    line = f"| binary | {same} | {same} | **-1.9 ± 0.4 [-3.4, -0.4]** | {same} | {same} |"
    assert markdown(result).count(line) == 2  # over all pictures, and over the occluded ones


def test_subset_sizes_settings_and_columns_are_stated(result: dict[str, Any]) -> None:
    text = markdown(result)
    assert "## All 300 test pictures" in text
    assert "## 82 pictures in which two true boxes share area" in text
    assert (
        "## 0 pictures with two boxes of IoU above 0.05, or with masks at most one pixel apart\n\nNo such pic" in text
    )
    assert "preset modern, trunk resnet50, trunk weights imagenet, steps 300, batch size 8" in text
    assert "seeds 0, 1." in text
    assert "bbbbbbbbbbbb" in text
    assert "last checkpoint" in text
    assert "standard deviation over seeds (n - 1)" in text
    assert "A note." in text
    assert text.endswith("## Reading\n\n- A sentence.\n")


def test_only_known_columns_of_the_paper_are_shown(result: dict[str, Any]) -> None:
    assert "paper mAP_O.5 |" in markdown(result)
    assert "paper mAP_O.7" not in markdown(result)


def test_every_row_of_a_table_has_as_many_cells(result: dict[str, Any]) -> None:
    result["rows"].append(row("roipool", {}, None))
    result["quoted"] = {"MSRNet": paper(65.3, 52.3)}
    for block in markdown(result).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_the_reading_says_what_differs_and_what_is_not_shown_to(result: dict[str, Any]) -> None:
    lines = reading(result)
    assert lines[0] == (
        "binary against ternary: AP70 lower by 1.9 [0.4, 3.4] in 1 of 2 seeds; no difference shown in AP, AP50, "
        "released 0.5, released 0.7 (the interval holds 0)."
    )
    assert "Order by released 0.5: ternary 76.0 > binary 75.0; in the paper: ternary 86.7 > binary 85.5." in lines
    assert any(line.startswith("5 comparisons: ") for line in lines)


def test_rows_that_print_alike_are_not_ranked(result: dict[str, Any]) -> None:
    result["rows"][0]["figures"]["all"]["release_map50"]["mean"] = 0.76001
    assert any("binary 76.0 = ternary 76.0" in line for line in reading(result))


def test_a_row_that_diverged_is_shown_and_read(result: dict[str, Any]) -> None:
    failed = copy.deepcopy(result["rows"][0]) | {"failed": [{"seed": 1, "reason": "nan"}], "figures": {}}
    result["rows"][0] = failed | {"trainings": []}
    assert "| binary | 0 | diverged | diverged | diverged | diverged | diverged | 85.5 | 62.4 |" in markdown(result)
    lines = reading(result)
    assert "binary, seed 1: diverged, in no figure." in lines
    assert not any("comparisons" in line for line in lines)


def test_without_the_reference_row_nothing_is_compared(result: dict[str, Any]) -> None:
    result["reference"] = None
    result["rows"].append(row("roipool", {metric: figure(0.7) for metric in METRICS}, None))
    lines = reading(result)
    assert not any("against" in line for line in lines)
    assert "No differences: the row to compare with has no finished training." in lines
    assert "difference to" not in markdown(result)


def test_quoted_rows_carry_their_metric_and_no_verdict(result: dict[str, Any]) -> None:
    result |= {"reference": None, "rows": result["rows"][1:], "quoted": {"MSRNet": paper(65.3, 52.3)}}
    assert "| MSRNet |  |  |  |  |  |  | 65.3 | 52.3 |" in markdown(result)
    assert "- MSRNet: VOC." in markdown(result)
    (line,) = reading(result)
    assert "nothing here says which method is best" in line


def test_speed_stands_beside_that_of_the_paper(result: dict[str, Any]) -> None:
    result["rows"][0] |= {"speed": {"ms": 12.34, "images_per_second": 81.0, "ratio": 1.5}, "paper": paper(1, 1, fps=40)}
    assert "| binary | 12.3 | 81 | 1.5 | 40 |" in markdown(result)
    assert "| ternary | - | - | - | - |" in markdown(result)


@pytest.mark.parametrize(
    ("difference", "excluded"),
    [(None, False), ((0.1, 0.0, 0.2), False), ((0.1, 0.01, 0.2), True), ((-0.1, -0.2, -0.01), True)],
)
def test_an_interval_that_touches_zero_shows_nothing(difference: Any, excluded: bool) -> None:
    assert excludes_zero(figure(0.5, difference)) is excluded


def test_an_undefined_difference_shows_nothing() -> None:
    undefined = {"difference": {"mean": None, "sd": None, "low": None, "high": None, "by_seed": [None]}}
    assert not excludes_zero(undefined)
    assert not excludes_zero({})
