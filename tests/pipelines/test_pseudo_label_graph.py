"""Keywords for a whole set at once, in two passes over the pictures."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import pseudo_label
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import Keywords
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.labels import picture_work
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import PictureCues
from pipelines.labels.learn import learn
from pipelines.labels.plan import make_plan
from pipelines.networks import load
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights

SIZE = (12, 16)
SINGLE, SEVERAL = 24, 8
N = SINGLE + SEVERAL
KEYWORDS = ["cat", "cat", "dog", "dog"] * (SINGLE // 4) + ["cat;dog"] * SEVERAL


class Killed(BaseException):
    """Ends a run as a signal would, past every handler of errors."""


class Networks:
    """S4Net that finds the right half of every picture, and attention that cannot tell keywords apart.

    Their features can: the first is the picture's red.
    """

    unit = 1.0

    def __init__(self) -> None:
        self.calls, self.die_at = 0, -1

    def __call__(self, picture: np.ndarray) -> Instances:
        if self.calls == self.die_at:
            raise Killed
        self.calls += 1
        mask = torch.zeros(1, *SIZE, dtype=torch.bool)
        mask[:, :, 8:] = True
        return Instances(torch.tensor([[8.0, 0, 16, 12]]), torch.tensor([0.9]), mask)

    def look(self, picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        features = np.zeros((4, 1, 1), np.float32)
        features[0] = picture[0, 0, 0] / 255
        features[1:] = picture[0, 0, 1] / 2550  # noise
        return np.zeros((len(keywords), 1, 1), np.float32), features


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Networks:
    fake = Networks()
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)
    monkeypatch.setattr(picture_work, "open_attention", lambda *_: fake)
    (tmp_path / "images").mkdir()
    rows = ["image,keywords"]
    for number, words in enumerate(KEYWORDS):
        # Cats are dark and dogs are red; of the pictures with both keywords, two in four show a dog.
        dog = words == "dog" or (words == "cat;dog" and number % 4 >= 2)
        pixels = np.full((*SIZE, 3), (200 if dog else 40, number * 6, 0), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"p{number:02d}.png")
        rows.append(f"p{number:02d},{words}")
    (tmp_path / "keywords.csv").write_text("\n".join(rows) + "\n")
    write_weights(tmp_path / "weights.pt")
    return fake


def settings_of(root: Path, out: str = "labels", **changes: Any) -> dict[str, Any]:
    return {
        "images": root / "images", "weights": root / "weights.pt", "keywords": str(root / "keywords.csv"),
        "out": root / out, "device": "cpu", "assign": "graph", "recognise": "off", "workers": 1, **changes,
    }  # fmt: skip


def run(root: Path, out: str = "labels", **changes: Any) -> dict[str, Any]:
    return pseudo_label.pseudo_label(PseudoLabelConfig(**settings_of(root, out, **changes)), Events())


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (
        path for path in sorted(folder.rglob("*")) if path.is_file() and not {"cues", "report.html"} & {*path.parts}
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_what_pictures_with_one_keyword_show_names_the_instances_of_the_others(tmp_path: Path, networks: Networks):
    result = run(tmp_path)
    records = [json.loads(line) for line in (tmp_path / "labels/records.jsonl").read_text().splitlines()]
    named = [record["instances"][0]["keyword"] for record in records]
    assert named == ["cat", "cat", "dog", "dog"] * (N // 4)
    assert [record["instances"][0]["rule"] for record in records] == ["single"] * SINGLE + ["graph"] * SEVERAL
    assert [record["missing"] for record in records[SINGLE:]] == [["dog"], ["dog"], ["cat"], ["cat"]] * 2
    assert result["missing_keywords"] == SEVERAL and result["assigned"] == N


@pytest.mark.slow
@pytest.mark.parametrize("die_at", [0, 5, N - 1])
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, networks: Networks, die_at: int):
    run(tmp_path, out="unbroken")
    networks.calls, networks.die_at = 0, die_at
    with pytest.raises(Killed):
        run(tmp_path, out="broken")
    networks.die_at = -1
    run(tmp_path, out="broken")
    assert networks.calls == N  # no picture was looked at twice
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "unbroken")


def test_shards_wait_for_the_instances_of_each_other(tmp_path: Path, networks: Networks):
    run(tmp_path, out="whole")
    networks.calls = 0
    assert run(tmp_path, out="shards", shard="1/2")["labelled"] == 0
    assert run(tmp_path, out="shards", shard="2/2")["labelled"] == N // 2
    assert not (tmp_path / "shards/manifest.json").exists()
    assert run(tmp_path, out="shards", shard="1/2")["labelled"] == N // 2
    assert networks.calls == N
    assert files_of(tmp_path / "shards") == files_of(tmp_path / "whole")


def test_a_damaged_picture_is_left_out_of_the_set_and_can_be_retried(tmp_path: Path, networks: Networks):
    run(tmp_path, out="whole")
    path = tmp_path / "images/p03.png"
    content = path.read_bytes()
    path.write_bytes(content[:40])
    result = run(tmp_path)
    assert result["failed"] == 1 and result["labelled"] == N - 1
    assert (tmp_path / "labels/failures.jsonl").exists()
    path.write_bytes(content)
    assert run(tmp_path)["failed"] == 1  # not without being asked
    result = run(tmp_path, retry_failed=True)
    assert result["failed"] == 0 and result["labelled"] == N
    # The other labels stay as they were made, without it: the same keywords, with other margins.
    assert files_of(tmp_path / "labels/labels") == files_of(tmp_path / "whole/labels")


def test_cues_may_be_removed_and_are_found_again_where_a_label_is_lost(tmp_path: Path, networks: Networks):
    run(tmp_path)
    whole = files_of(tmp_path / "labels")
    shutil.rmtree(tmp_path / "labels/cues")
    (tmp_path / "labels/labels/p07.png").unlink()
    networks.calls = 0
    assert run(tmp_path)["labelled"] == N
    assert networks.calls == N
    assert files_of(tmp_path / "labels") == whole


def test_a_later_round_takes_over_what_an_earlier_one_found(tmp_path: Path, networks: Networks):
    run(tmp_path, out="fresh", border=1)
    run(tmp_path, out="first")
    (tmp_path / "first/attention.safetensors").write_bytes(b"network")
    networks.calls = 0
    assert run(tmp_path, out="again", border=1, cues_of=tmp_path / "first")["labelled"] == N
    assert networks.calls == 0
    again = files_of(tmp_path / "again")
    assert again.pop("attention.safetensors") == b"network"
    assert again == files_of(tmp_path / "fresh")


def test_of_an_earlier_round_what_is_lost_or_damaged_is_found_again(tmp_path: Path, networks: Networks):
    run(tmp_path, out="first")
    (tmp_path / "first/cues/p03.npz").unlink()
    (tmp_path / "first/cues/p04.npz").write_bytes(b"PK")
    networks.calls = 0
    run(tmp_path, out="again", cues_of=tmp_path / "first")
    assert networks.calls == 2
    assert files_of(tmp_path / "again") == files_of(tmp_path / "first")


def test_an_earlier_round_with_other_cues_is_refused(tmp_path: Path, networks: Networks):
    run(tmp_path, out="first")
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match=r"first: made with other settings.*: min_score 0.4 \(there 0.3\);"):
            run(tmp_path, out="again", min_score=0.4, cues_of=tmp_path / "first", dry_run=dry_run)
    write_weights(tmp_path / "weights.pt", "other")
    with pytest.raises(ConfigError, match="weights_sha256"):
        run(tmp_path, out="again", cues_of=tmp_path / "first")
    with pytest.raises(InputError, match=r"images.settings\.json"):
        run(tmp_path, out="again", cues_of=tmp_path / "images")
    (tmp_path / "images/settings.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"there null"):
        run(tmp_path, out="again", cues_of=tmp_path / "images")
    assert not (tmp_path / "again").exists()


def test_a_signal_during_the_last_instances_stops_before_the_labels(tmp_path: Path, networks: Networks):
    find = networks.__class__.__call__

    def stop_at_the_end(self: Networks, picture: np.ndarray) -> Instances:
        if self.calls == N - 1:
            signal.raise_signal(signal.SIGTERM)
        return find(self, picture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Networks, "__call__", stop_at_the_end)
        with pytest.raises(Stopped, match=rf"after {N} of {N} pictures \(instances\)"):
            run(tmp_path)
    assert run(tmp_path)["labelled"] == N


@pytest.mark.parametrize(("assign", "strategy"), [("auto", "attention"), ("graph", "graph"), ("single", "single")])
def test_the_manifest_says_which_strategy_was_taken(tmp_path: Path, networks: Networks, assign: str, strategy: str):
    run(tmp_path, assign=assign)  # eight pictures with several keywords are too few for auto to take graph
    manifest = json.loads((tmp_path / "labels/manifest.json").read_text())
    assert manifest["configuration"]["strategy"] == strategy


def test_random_keywords_are_of_the_picture_and_the_same_again(tmp_path: Path, networks: Networks):
    run(tmp_path, out="first", assign="random")
    run(tmp_path, out="second", assign="random")
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")
    records = [json.loads(line) for line in (tmp_path / "first/records.jsonl").read_text().splitlines()]
    assert {record["instances"][0]["keyword"] for record in records[SINGLE:]} == {"cat", "dog"}
    assert all(record["instances"][0]["keyword"] in record["keywords"] for record in records)


class Cushion(Networks):
    """As above, but in picture 0 the left half is found too; what lies there looks as it does everywhere."""

    def __call__(self, picture: np.ndarray) -> Instances:
        found = super().__call__(picture)
        if not picture[0, 0, 1]:  # of picture 0
            mask = found.masks.flip(2)
            return Instances(found.boxes.repeat(2, 1), torch.tensor([0.9, 0.6]), torch.cat([found.masks, mask]))
        return found

    def look(self, picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        maps, features = super().look(picture, keywords)
        left = np.full((4, 6, 4), 0.5, np.float32)
        left[1:] = features[1:]
        right = np.broadcast_to(features, (4, 6, 4))
        return np.repeat(np.repeat(maps, 6, 1), 8, 2), np.concatenate([left, right], axis=2)


@pytest.mark.parametrize(("cells", "left"), [("off", 8), ("on", 0), ("auto", 0)])
def test_an_instance_that_is_background_in_other_pictures_is_background(
    tmp_path: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch, cells: str, left: int
):
    fake = Cushion()
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)
    monkeypatch.setattr(picture_work, "open_attention", lambda *_: fake)
    run(tmp_path, cells=cells)
    label_map = np.asarray(Image.open(tmp_path / "labels/labels/p00.png"))
    assert (label_map[:, 9:] == 8).all()  # VOC's cat
    assert (label_map[:, :7] == left).all()


def test_cells_help_where_all_keywords_are_single(tmp_path: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch):
    fake = Cushion()
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)
    monkeypatch.setattr(picture_work, "open_attention", lambda *_: fake)
    path = tmp_path / "keywords.csv"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if ";" not in line) + "\n")
    run(tmp_path, out="auto", assign="auto")
    run(tmp_path, out="single", assign="single")  # asked for: as it is
    assert np.asarray(Image.open(tmp_path / "auto/labels/p00.png"))[:, :7].max() == 0
    assert np.asarray(Image.open(tmp_path / "single/labels/p00.png"))[:, :7].min() == 8


class Windows:
    """ImageNet's classifier: in instances it sees an animal, but for the lower half of picture 0; elsewhere none."""

    def __call__(self, picture: np.ndarray, masks: np.ndarray, keywords: list[str]) -> np.ndarray:
        return np.ones(len(masks), np.float32)

    def windows(self, picture: np.ndarray, keywords: list[str]) -> np.ndarray:
        seen = np.full((len(keywords), 12, 16), -4.0, np.float32)
        seen[:, :, 8:] = 4 + picture[0, 0, 1] / 255 - np.arange(12)[:, None] / 100
        if picture[0, 0, 1] == 0:
            seen[:, 6:] = -60
        return seen


@pytest.mark.slow
def test_windows_take_out_of_an_instance_what_looks_like_something_else(
    tmp_path: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(picture_work, "open_recognizer", lambda _: Windows())
    run(tmp_path, recognise="imagenet")
    cat, other = (np.asarray(Image.open(tmp_path / f"labels/labels/p{number:02d}.png")) for number in (0, 1))
    assert (cat[:6, 8:] == 8).all() and (cat[6:] == 0).all() and (cat[:, :8] == 0).all()
    assert (other[:, 8:] == 8).all() and (other[:, :8] == 0).all()
    run(tmp_path, out="again", recognise="imagenet", cues_of=tmp_path / "labels")
    assert networks.calls == N
    assert (tmp_path / "again/labels/p00.png").read_bytes() == (tmp_path / "labels/labels/p00.png").read_bytes()


def test_pictures_without_instance_do_not_teach_what_background_looks_like(tmp_path: Path, networks: Networks):
    config = PseudoLabelConfig(**settings_of(tmp_path) | {"recognise": "imagenet", "cells": "off"})
    plan = replace(make_plan(config, Events()), strategy="single")
    store, whole = CueStore(tmp_path / "labels"), np.zeros((1, 4, 4), bool)
    whole[:, :, 2:] = True
    for image_id in plan.images:
        seen = np.where(whole, np.float32(1), np.float32(-1)) + np.float32(np.arange(4) / 8)
        windows = np.repeat(seen, len(plan.keywords[image_id]), axis=0)
        store.save(image_id, PictureCues(whole, np.float32([0.9]), windows=windows))
    cat = plan.classes.position("cat")
    before = learn(config, plan, store).windows
    assert before is not None and before.slopes[cat] > 0
    nothing = np.full((1, 4, 4), 9, np.float32)
    store.save("p00", PictureCues(whole[:0], np.zeros(0, np.float32), windows=nothing))
    store.save("p01", PictureCues(whole, np.float32([0.9])))  # which nobody looked at
    after = learn(config, plan, store).windows
    # The others are all alike, so that two less of them change nothing.
    assert after is not None and after.slopes[cat] == pytest.approx(before.slopes[cat], rel=5e-3)
