"""Networks and trainings that stand in for those of `s4 ablate --table 5`, and its settings over them."""

from pathlib import Path

import pytest
import torch

from pipelines import ablate as stage
from pipelines.config import AblateConfig
from pipelines.labels import picture_work
from pipelines.networks import load
from pipelines.studies.label_table import result as table_result
from pipelines.studies.label_table import study, trials
from tests.pipelines.fake_label_study import (
    FakeTrainings,
    Networks,
    overlaps,
    write_data,
)


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    fake = Networks()
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)
    monkeypatch.setattr(picture_work, "open_attention", lambda *_: fake)
    return fake


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> FakeTrainings:
    fake = FakeTrainings()
    monkeypatch.setattr(stage, "deeplab_train", fake)
    monkeypatch.setattr(trials, "network_overlaps", overlaps)
    monkeypatch.setattr(study, "new_deeplab", lambda *_: torch.nn.Linear(1, 249_999))  # 2 MB
    monkeypatch.setattr(table_result, "RESAMPLES", 3)
    monkeypatch.setattr(table_result, "write_page", lambda *_: None)  # drawn in one test, and in the slow one
    return fake


@pytest.fixture
def config(tmp_path: Path, networks: Networks, trainings: FakeTrainings) -> AblateConfig:
    voc = write_data(tmp_path)
    return AblateConfig(
        table=5,
        voc=voc,
        keywords=(str(tmp_path / "keywords.csv"),),
        classes=str(tmp_path / "classes.txt"),
        weights=tmp_path / "weights.pt",
        out=tmp_path / "study",
        trunk_weights="none",
        steps=2,
        batch_size=2,
        seeds="0,1",
        device="cpu",
        precision="fp32",
        workers=0,
    )
