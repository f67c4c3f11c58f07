"""`s4 deeplab-train --resume`, where the weights that the run began with are gone."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from deeplab import PRETRAINED_HEADS, DeepLab
from pipelines.chain.dry_run import look_at
from pipelines.chain.findings import Seen
from pipelines.chain.stages.deeplab_train import DeepLabTrainStep
from pipelines.config import DeepLabTrainConfig
from pipelines.config.paths import prepared
from pipelines.config.recipes import deeplab_recipe
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.deeplab_train import deeplab_train, first_network, parameter_groups
from pipelines.engine import loop
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.networks.build import new_deeplab
from tests.pipelines.small_deeplab import small_deeplab

CLASSES = ClassList.from_names(["cat", "dog"])


@pytest.fixture
def config(tmp_path: Path) -> DeepLabTrainConfig:
    """Two pictures with pseudo labels, and the weights of a trunk in a file."""
    labels = LabelFolder(tmp_path / "labels", CLASSES)
    (tmp_path / "images").mkdir()
    for i in range(2):
        label = np.zeros((40, 50), np.uint8)
        label[5:20, 10:30] = 1
        Image.fromarray(label * 200).save(tmp_path / "images" / f"p{i}.png")
        labels.write_label(f"p{i}", label)
    labels.write_manifest(weights_sha256="abc")
    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "trunk.pt")
    folders = (tmp_path / name for name in ("images", "labels", "run"))
    return small_deeplab(*folders, trunk_weights=str(tmp_path / "trunk.pt"), report=False)


@pytest.mark.slow
def test_a_resumed_run_needs_its_trunk_weights_no_more_and_ends_with_the_same_bytes(config, tmp_path, monkeypatch):
    deeplab_train(config, Events(io.StringIO()))
    broken, real, calls = replace(config, run=tmp_path / "broken"), loop._Training.advance, []

    def dying(self, batch, progress):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        real(self, batch, progress)

    monkeypatch.setattr(loop._Training, "advance", dying)
    with pytest.raises(KeyboardInterrupt):
        deeplab_train(broken, Events(io.StringIO()))
    monkeypatch.setattr(loop._Training, "advance", real)
    (tmp_path / "trunk.pt").unlink()
    with pytest.raises(InputError, match="weights-missing"):
        prepared(replace(broken, run=tmp_path / "new"), lambda line: None)
    resumed = prepared(replace(broken, resume=True), lambda line: None)
    step = DeepLabTrainStep("deeplab-train", 0, resumed)
    assert look_at([step], Events(io.StringIO())).findings.faults == []
    assert step.config_to_try(Seen()).trunk_weights == "none"
    assert deeplab_train(resumed, Events(io.StringIO()))["steps"] == 2
    for name in ("last.pt", "best.pt"):
        whole, other = (run / "checkpoints" / name for run in (config.run, broken.run))
        assert whole.read_bytes() == other.read_bytes(), name


@pytest.mark.parametrize("filled", [PRETRAINED_HEADS["vgg16"], ()])
def test_layers_of_the_head_that_weights_once_filled_learn_at_their_rate_after_a_resume_too(config, filled):
    config = replace(config, network="vgg16", resume=True)
    recipe = deeplab_recipe("vgg16", None)
    begun = new_deeplab(config, CLASSES, pretrained=False, pretrained_head=filled)
    groups = [{"params": [0] * len(group.parameters)} for group in parameter_groups(begun, recipe)]
    save_checkpoint(config.run / "checkpoints" / "last.pt", {"optimizer": {"param_groups": groups}})
    net = first_network(config, CLASSES, recipe)
    assert isinstance(net, DeepLab)
    # fc6, fc7 and fc8 are new without weights, with a weight and a bias each; else fc8 alone is
    assert len(list(net.new_parameters())) == (2 if filled else 6)
