"""`s4 ablate --table 5` started again: what is kept, what goes on, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.ablate import ablate
from pipelines.config import AblateConfig
from pipelines.config.setting import flag_of, settings_of
from pipelines.data.classes import Keywords
from pipelines.data.label_folder import LabelFolder
from pipelines.errors import ConfigError
from pipelines.events import Events
from pipelines.studies.frozen_settings import require_same_study
from pipelines.studies.label_table import study
from tests.pipelines.fake_label_study import (
    CLASSES,
    ROWS,
    SIZE,
    FakeTrainings,
    Networks,
    files,
)
from tests.pipelines.review_folder import action


def test_started_again_only_what_is_left_is_done(
    config: AblateConfig, trainings: FakeTrainings, networks: Networks
) -> None:
    trainings.trouble["attention", 1] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        ablate(config, Events())
    assert len(trainings.done) == 8 and not (config.out / "table5.json").exists()
    trainings.trouble.clear()
    first = ablate(config, Events())
    assert len(trainings.done) == len(set(trainings.done)) == 14 and len(networks.looked) == 8
    kept = files(config.out / "table5")
    assert not any(name.endswith("last.pt") for name in kept)
    assert ablate(config, Events()) == first and len(trainings.done) == 14
    assert files(config.out / "table5") == kept
    ablate(replace(config, seeds="0,1,2", assign="graph"), Events())
    assert len(trainings.done) == 18 and len(networks.looked) == 8


def test_labels_that_were_corrected_are_compared_with_the_truth_again(config: AblateConfig) -> None:
    alone = replace(config, seeds="0", assign="graph")
    before = ablate(alone, Events())["rows"][0]["label_miou"]
    labels = LabelFolder(config.out / "table5" / "saliency" / "labels", CLASSES)
    labels.write_label("a", np.zeros(SIZE, np.uint8))
    (labels.path / "review.jsonl").write_text(json.dumps(action("reject", image_id="a")) + "\n")
    assert ablate(alone, Events())["rows"][0]["label_miou"] < before


def test_labels_that_were_begun_go_on(
    config: AblateConfig, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = networks.look

    def dying(picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        if networks.looked.count("attention") == 2:
            raise KeyboardInterrupt
        return look(picture, keywords)

    monkeypatch.setattr(networks, "look", dying)
    with pytest.raises(KeyboardInterrupt):
        ablate(config, Events())
    monkeypatch.setattr(networks, "look", look)
    ablate(config, Events())
    assert networks.looked.count("attention") == 4


def test_a_dry_run_counts_and_writes_nothing(config: AblateConfig, networks: Networks) -> None:
    plan = ablate(replace(config, dry_run=True), Events())
    assert not config.out.exists() and not networks.looked
    assert [row["name"] for row in plan["rows"]] == ROWS
    counts = ("images", "several_keywords", "with_truth", "val_images", "trainings", "finished", "missing", "megabytes")
    assert [plan[name] for name in counts] == [4, 2, 3, 2, 14, 0, 14, 28]


@pytest.mark.parametrize("change", [{"steps": 3}, {"loss": "soft"}, {"network": "vgg16"}, {"min_score": 0.5}])
def test_other_settings_are_refused(config: AblateConfig, change: dict[str, Any]) -> None:
    ablate(replace(config, seeds="0", assign="graph"), Events())
    with pytest.raises(ConfigError, match=r"given, .* expected.*\[(study|resume|labels)-differs\]"):
        ablate(replace(config, seeds="0", assign="graph", **change), Events())


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_list_that_has_changed_is_named_by_its_flag(config: AblateConfig, split: str) -> None:
    alone = replace(config, seeds="0", assign="graph")
    ablate(alone, Events())
    path = config.voc / "ImageSets" / "Segmentation" / f"{split}.txt"  # type: ignore[operator]
    path.write_text(path.read_text().split()[0] + "\n")
    flag = {"train": "--split", "val": "--val-split"}[split]
    with pytest.raises(ConfigError, match=rf"^{flag}: content with sha256 \w+ given, \w+ expected.*\[study-differs\]"):
        ablate(alone, Events())


def test_a_study_is_kept_by_settings_that_have_flags(config: AblateConfig) -> None:
    ablate(replace(config, seeds="0", assign="graph"), Events())
    kept = json.loads((config.out / "table5" / "config.json").read_text())
    for name in kept:
        with pytest.raises(ConfigError, match="study-differs") as caught:
            require_same_study(config.out / "table5" / "config.json", {name: "another"})
        assert caught.value.message.partition(":")[0] in set(map(flag_of, settings_of(AblateConfig)))


def test_labels_are_kept_where_trainings_are_to_have_other_settings(
    config: AblateConfig, trainings: FakeTrainings, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study, "run_missing", stop)
        with pytest.raises(KeyboardInterrupt):
            ablate(config, Events())
    ablate(replace(config, steps=3), Events())
    assert len(networks.looked) == 8 and len(trainings.done) == 14
    with pytest.raises(ConfigError, match=r"--steps: 2 given, 3 expected.*study-differs|resume-differs"):
        ablate(config, Events())
