"""Table 5 for people, from results that are written by hand."""

from pathlib import Path
from typing import Any

from pipelines.report.label_table import markdown, reading, write_page

PAPER = {
    "saliency": [
        {"cues": "DRFI", "network": "DeepLab-VGG16", "miou": 49.8},
        {"cues": "DSS", "network": "DeepLab-VGG16", "miou": 52.6},
    ],
    "graph": [
        {"cues": "instances", "network": "DeepLab-VGG16", "miou": 57.4},
        {"cues": "instances", "network": "DeepLab-ResNet101", "miou": 61.8},
    ],
}


def estimate(mean: float, low: float, high: float, *seeds: float) -> dict[str, Any]:
    return {"mean": mean, "sd": 0.01 if seeds[1:] else None, "low": low, "high": high, "by_seed": list(seeds)}


def row(name: str, figures: dict[str, Any], **more: Any) -> dict[str, Any]:
    labels = {"miou": 0.6, "coverage": 0.9, "precision_kept": 0.8}
    per_class = {"background": 0.8, "a|b": None}
    given = {"labels": labels, "trainings": [{}, {}], "failed": [], "lost": 0, "per_class": per_class}
    return {"name": name, "paper": PAPER.get(name, []), "figures": figures, **given, **more}


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    settings = dict.fromkeys(
        ("network", "loss", "steps", "batch_size", "crop", "lr", "trunk_weights", "min_score", "precision"), 1
    )
    machine = {"cuda": None, "processors": 2, "threads": 1, "torch": "2"}
    found = {
        "table": 5, "title": "Labels", "notes": ["A `note`."], "settings": {**settings, "weights": "w"},
        "machine": machine, "seeds": [0, 1], "images": 9, "list_sha256": "0123456789abcdef", "val_split": "val",
        "split": "train", "labelled_images": 4, "several_keywords": 2, "resamples": 7, "s4_version": "0",
        "reference": "graph", "rows": list(rows), "warnings": [{"rule": "only-background", "message": "It is bad"}],
    }  # fmt: skip
    return {**found, "reading": reading(found)}


BASE = row("graph", {**estimate(0.5, 0.45, 0.55, 0.49, 0.51), "difference": None})
WORSE = row(
    "saliency",
    {**estimate(0.45, 0.4, 0.5, 0.44, 0.46), "difference": estimate(-0.05, -0.08, -0.02, -0.05, -0.05)},
)
ALIKE = row("other", {**estimate(0.49, 0.4, 0.5, 0.5, 0.48), "difference": estimate(-0.01, -0.03, 0.01, 0.01, -0.03)})


def test_a_difference_is_shown_where_its_interval_excludes_0() -> None:
    lines = result(WORSE, ALIKE, BASE)["reading"]
    assert lines[0] == "saliency against graph: -5.0 points [-8.0, -2.0], in 2 of 2 seeds in this direction."
    assert lines[1] == "other against graph: -1.0 points [-3.0, +1.0], no difference shown (the interval holds 0)."
    assert lines[2].startswith("2 comparisons") and lines[3] == "It is bad."


def test_the_table_has_the_paper_s_figures_and_differences() -> None:
    lines = markdown(result(WORSE, ALIKE, BASE)).splitlines()
    table = {line.split(" | ")[0]: line for line in lines if line.startswith("| ")}
    assert table["| saliency"].endswith(
        "| 45.0 ± 1.0 [40.0, 50.0] | **-5.0 ± 1.0 [-8.0, -2.0]** | 49.8 (DRFI, VGG16), 52.6 (DSS, VGG16) | -7.6, -4.8 |"
    )
    assert table["| other"].endswith("| -1.0 ± 1.0 [-3.0, +1.0] | - | - |")
    assert table["| graph"].endswith("| - | 57.4 (instances, VGG16), 61.8 (instances, ResNet101) | - |")
    assert table["| a\\|b"] == "| a\\|b | - | - | - |"


def test_what_is_missing_is_told() -> None:
    gone = row("graph", {}, failed=[{"seed": 0}], labels={}, lost=3)
    told = result({**WORSE, "figures": estimate(0.4, 0.3, 0.5, 0.4)}, gone)
    assert told["reading"] == [
        "saliency against graph: no seed in common, not compared.",
        "graph, seed 0: diverged, in no figure.",
        "graph: 3 pictures could not be labelled.",
        "It is bad.",
    ]
    assert "| graph | - | - | - | 2 | diverged | - |" in markdown(told)


def test_the_page_has_chart_table_and_reading(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", result(WORSE, BASE), [])
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == 1 and "-5.0 points" in page and "A note." in page
    write_page(tmp_path / "report.html", result(row("graph", {})), [])
    assert "data:image/png" not in (tmp_path / "report.html").read_text()
