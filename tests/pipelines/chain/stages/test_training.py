"""What both trainings of a chain have in common."""

import json
from pathlib import Path

import pytest

from pipelines.chain.stages.deeplab_train import DeepLabTrainStep
from pipelines.chain.stages.train import TrainStep
from pipelines.config import DeepLabTrainConfig, TrainConfig
from pipelines.errors import ConfigError
from pipelines.files import write_text


@pytest.fixture
def step(tmp_path: Path) -> TrainStep:
    config = TrainConfig(images=Path("i"), annotations=Path("a.json"), run=tmp_path / "run", steps=10, batch_size=4)
    return TrainStep("train", 0, config)


def test_a_training_is_complete_with_its_best_checkpoint(step: TrainStep) -> None:
    assert step.place == step.config.run
    write_text(step.place / "checkpoints" / "last.pt", "")
    assert not step.is_complete({})
    write_text(step.place / "checkpoints" / "best.pt", "")
    assert step.is_complete({})


def test_a_training_goes_on_where_its_folder_holds_a_run(step: TrainStep) -> None:
    assert step.ready_config() == step.config
    write_text(step.place / "config.json", "{}")
    assert step.ready_config().resume is True  # type: ignore[attr-defined]


def test_a_resumed_training_has_less_work(step: TrainStep) -> None:
    assert step.work(None, resumed=True) == 40  # no status yet: all 10 steps of 4 pictures
    write_text(step.place / "status.json", json.dumps({"step": 7}))
    assert step.work(None, resumed=True) == 12
    assert step.work(2, resumed=False) == 40


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"step": null}', '{"step": "x"}'])
def test_a_status_that_cannot_be_read_counts_as_nothing_done(step: TrainStep, content: str) -> None:
    write_text(step.place / "status.json", content)
    assert step.work(None, resumed=True) == 40


def test_the_report_shows_the_best_score_first(step: TrainStep) -> None:
    best = {"metric": "ap50", "value": 0.25, "step": 3}
    assert list(step.figures({"steps": 10, "seconds": 3.5, "best": best}).items()) == [("ap50", 0.25), ("steps", 10)]
    assert step.figures({"steps": 10, "best": None}) == {"steps": 10}
    assert step.figures({"steps": 10, "best": {"metric": "ap50", "value": None}}) == {"steps": 10}


def test_the_report_shows_the_curves_of_a_training(step: TrainStep) -> None:
    assert step.curves() == []
    write_text(step.place / "metrics.jsonl", '{"step": 1, "total": 2.0}\n')
    assert step.curves() == [{"step": 1, "total": 2.0}]


def test_a_run_of_someone_else_is_refused(step: TrainStep, tmp_path: Path) -> None:
    step.refuse_foreign()
    write_text(step.place / "config.json", "{}")
    with pytest.raises(ConfigError, match=r"leave out \[train\] and name it as pseudo-label\.weights \[run-foreign\]"):
        step.refuse_foreign()
    config = DeepLabTrainConfig(images=Path("i"), labels=Path("l"), run=step.place)
    with pytest.raises(ConfigError, match=r"leave out \[deeplab-train\] and name it as evaluate\.weights"):
        DeepLabTrainStep("deeplab-train", 1, config).refuse_foreign()
