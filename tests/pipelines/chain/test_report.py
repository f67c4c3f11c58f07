"""The page of a chain."""

from pathlib import Path

from pipelines.chain.report import write_chain_report
from pipelines.chain.stages.evaluate import EvaluateStep
from pipelines.chain.stages.train import TrainStep
from pipelines.config import EvaluateConfig, TrainConfig
from pipelines.files import write_text


def test_the_page_shows_figures_rounds_and_curves(tmp_path: Path) -> None:
    train = TrainConfig(images=Path("i"), annotations=Path("a"), run=tmp_path / "run")
    evaluation = EvaluateConfig(voc=Path("v"), weights=Path("w"))
    steps = [TrainStep("train", 0, train), *(EvaluateStep(f"evaluate-{i}", i, evaluation) for i in (1, 2))]
    results = [
        {"steps": 10, "best": {"metric": "ap50", "value": 0.12345}},
        {"miou": 0.5, "images": 2, "per_class": {"cat": 0.5, "dog": None, "emu": None}},
        {"miou": None, "per_class": {"cat": None, "dog": 0.25, "emu": None}},
    ]
    records = [
        {"stage": step.name, "action": "ran", "seconds": 1.5, "result": result}
        for step, result in zip(steps, results, strict=True)
    ]
    rounds = [{"round": 1, "miou": 0.5, "gain": None}, {"round": 2, "miou": 0.75, "gain": 0.25}]
    write_text(tmp_path / "run" / "metrics.jsonl", '{"step": 1, "total": 2.0}\n{"step": 2, "total": 1.0}\n')
    write_chain_report(tmp_path / "report.html", {"stages": records, "rounds": rounds, "miou": 0.75}, steps)
    page = (tmp_path / "report.html").read_text()
    for text in ("ap50 0.1235, steps 10", "miou 0.5, images 2", "<td>-</td>", "25.0 %", "mIoU, round 2", "75.0 %"):
        assert text in page, text
    assert "Warnings" not in page
    assert "dog" in page and "emu" not in page  # a class that occurs nowhere has no row
    assert page.count("<img") == 2  # bars of the classes, and the curves of the training


def test_what_cannot_be_right_stands_first(tmp_path: Path) -> None:
    warnings = [
        {"stage": "train", "rule": "s4net-poor", "message": "run: AP50 is 0.1"},
        {"stage": "evaluate", "rule": "only-background", "message": "run: finds <nothing>"},
    ]
    result = {"stages": [], "rounds": [], "miou": None, "warnings": warnings}
    write_chain_report(tmp_path / "report.html", result, [])
    page = (tmp_path / "report.html").read_text()
    lines = [
        "<p>train: run: AP50 is 0.1 [s4net-poor]</p>",
        "<p>evaluate: run: finds &lt;nothing&gt; [only-background]</p>",
    ]
    places = [page.index(text) for text in ("<h2>Warnings</h2>", *lines, "<h2>Stages</h2>")]
    assert places == sorted(places)
