"""One training of a study; training and detection are replaced."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import TrainConfig
from pipelines.data.coco import CocoPicture
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import write_json
from pipelines.metrics.instance_ap import PictureDetections
from pipelines.studies import trial as module
from pipelines.studies.trial import Trial, run_trial

NAMES = ("a", "b")
PICTURES = [CocoPicture(name, Path(f"{name}.jpg"), 4, 4, "", np.zeros((0, 4), np.float32), ()) for name in NAMES]


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial("ternary, seed 3", TrainConfig(images=tmp_path, annotations=tmp_path, run=tmp_path / "run", seed=3))


@pytest.fixture(autouse=True)
def detections(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [PictureDetections(name, np.array([0.5]), [{"size": [4, 4], "counts": "0"}]) for name in NAMES]
    monkeypatch.setattr(module, "_detect", lambda config, pictures: found)


def train(config: TrainConfig, events: Events, ap50: float | None = 0.75) -> dict[str, Any]:
    """Leave the files of a run, as the command does."""
    write_json(config.run / "config.json", {})
    (config.run / "checkpoints").mkdir()
    for name in ("last.pt", "best.pt"):
        (config.run / "checkpoints" / name).write_bytes(b"weights")
    best = {"metric": "ap50", "value": ap50, "step": 20}
    return {"steps": 40, "seconds": 1.5, "images_per_second": 4.0, "best": best, "run": "", "losses": {}}


def test_a_finished_trial_tells_what_it_took_and_keeps_its_best_checkpoint_alone(trial: Trial) -> None:
    assert not trial.is_finished
    result = run_trial(trial, train, PICTURES, Events())
    assert trial.is_finished
    assert result == trial.result()
    assert result == {
        "seed": 3, "steps": 40, "seconds": 1.5, "images_per_second": 4.0, "best_step": 20, "val_ap50": 0.75
    }  # fmt: skip
    assert [path.name for path in trial.folder.rglob("*.pt")] == ["best.pt"]


@pytest.mark.parametrize("ap50", [None, float("nan")])
def test_a_score_that_could_not_be_judged_is_null_in_the_file(trial: Trial, ap50: float | None) -> None:
    run_trial(trial, lambda config, events: train(config, events, ap50), PICTURES, Events())
    assert trial.result()["val_ap50"] is None


def test_detections_are_read_from_their_file_and_made_anew_without_it(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_trial(trial, train, PICTURES, Events())
    monkeypatch.setattr(module, "_detect", lambda config, pictures: [])
    first, second = trial.detections(PICTURES)
    assert (first.image_id, second.image_id, first.scores.tolist()) == ("a", "b", [0.5])
    assert first.rles == [{"size": [4, 4], "counts": "0"}]
    (trial.folder / "detections.json").unlink()
    assert trial.detections([]) == []


@pytest.mark.parametrize("damage", ["{}", "[{}]", "[]"])
def test_detections_of_other_pictures_are_refused(trial: Trial, damage: str) -> None:
    (trial.folder).mkdir()
    (trial.folder / "detections.json").write_text(damage)
    with pytest.raises(InputError, match=r"detections\.json.*remove it.*trial-damaged"):
        trial.detections(PICTURES)


def test_a_result_that_is_no_object_is_refused(trial: Trial) -> None:
    write_json(trial.folder / "result.json", [])
    with pytest.raises(InputError, match=r"result\.json.*remove the whole folder.*trial-damaged"):
        trial.result()
