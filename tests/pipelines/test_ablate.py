"""`s4 ablate` as its user sees it; trainings and networks are replaced, but for the slow tests at the end."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines import ablate as stage
from pipelines.ablate import ablate
from pipelines.config import AblateConfig, TrainConfig, to_json
from pipelines.data.shapes import write_instances
from pipelines.errors import ConfigError, DivergedError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import write_json
from pipelines.metrics.instance_ap import PictureDetections
from pipelines.studies import ablation_result, trial

ROI_LAYERS = ["roialign", "roipool", "binary", "expanded", "ternary"]
TRUNK = "timm/mobilenetv3_small_050"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("scenes")
    for index, split in enumerate(("train", "test")):
        write_instances(folder, 6, split, seed=index, side=64)
    return folder


@pytest.fixture
def config(scenes: Path, tmp_path: Path) -> AblateConfig:
    return AblateConfig(
        table=1,
        images=scenes / "images",
        annotations=scenes / "train.json",
        test_annotations=scenes / "test.json",
        out=tmp_path / "study",
        trunk=TRUNK,
        trunk_weights="none",
        steps=2,
        batch_size=2,
        image_size=64,
        seeds="0,1",
        precision="fp32",
        workers=0,
    )


class FakeTrainings:
    """Stands in for `train`: leaves the files of a run, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.resumed: list[tuple[str, int]] = []
        self.trouble: Callable[[TrainConfig], BaseException | None] = lambda config: None

    def __call__(self, config: TrainConfig, events: Events) -> dict[str, Any]:
        key = (config.roi if config.alpha == 1 / 3 else f"{config.alpha:.4g}", config.seed)
        exists = (config.run / "config.json").exists()
        assert config.resume == exists
        if exists:
            self.resumed.append(key)
        write_json(config.run / "config.json", to_json(config))
        (config.run / "checkpoints").mkdir(exist_ok=True)
        (config.run / "checkpoints" / "last.pt").write_bytes(b"state")
        trouble = self.trouble(config)
        if trouble is not None:
            raise trouble
        (config.run / "checkpoints" / "best.pt").write_bytes(b"weights")
        self.done.append(key)
        best = {"metric": "ap50", "value": float("nan"), "step": config.steps}
        return {"steps": config.steps, "seconds": 1.5, "images_per_second": 4.0, "best": best, "run": "", "losses": {}}


def found(config: TrainConfig, pictures: Any) -> list[PictureDetections]:
    """Ternary networks find everything; with another RoI layer nothing is found on every second picture."""
    return [
        PictureDetections(picture.image_id, np.full(len(rles), 0.5), rles)
        for index, picture in enumerate(pictures)
        for rles in [list(picture.rles) if config.roi == "ternary" or index % 2 else []]
    ]


@pytest.fixture
def single(config: AblateConfig) -> AblateConfig:
    """A study of one training."""
    return replace(config, table=4, seeds="0")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> FakeTrainings:
    fake = FakeTrainings()
    monkeypatch.setattr(stage, "train", fake)
    monkeypatch.setattr(trial, "_detect", found)
    monkeypatch.setattr(stage, "new_s4net", lambda config: torch.nn.Linear(1, 249))  # 1,992 bytes
    monkeypatch.setattr(ablation_result, "RESAMPLES", 2)
    return fake


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_rows_of_a_seed_come_before_the_next_seed(config: AblateConfig, trainings: FakeTrainings) -> None:
    ablate(config, Events())
    assert trainings.done == [(roi, seed) for seed in (0, 1) for roi in ROI_LAYERS]


def test_the_result_has_scores_differences_and_the_paper(config: AblateConfig, trainings: FakeTrainings) -> None:
    result = ablate(config, Events())
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == ROI_LAYERS
    assert (rows["ternary"]["ap50"], rows["ternary"]["release_map70"], rows["ternary"]["trainings"]) == (1.0, 1.0, 2)
    assert rows["binary"]["release_map50"] == pytest.approx(0.5)
    assert (result["table"], result["seeds"], result["images"], result["reference"]) == (1, [0, 1], 6, "ternary")
    assert result["occluded"]["images"] >= result["occluded_strict"]["images"] >= 0
    saved = json.loads((config.out / "table1.json").read_text())
    assert saved["schema"] == result["schema"] == "s4/ablate/1"
    assert saved["settings"]["steps"] == 2
    own = saved["rows"][2]
    assert own["paper"]["map50"] == 85.5
    assert [training["seed"] for training in own["trainings"]] == [0, 1]
    difference = own["figures"]["all"]["release_map50"]["difference"]
    assert (difference["mean"], difference["sd"], difference["by_seed"]) == (-0.5, 0, [-0.5, -0.5])
    assert difference["low"] <= difference["high"] <= 0
    assert "| binary | 2 |" in (config.out / "table1.md").read_text()
    assert "failed" not in result


def test_started_again_nothing_is_trained_twice(config: AblateConfig, trainings: FakeTrainings) -> None:
    first = ablate(config, Events())
    count, table = len(trainings.done), (config.out / "table1.md").read_bytes()
    assert ablate(config, Events()) == first
    assert len(trainings.done) == count == 10
    assert (config.out / "table1.md").read_bytes() == table


def test_a_killed_study_goes_on_where_it_was(config: AblateConfig, trainings: FakeTrainings) -> None:
    trainings.trouble = lambda own: KeyboardInterrupt() if (own.roi, own.seed) == ("binary", 1) else None
    with pytest.raises(KeyboardInterrupt):
        ablate(config, Events())
    assert len(trainings.done) == 7
    trainings.trouble = lambda own: None
    ablate(config, Events())
    assert sorted(trainings.done) == sorted((roi, seed) for roi in ROI_LAYERS for seed in (0, 1))
    assert trainings.resumed == [("binary", 1)]


def test_a_kill_between_training_and_scoring_costs_no_training(
    single: AblateConfig, trainings: FakeTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "_detect", dying)
    with pytest.raises(KeyboardInterrupt):
        ablate(single, Events())
    folder = single.out / f"trunk={TRUNK.replace('/', '-')},roi=ternary,alpha=0.3333" / "seed0"
    # The state stays until the mark is written: from it the finished training is recognised.
    assert (folder / "checkpoints" / "last.pt").exists()
    assert not (folder / "result.json").exists()
    monkeypatch.setattr(trial, "_detect", found)
    ablate(single, Events())
    assert trainings.resumed == [("ternary", 0)]


def test_a_finished_training_keeps_its_best_checkpoint_alone(single: AblateConfig, trainings: FakeTrainings) -> None:
    ablate(single, Events())
    names = {path.name for path in single.out.rglob("*.pt")}
    assert names == {"best.pt"}
    left = next(single.out.rglob("best.pt")).with_name("last.pt")
    left.write_bytes(b"state")  # as a kill after the mark leaves it
    ablate(single, Events())
    assert not left.exists()


def test_tables_share_the_rows_that_they_have_in_common(config: AblateConfig, trainings: FakeTrainings) -> None:
    ablate(config, Events())
    result = ablate(replace(config, table=2), Events())
    assert trainings.done[10:] == [(alpha, seed) for seed in (0, 1) for alpha in ("0", "0.1667", "0.5", "0.6667", "1")]
    assert [row["name"] for row in result["rows"]][:3] == ["alpha=0", "alpha=1/6", "alpha=1/3"]
    ablate(replace(config, table=4), Events())
    assert len(trainings.done) == 20
    assert {path.name for path in config.out.glob("table*")} == {
        f"table{n}.{k}" for n in (1, 2, 4) for k in ("json", "md")
    }


def test_seeds_may_be_added_later(config: AblateConfig, trainings: FakeTrainings) -> None:
    ablate(config, Events())
    ablate(replace(config, seeds="0,1,5"), Events())
    assert trainings.done[10:] == [(roi, 5) for roi in ROI_LAYERS]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 3}, r"--steps: 3 given, 2 expected as in .*config\.json"),
        ({"steps": None}, r"--steps: 2000 given, 2 expected"),
        ({"trunk": "resnet50"}, rf"--trunk: resnet50 given, {TRUNK} expected"),
        ({"preset": "paper"}, "--preset: paper given, modern expected"),
    ],
)
def test_other_settings_are_refused_with_both_values(
    single: AblateConfig, trainings: FakeTrainings, change: dict[str, Any], message: str
) -> None:
    ablate(single, Events())
    before = files(single.out)
    with pytest.raises(ConfigError, match=message + r".*\[study-differs\]"):
        ablate(replace(single, **change), Events())
    assert files(single.out) == before


def test_the_preset_s_own_value_may_be_left_out_or_written(single: AblateConfig, trainings: FakeTrainings) -> None:
    ablate(replace(single, steps=None), Events())
    ablate(replace(single, steps=2000), Events())
    assert len(trainings.done) == 1


def test_changed_annotations_are_refused(single: AblateConfig, trainings: FakeTrainings, tmp_path: Path) -> None:
    copy = tmp_path / "test.json"
    content = json.loads(single.test_annotations.read_text())
    copy.write_text(json.dumps(content))
    ablate(replace(single, test_annotations=copy), Events())
    content["images"].pop()
    content["annotations"] = [
        a for a in content["annotations"] if a["image_id"] in {i["id"] for i in content["images"]}
    ]
    copy.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"--test-annotations: content with sha256 \w+ given.*study-differs"):
        ablate(replace(single, test_annotations=copy), Events())


def test_settings_of_a_begun_training_hold_even_without_those_of_the_study(
    single: AblateConfig, trainings: FakeTrainings
) -> None:
    ablate(single, Events())
    (single.out / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"--steps: 3 given, 2 expected.*resume-differs"):
        ablate(replace(single, steps=3), Events())


def test_a_training_that_diverges_costs_its_row_alone(config: AblateConfig, trainings: FakeTrainings) -> None:
    diverged = DivergedError("run: loss is not finite", "not-finite")
    trainings.trouble = lambda own: diverged if own.roi == "binary" else None
    result = ablate(config, Events())
    assert result["failed"] == 2
    assert len(trainings.done) == 8
    assert {row["name"]: row["trainings"] for row in result["rows"]}["binary"] == 0
    lines = [json.loads(line) for line in (config.out / "failures.jsonl").read_text().splitlines()]
    assert [(line["row"], line["seed"], line["reason"]) for line in lines] == [
        ("binary", 0, "run: loss is not finite"),
        ("binary", 1, "run: loss is not finite"),
    ]
    assert "| binary | 0 | diverged |" in (config.out / "table1.md").read_text()
    trainings.trouble = lambda own: None
    assert "failed" not in ablate(config, Events())
    assert not (config.out / "failures.jsonl").exists()


def test_a_study_in_which_everything_diverges_still_has_its_table(
    config: AblateConfig, trainings: FakeTrainings
) -> None:
    trainings.trouble = lambda own: DivergedError("run: loss is not finite", "not-finite")
    result = ablate(replace(config, table=3, trunks=TRUNK), Events())
    assert (result["failed"], result["reference"], result["rows"][0]["ap50"]) == (2, None, None)


def test_a_signal_ends_the_study_and_the_message_names_the_way_on(
    config: AblateConfig, trainings: FakeTrainings
) -> None:
    trainings.trouble = lambda own: Stopped("run: stopped; the same command with --resume goes on", "stopped")
    with pytest.raises(Stopped, match=r"study: stopped by a signal in training 1 of 10, roialign, seed 0.*the same"):
        ablate(config, Events())


def test_a_dry_run_counts_and_writes_nothing(config: AblateConfig, trainings: FakeTrainings) -> None:
    plan = ablate(replace(config, dry_run=True, seeds="0,1,2"), Events())
    assert (plan["trainings"], plan["finished"], plan["missing"], plan["seconds"]) == (15, 0, 15, None)
    assert (plan["rows"], plan["steps"], plan["batch_size"]) == (ROI_LAYERS, 2, 2)
    assert not config.out.exists()
    ablate(config, Events())
    plan = ablate(replace(config, dry_run=True, seeds="0,1,2"), Events())
    assert (plan["finished"], plan["missing"], plan["seconds"]) == (10, 5, 7.5)


def test_unusable_trunks_are_refused_before_anything_is_trained(
    config: AblateConfig, trainings: FakeTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"resnet5.*trunk-unusable"):
        ablate(replace(config, table=3, trunks=f"{TRUNK},resnet5"), Events())
    with pytest.raises(ConfigError, match=r"--trunk-weights: a\.pt given for 2 trunks"):
        ablate(replace(config, table=3, trunks=f"{TRUNK},resnet50", trunk_weights="a.pt"), Events())
    assert not config.out.exists()


def test_missing_data_and_several_processes_are_refused(
    single: AblateConfig, trainings: FakeTrainings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("annotations", "val_annotations", "test_annotations"):
        with pytest.raises(InputError, match=r"absent\.json.*file-missing"):
            ablate(replace(single, **{name: tmp_path / "absent.json"}), Events())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one-process"):
        ablate(single, Events())
    assert not single.out.exists()


def test_pictures_that_are_trained_and_tested_on_are_told(
    single: AblateConfig, trainings: FakeTrainings, capsys: pytest.CaptureFixture[str]
) -> None:
    ablate(replace(single, test_annotations=single.annotations, dry_run=True), Events())
    assert "6 of 6 pictures are for training or validation too" in capsys.readouterr().err


def test_progress_tells_number_row_seed_and_time_left(
    config: AblateConfig, trainings: FakeTrainings, capsys: pytest.CaptureFixture[str]
) -> None:
    ablate(config, Events())
    err = capsys.readouterr().err
    assert "training 8 of 10, binary, seed 1: starts\n" in err
    assert "training 8 of 10, binary, seed 1: finished; 2 left, about 0 min\n" in err


@pytest.mark.parametrize(
    ("text", "flag"), [("0,0", "--seeds"), ("", "--seeds"), ("a", "--seeds"), ("x,x", "--trunks"), ("a,", "--trunks")]
)
def test_lists_are_checked(config: AblateConfig, text: str, flag: str) -> None:
    with pytest.raises(ConfigError, match=flag):
        replace(config, **{flag[2:]: text})


@pytest.mark.slow
def test_networks_are_trained_scored_and_timed(config: AblateConfig) -> None:
    result = ablate(replace(config, table=3, trunks=f"{TRUNK},efficientnet_lite0", seeds="0"), Events())
    rows = result["rows"]
    assert [row["trainings"] for row in rows] == [1, 1]
    assert min(row["ratio"] for row in rows) == 1
    assert all(row["ms"] > 0 and 0 <= row["release_map50"] <= 1 for row in rows)
    modified = {path: path.stat().st_mtime_ns for path in config.out.rglob("best.pt")}
    again = ablate(replace(config, table=4, seeds="0"), Events())
    assert again["rows"][0]["ap"] == rows[0]["ap"]
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("best.pt")} == modified
