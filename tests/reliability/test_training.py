"""R5 and R8 for both trainings, through the command line."""

import json
from pathlib import Path

import pytest
import torch

from pipelines.data.shapes import write_instances, write_voc
from pipelines.engine.checkpoint import load_checkpoint
from s4cli.main import main

pytestmark = pytest.mark.slow

STAGES = ["train", "deeplab-train"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder / "instances", 6, "train", seed=0, side=64)
    write_voc(folder / "voc", 8, 2, seed=1, side=64)
    return folder


def line(stage: str, scenes: Path, run: Path, *more: object) -> list[str]:
    voc, instances = scenes / "voc", scenes / "instances"
    own = {
        "train": ["--images", instances / "images", "--annotations", instances / "train.json", "--image-size", 64,
                  "--trunk", "timm/mobilenetv3_small_050"],
        "deeplab-train": ["--images", voc / "JPEGImages", "--labels", voc / "SegmentationClass", "--labels-are",
                          "ground-truth", "--classes", voc / "classes.txt", "--crop", 65],
    }[stage]  # fmt: skip
    common = ["--run", run, "--trunk-weights", "none", "--steps", 5, "--batch-size", 2, "--precision", "fp32"]
    return [stage, *map(str, [*own, *common, "--device", "cpu", *more])]


@pytest.mark.parametrize("stage", STAGES)
def test_the_number_of_loader_threads_changes_no_weight(stage: str, scenes: Path, tmp_path: Path) -> None:
    weights = {}
    for workers in (0, 1, 2, 4):
        assert main(line(stage, scenes, tmp_path / str(workers), "--workers", workers)) == 0
        weights[workers] = load_checkpoint(tmp_path / str(workers) / "checkpoints" / "last.pt")["model"]
    for workers in (1, 2, 4):
        assert weights[workers].keys() == weights[0].keys()
        assert all(torch.equal(weights[workers][name], weights[0][name]) for name in weights[0])


@pytest.mark.parametrize("stage", STAGES)
def test_a_loss_that_is_not_finite_ends_with_5_and_saves_nothing_of_it(
    stage: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.engine import loop

    real = loop._Training.advance

    def poisoned(self, batch, progress) -> None:
        if self.step == 3:  # as a step that overflows leaves them
            with torch.no_grad():
                next(self.model.parameters()).fill_(float("nan"))
        real(self, batch, progress)

    monkeypatch.setattr(loop._Training, "advance", poisoned)
    assert main(line(stage, scenes, tmp_path / "run")) == 5
    assert "error: " in capsys.readouterr().err
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["step"]) == ("failed", 3)
    for path in (tmp_path / "run" / "checkpoints").glob("*.pt"):
        checkpoint = load_checkpoint(path)
        assert checkpoint["step"] <= 3
        assert all(value.isfinite().all() for value in checkpoint["model"].values())
