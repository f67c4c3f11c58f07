"""The small world of data, networks, labels and predictions that all trials share."""

import json
import random
from pathlib import Path

import torch

from experiments.hostile_inputs.lines import TRUNK, filled
from experiments.hostile_inputs.place import Place, quietly
from pipelines.config import TrainConfig, to_json
from pipelines.data.shapes import write_instances, write_voc
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.networks.build import new_s4net

SIDE = 64

LINES = (
    "train DRAWN --run {world}/runs/s4net S4NET --steps 2",
    "deeplab-train TRUE CLASSES --run {world}/runs/deeplab DEEPLAB --steps 2",
    "pseudo-label KEYWORDS --weights {net} --out {world}/labels LABEL",
    "predict {voc}/JPEGImages --weights {deeplab} --out {world}/predictions PLAIN",
    "predict {voc}/JPEGImages --weights {net} --out {world}/found --min-score 0 PLAIN",
    "convert {world}/labels --to coco --out {world}/coco/found.json",
    "convert {world}/labels --to voc --out {world}/as-voc",
    "convert {world}/labels --to labelme --out {world}/as-labelme",
    "convert {world}/labels --to cvat-voc --out {world}/as-cvat-voc",
    "convert {world}/labels --to cvat-coco --out {world}/as-cvat-coco",
    "convert {world}/labels --to label-studio --out {world}/as-studio.json",
    "convert {world}/labels --to yolo-seg --out {world}/as-yolo-seg",
    "convert {world}/labels --to masks --out {world}/as-masks",
    "convert {world}/labels --to s4net-pickle --out {world}/as.pkl",
)
"""What is made with s4 itself, in this order."""


def write_world(world: Path) -> Path:
    """Make what inputs start from, and return its folder."""
    write_instances(world / "instances", 6, "train", seed=0, side=SIDE)
    write_voc(world / "voc", 6, 2, seed=1, side=SIDE)
    config = TrainConfig(images=world, annotations=world, trunk=TRUNK[1], trunk_weights="none", image_size=SIDE)
    torch.manual_seed(0)
    state = new_s4net(config, pretrained=False).state_dict()
    save_checkpoint(world / "net.pt", {"kind": "s4net", "config": to_json(config), "model": state})
    (world / "coco").mkdir()
    place = Place(world, world, random.Random(0))
    for line in LINES:
        code = quietly([*filled(line, place), "-q"])
        if code not in (0, 4):
            raise SystemExit(f"exit {code}: {line}")
    _write_results(world)
    return world


def _write_results(world: Path) -> None:
    """Write the JSON of an evaluation, and what a chain leaves."""
    scores = {"miou": 0.5, "per_class": {"disc": 0.5, "ring": None}, "images": 2, "miou_interval": [0.4, 0.6]}
    scores |= {"split": "val", "source": "runs/deeplab", "schema": 1, "pixel_accuracy": 0.75, "missing": 0}
    stage = {"stage": "evaluate", "result": scores, "seconds": 1.5}
    warning = {"stage": "evaluate", "message": "a third is empty", "rule": "labels-empty"}
    (world / "chain").mkdir()
    (world / "scores.json").write_text(json.dumps(scores))
    results = {"miou": 0.5, "seconds": 3.5, "stages": [stage], "warnings": [warning]}
    (world / "chain" / "results.json").write_text(json.dumps(results))
    (world / "chain" / "state.json").write_text(json.dumps({"version": 1, "steps": {}}))
