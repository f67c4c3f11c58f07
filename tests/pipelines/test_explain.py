"""`s4 explain` as its user sees it, with untrained networks on small pictures."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.config import ExplainConfig, TrainConfig, to_json
from pipelines.data.coco import encode_masks
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.explain import explain
from pipelines.networks.build import new_s4net
from s4net.gradient_map import Shares

HEIGHT, WIDTH = 90, 120
KINDS = ("binary", "expanded", "ternary")
# Boxes x0, y0, x1, y1 of the filled rectangles that are the instances.
PICTURES = {
    "street/a.png": [(30, 20, 80, 60), (70, 50, 110, 85)],
    "b.png": [(0, 0, 50, 40)],
    "empty.png": [],
    "c.png": [(50, 10, 90, 80)],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows, columns = np.indices((HEIGHT, WIDTH), dtype=np.uint8)
    pixels = np.stack([2 * rows, columns, rows + columns], axis=-1)
    images, annotations = [], []
    for key, (name, boxes) in enumerate(PICTURES.items()):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        images.append({"id": key, "file_name": name, "height": HEIGHT, "width": WIDTH})
        for x0, y0, x1, y1 in boxes:
            mask = np.zeros((1, HEIGHT, WIDTH), dtype=np.uint8)
            mask[:, y0:y1, x0:x1] = 1
            (rle,) = encode_masks(mask)
            rle = {**rle, "counts": rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode()}
            annotations.append({"id": len(annotations), "image_id": key, "category_id": 1, "segmentation": rle})
    (folder / "test.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    for roi in ("ternary", "binary", "roialign"):
        settings = TrainConfig(
            images=folder,
            annotations=folder / "test.json",
            run=folder / roi,
            preset="paper",
            roi=roi,
            trunk="timm/mobilenetv3_small_050",
            trunk_weights="none",
            image_size=96,
        )
        content = {"kind": "s4net", "config": to_json(settings), "model": new_s4net(settings).state_dict()}
        save_checkpoint(folder / roi / "checkpoints" / "best.pt", content)
    return folder


@pytest.fixture
def config(data: Path, tmp_path: Path) -> ExplainConfig:
    return ExplainConfig(
        images=data / "images",
        annotations=data / "test.json",
        weights=data / "ternary",
        out=tmp_path / "out",
        figures=0,
        precision="fp32",
    )


def written(config: ExplainConfig) -> dict:
    return json.loads((config.out / "explain.json").read_text())


@pytest.mark.slow
def test_figures_keep_sub_folders_and_are_small(config):
    result = explain(replace(config, ids="street/a,b", figures=2), Events())
    assert (result["images"], result["instances"], result["figures"]) == (2, 3, 2)
    assert [picture["figure"] for picture in written(config)["pictures"]] == ["street/a.png", "b.png"]
    for name in ("street/a.png", "b.png"):
        assert (config.out / name).stat().st_size <= 250_000
        with Image.open(config.out / name) as figure:
            assert (figure.format, figure.width) == ("PNG", 1200)
    assert sorted(path.name for path in config.out.rglob("*.*")) == ["a.png", "b.png", "explain.json"]


def test_shares_of_every_kind_sum_to_one_and_binary_masks_leave_the_ring_none(config):
    result = explain(config, Events())
    for picture in written(config)["pictures"]:
        for shares in picture["shares"].values():
            assert shares["box"] + shares["ring"] + shares["elsewhere"] == pytest.approx(1, abs=1e-5)
            # Without slack the loss stays in the box.
            assert shares["ring_outside_region"] == shares["ring"]
    assert result["ring_share"]["binary"] == 0
    assert result["ring_share"]["ternary"] > 0 < result["ring_share"]["expanded"]
    assert result["ring_share"] == {kind: shares["ring"] for kind, shares in written(config)["mean"].items()}


@pytest.mark.slow
def test_shares_without_any_gradient_are_left_out_of_means_and_null_in_the_file(config, monkeypatch):
    calls = []

    def shares_of(*_: object) -> Shares:
        calls.append(len(calls))
        ring = [0.25, float("nan")] if calls[-1] < 3 else [float("nan")] * 2  # the first picture alone has any
        return Shares(*([torch.tensor(ring)] * len(Shares._fields)))

    monkeypatch.setattr("pipelines.explain.gradient_shares", shares_of)
    assert explain(replace(config, count=2), Events())["ring_share"] == dict.fromkeys(KINDS, 0.25)
    assert [p["shares"]["binary"]["ring"] for p in written(config)["pictures"]] == [0.25, None]
    assert all(math.isnan(share) for share in explain(replace(config, count=2), Events())["ring_share"].values())
    assert [written(config)["mean"][kind]["ring"] for kind in KINDS] == [None] * 3


def test_the_same_weights_with_masks_swapped_are_called_so(config):
    shown = explain(config, Events())["shown"]
    assert list(shown) == ["binary", "expanded", "ternary"]
    assert "ternary as trained" in shown["ternary"]
    assert all("ternary, masks swapped" in shown[kind] for kind in ("binary", "expanded"))


@pytest.mark.slow
def test_a_compared_run_shows_the_masks_that_it_was_trained_with(config, data):
    alone = explain(replace(config, ids="b"), Events())
    result = explain(replace(config, ids="b", compare=data / "binary"), Events())
    assert "binary as trained" in result["shown"]["binary"] and "swapped" in result["shown"]["expanded"]
    assert result["mask_loss"]["ternary"] == alone["mask_loss"]["ternary"]
    with pytest.raises(ConfigError, match="explain-compare"):
        explain(replace(config, compare=data / "ternary"), Events())


@pytest.mark.slow
def test_count_spreads_over_the_pictures_that_have_instances(config):
    explain(replace(config, count=2), Events())
    assert [picture["image_id"] for picture in written(config)["pictures"]] == ["street/a", "b"]
    assert explain(replace(config, count=300), Events())["images"] == 3


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("b,empty", r"empty\.png: no instance.*explain-no-instance"),
        ("street/aa", r"did you mean street/a\?.*explain-picture"),
        ("", "explain-picture"),
    ],
)
def test_pictures_that_cannot_be_explained_are_refused_before_anything_is_written(config, ids, message):
    with pytest.raises(InputError, match=message):
        explain(replace(config, ids=ids), Events())
    assert not config.out.exists()


def test_annotations_without_instances_are_refused(config, tmp_path):
    content = json.loads(config.annotations.read_text())
    (tmp_path / "none.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(InputError, match="coco-empty"):
        explain(replace(config, annotations=tmp_path / "none.json"), Events())


def test_a_network_that_crops_is_refused(config, data):
    with pytest.raises(ConfigError, match="explain-roi"):
        explain(replace(config, weights=data / "roialign"), Events())
