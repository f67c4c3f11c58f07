"""`s4 train` as its user sees it, on eight scenes of 96 pixels."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import pipelines.train as train_command
from pipelines.chain.findings import Seen
from pipelines.config import TrainConfig, resolve
from pipelines.config.paths import prepared
from pipelines.config.recipes import TRAIN_SCHEDULES
from pipelines.data.coco import load_coco
from pipelines.data.images import open_working_picture
from pipelines.data.shapes import write_instances
from pipelines.engine.checkpoint import load_checkpoint, tensors_sha256, weights_sha256
from pipelines.engine.distributed import Processes
from pipelines.errors import ConfigError, DivergedError, InputError
from pipelines.events import Events
from pipelines.networks.build import new_s4net
from pipelines.networks.load import as_pixels, load_deeplab, load_s4net
from pipelines.train import loop_settings, parameter_groups, train, training_pace
from pipelines.training import s4net_batches
from pipelines.training.s4net_batches import S4NetBatches
from s4net.cpu.packing import PackedConv2d

TRUNK = "timm/mobilenetv3_small_050"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder, 8, "train", seed=0, side=96)
    return folder


@pytest.fixture
def config(scenes: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        images=scenes / "images",
        annotations=scenes / "train.json",
        run=tmp_path / "run",
        trunk=TRUNK,
        trunk_weights="none",
        steps=4,
        batch_size=2,
        image_size=96,
        precision="fp32",
    )


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / "last.pt")["model"]


def test_a_run_leaves_what_the_contract_names(config):
    result = train(replace(config, val_annotations=config.annotations), Events())
    assert set(result) == {"run", "steps", "seconds", "images_per_second", "best", "losses", "warnings"}
    assert result["best"]["metric"] == "ap50" and result["best"]["step"] == 4
    assert result["best"]["value"] < 0.3 and [warning["rule"] for warning in result["warnings"]] == ["s4net-poor"]
    for name in ("config.json", "environment.json", "metrics.jsonl", "log.txt", "status.json"):
        assert (config.run / name).stat().st_size
    assert json.loads((config.run / "status.json").read_text())["state"] == "done"
    assert load_checkpoint(config.run / "checkpoints" / "best.pt")["kind"] == "s4net"


def test_instances_of_other_pictures_are_pasted_for_modern_alone(config):
    pictures = load_coco(config.annotations, config.images)
    most = max(len(picture.boxes) for picture in pictures)
    here = Processes(0, 1, torch.device("cpu"))
    counts, again, paper = (
        [len(target["masks"]) for step in range(1, 9) for target in S4NetBatches(pictures, kind, 8, here)(step)[1]]
        for kind in (config, config, replace(config, preset="paper"))
    )
    assert counts == again
    assert max(counts) > most
    assert max(paper) == most


@pytest.mark.slow
def test_the_trained_network_is_a_function_of_a_picture(config, scenes):
    train(config, Events())
    picture = sorted((scenes / "images").iterdir())[0]
    network = load_s4net(config.run, precision="fp32")
    found = network(picture)
    assert found.masks.shape[1:] == (96, 96) and len(found) <= 20
    again = network(as_pixels(picture))
    assert torch.equal(found.masks, again.masks)
    strict = load_s4net(config.run, min_score=1.0, precision="fp32")
    if torch.backends.mkldnn.is_available():  # what is slow in the first call is done before it, behind a gate too
        own = [layer for layer in strict.net.mask_branch.modules() if isinstance(layer, PackedConv2d)]
        assert own and all(layer._packed for layer in own)
    assert len(strict(picture)) == 0
    with pytest.raises(InputError, match=r"kind deeplab expected.*weights-kind"):
        load_deeplab(config.run)
    with pytest.raises(InputError, match="image-array"):
        network(np.zeros((4, 4), np.uint8))


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(config, tmp_path, monkeypatch):
    train(config, Events())
    broken = replace(config, run=tmp_path / "broken")
    from pipelines.engine import loop

    real, calls = loop._Training.advance, []

    def dying(self, batch, progress):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        real(self, batch, progress)

    monkeypatch.setattr(loop._Training, "advance", dying)
    with pytest.raises(KeyboardInterrupt):
        train(broken, Events())
    monkeypatch.setattr(loop._Training, "advance", real)
    train(replace(broken, resume=True, workers=1), Events())
    for name in ("last.pt", "best.pt"):
        whole, other = (run / "checkpoints" / name for run in (config.run, broken.run))
        assert whole.read_bytes() == other.read_bytes(), name
    assert weights_sha256(config.run / "checkpoints" / "best.pt") == tensors_sha256(
        load_checkpoint(broken.run / "checkpoints" / "best.pt")["model"]
    )


def test_a_batch_names_the_pictures_that_it_reads_pasted_ones_too(config, monkeypatch):
    pictures, read = load_coco(config.annotations, config.images), []
    batches = S4NetBatches(pictures, config, 4, Processes(0, 1, torch.device("cpu")))
    halves = [S4NetBatches(pictures, config, 2, Processes(rank, 2, torch.device("cpu"))) for rank in (0, 1)]
    monkeypatch.setattr(
        s4net_batches, "open_working_picture", lambda path: read.append(path.stem) or open_working_picture(path)
    )
    longest = 0
    for step in range(6):
        read.clear()
        images, targets = batches(step)
        assert batches.pictures_of(step) == read[: len(read) // 2] == read[len(read) // 2 :]
        longest = max(longest, len(read) // 2)
        parts = [half(step) for half in halves]  # two processes see the same global batch
        assert torch.equal(torch.cat([part[0] for part in parts]), images)
        for one, other in zip([target for part in parts for target in part[1]], targets, strict=True):
            assert all(torch.equal(one[key], other[key]) for key in other)
        assert halves[0].pictures_of(step) == halves[1].pictures_of(step) == batches.pictures_of(step)
    assert longest > 4


def test_a_training_that_diverges_names_its_pictures_and_saves_nothing_more(config, monkeypatch):
    real, calls = train_command.to_device, []

    def poisoned(batch, device):
        calls.append(1)
        images, targets = real(batch, device)
        return images * (float("nan") if len(calls) == 3 else 1.0), targets

    monkeypatch.setattr(train_command, "to_device", poisoned)
    with pytest.raises(DivergedError, match="at step 2") as caught:
        train(config, Events(io.StringIO()))
    pictures = load_coco(config.annotations, config.images)
    expected = S4NetBatches(pictures, config, 2, Processes(0, 1, torch.device("cpu"))).pictures_of(2)
    assert caught.value.message.endswith(f"of the pictures of this step: {', '.join(expected)}")
    assert json.loads((config.run / "status.json").read_text())["pictures"] == expected
    assert all(name in (config.run / "log.txt").read_text() for name in expected)
    assert load_checkpoint(config.run / "checkpoints" / "last.pt")["step"] == 2
    assert not (config.run / "checkpoints" / "best.pt").exists()


def test_the_schedules_of_the_paper_and_the_release(config):
    paper = loop_settings(replace(config, preset="paper", steps=None, batch_size=None), TRAIN_SCHEDULES["paper"])
    assert (paper.steps, paper.lr, paper.drops, paper.optimizer, paper.momentum) == (20_000, 0.004, (0.5,), "sgd", 0.9)
    assert TRAIN_SCHEDULES["release"].drops == (0.5, 0.75)
    assert paper.clip_norm == 10 and paper.ema is None and paper.warmup == 0
    groups = parameter_groups(new_s4net(replace(config, preset="paper")), TRAIN_SCHEDULES["paper"])
    assert {group.weight_decay for group in groups} == {1e-4, 0.0}


def test_damaged_inputs_are_refused_before_anything_is_written(config, scenes, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(scenes, copy)
    names = sorted((copy / "images").iterdir())
    names[3].write_bytes(names[3].read_bytes()[:500])
    damaged = replace(config, images=copy / "images", annotations=copy / "train.json")
    with pytest.raises(InputError, match=names[3].name):
        train(damaged, Events())
    names[3].unlink()
    with pytest.raises(InputError, match=names[3].name):
        train(damaged, Events())
    with pytest.raises(InputError, match="folder-missing"):
        train(replace(config, images=tmp_path / "nowhere"), Events())
    assert not config.run.exists()


def test_unknown_trunks_and_wrong_weights_are_refused(config, tmp_path):
    with pytest.raises(ConfigError, match="resnet50"):
        train(replace(config, trunk="resnet5"), Events())
    torch.save({"conv_stem.weight": torch.zeros(1)}, tmp_path / "wrong.pt")
    with pytest.raises(InputError, match=r"wrong\.pt: trunk weights do not fit.*weights-damaged"):
        train(replace(config, trunk_weights=str(tmp_path / "wrong.pt")), Events())
    with pytest.raises(InputError, match="weights-missing"):
        train(replace(config, trunk_weights=str(tmp_path / "absent.pt")), Events())


@pytest.mark.slow
def test_validation_pictures_without_any_instance_choose_the_last_step_and_are_told(config, tmp_path):
    empty, told = json.loads(config.annotations.read_text()), io.StringIO()
    (tmp_path / "empty.json").write_text(json.dumps({**empty, "annotations": []}))
    unjudged = replace(config, val_annotations=tmp_path / "empty.json", evaluate_every=1, steps=2, preset="paper")
    result = train(unjudged, Events(told))
    assert result["best"] == {"metric": "ap50", "value": None, "step": 2} and result["warnings"] == []
    assert load_checkpoint(config.run / "checkpoints" / "best.pt")["metrics"] == {}
    assert "empty.json: no instance in 8 pictures, one or more expected; " in told.getvalue()


@pytest.mark.slow
def test_a_run_that_exists_is_refused(config):
    train(config, Events())
    with pytest.raises(ConfigError, match="run-exists"):
        train(config, Events())


@pytest.mark.slow
def test_a_trained_network_is_tuned_and_the_run_remembers_which(config, tmp_path):
    first = train(replace(config, alpha=0.25), Events())["run"]
    tuned = TrainConfig(
        images=config.images,
        annotations=config.annotations,
        run=tmp_path / "tuned",
        start_from=first,
        steps=1,
        batch_size=2,
        precision="fp32",
        lr=1e-9,
    )
    train(tuned, Events())
    frozen = json.loads((tuned.run / "config.json").read_text())
    assert (frozen["trunk"], frozen["alpha"], frozen["image_size"]) == (TRUNK, 0.25, 96)
    assert (frozen["start_from"], frozen["trunk_weights"]) == (str(first), None)
    begun = load_checkpoint(Path(first) / "checkpoints" / "best.pt")["model"]
    record = {"from": str(Path(first).absolute()), "sha256": tensors_sha256(begun)}
    content = load_checkpoint(tuned.run / "checkpoints" / "best.pt")
    assert content["start"] == record == json.loads((tuned.run / "environment.json").read_text())["start"]
    # One step at next to no learning rate leaves the weights where they were.
    assert begun.keys() == content["model"].keys()
    for name, tensor in content["model"].items():
        torch.testing.assert_close(tensor, begun[name], rtol=0, atol=1e-6)
    assert load_s4net(tuned.run, precision="fp32").image_size == 96


@pytest.mark.slow
def test_a_tuning_resumes_to_the_same_weights_without_its_first_network(config, tmp_path, monkeypatch):
    train(config, Events())
    place = {"start_from": config.run, "trunk": None, "trunk_weights": None}
    whole = replace(config, **place, run=tmp_path / "whole")
    train(whole, Events())
    from pipelines.engine import loop

    real = loop._Training.advance

    def dying(self, batch, progress):
        raise KeyboardInterrupt

    broken = replace(whole, run=tmp_path / "broken")
    monkeypatch.setattr(loop._Training, "advance", dying)
    with pytest.raises(KeyboardInterrupt):
        train(broken, Events())  # before its first step
    monkeypatch.setattr(loop._Training, "advance", real)
    config.run.rename(tmp_path / "gone")
    resumed = resolve(TrainConfig, None, {"run": broken.run, "resume": True})
    train(prepared(resumed, lambda line: None), Events())
    one, two = weights(whole.run), weights(broken.run)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], value) for key, value in weights(tmp_path / "gone").items())
    with pytest.raises(InputError, match=r"--start-from .*weights-missing"):
        prepared(replace(resumed, run=tmp_path / "new", resume=False), lambda line: None)
    with pytest.raises(ConfigError, match=r"--start-from: builtin given, .*run expected.*resume-differs"):
        resolve(TrainConfig, None, {"run": broken.run, "resume": True, "start_from": "builtin"})


@pytest.mark.slow
def test_a_network_that_cannot_be_started_from_leaves_no_run(config, tmp_path):
    train(config, Events())
    other = replace(config, start_from=config.run, trunk_weights=None, trunk="resnet50", run=tmp_path / "other")
    with pytest.raises(ConfigError, match="start-differs"):
        train(other, Events())
    (config.run / "checkpoints" / "best.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="weights-"):
        train(replace(other, trunk=None), Events())
    assert not other.run.exists()


@pytest.mark.slow
def test_a_resumed_run_needs_its_trunk_weights_no_more(config, tmp_path):
    trunk = tmp_path / "trunk.pt"
    torch.save(timm.create_model(TRUNK.removeprefix("timm/")).state_dict(), trunk)
    run = replace(config, trunk_weights=str(trunk), steps=2)
    train(run, Events())
    trunk.unlink()
    with pytest.raises(InputError, match="weights-missing"):
        prepared(replace(run, run=tmp_path / "new"), lambda line: None)
    again = prepared(replace(run, resume=True), lambda line: None)
    assert train(again, Events())["steps"] == 2


def test_a_tuning_has_the_schedule_of_its_preset_and_a_checkpoint_before_its_first_step(config):
    tuning = replace(config, start_from="builtin", trunk_weights=None)
    schedule = TRAIN_SCHEDULES["modern"]
    anew, tuned = loop_settings(config, schedule), loop_settings(tuning, schedule)
    assert tuned == replace(anew, checkpoint_at_start=True) and anew.lr == 4e-4


def test_a_dry_run_takes_a_few_real_steps_and_leaves_nothing(config: TrainConfig, tmp_path: Path) -> None:
    told = io.StringIO()
    planned = replace(config, dry_run=True, steps=400, val_annotations=config.annotations)
    result = train(planned, Events(told))
    assert list(tmp_path.iterdir()) == []
    assert (result["images"], result["steps"], result["faults"]) == (8, 400, [])
    assert [(line["network"], line["weights"]) for line in result["weights"]] == [(TRUNK, "random weights")]
    estimate = result["estimate"]
    assert (estimate["per"], estimate["count"]) == ("step", 400)
    assert estimate["seconds"] == pytest.approx(400 * estimate["seconds_each"], rel=0.01, abs=1)
    assert result["disk"]["free_bytes"] > 0
    assert "train: estimated to take" in told.getvalue()


def test_a_dry_run_of_damaged_pictures_lists_them_all(scenes: Path, config: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(scenes, tmp_path / "copy")
    pictures = sorted((tmp_path / "copy" / "images").iterdir())
    pictures[0].write_bytes(b"")
    pictures[2].write_bytes(pictures[2].read_bytes()[:-200])
    pictures[4].write_text("no picture")
    pictures[6].unlink()
    pictures[6].symlink_to("nowhere")
    broken = replace(config, images=pictures[0].parent, annotations=tmp_path / "copy" / "train.json", dry_run=True)
    with pytest.raises(InputError) as caught:
        train(broken, Events(io.StringIO()))
    messages = [str(error) for error in (caught.value, *caught.value.others)]
    assert [name for name in (p.name for p in pictures) if any(name in message for message in messages)] == [
        pictures[number].name for number in (0, 2, 4, 6)
    ]
    assert not config.run.exists()


@pytest.mark.slow
def test_a_dry_run_says_how_far_the_rest_of_a_run_is(config: TrainConfig) -> None:
    train(config, Events(io.StringIO()))
    rest = train(replace(config, dry_run=True, resume=True, steps=10), Events(io.StringIO()))
    assert rest["estimate"]["count"] == 6  # of ten steps four are done


def test_under_torchrun_nothing_is_measured(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert training_pace(config, Seen()) is None


def test_a_training_leaves_its_page_and_its_first_batch_before_the_first_step(config, monkeypatch):
    real, seen = train_command.train_loop, []

    def watched(*given, **more):
        seen.append((config.run / "overlays" / "first-batch.jpg").is_file())
        return real(*given, **more)

    monkeypatch.setattr(train_command, "train_loop", watched)
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(replace(config, tensorboard=True), Events())
    assert seen == [True]
    page = (config.run / "report.html").read_text()
    assert "First batch" in page and "Curves" in page
    events = EventAccumulator(str(config.run / "tensorboard")).Reload()
    losses = {event.step: event.value for event in events.Scalars("loss/total")}
    lines = [json.loads(line) for line in (config.run / "metrics.jsonl").read_text().splitlines()]
    assert losses == pytest.approx({line["step"]: line["total"] for line in lines})


def test_without_a_report_nothing_is_drawn(config):
    train(replace(config, report=False), Events())
    assert not {"report.html", "overlays", "tensorboard"} & {path.name for path in config.run.iterdir()}


def test_tensorboard_that_is_missing_is_named_with_its_extra(config, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"s4-segmentation\[tensorboard\]") as caught:
        replace(config, tensorboard=True)
    assert caught.value.rule == "extra-missing"
