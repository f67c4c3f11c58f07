import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deeplab import build_deeplab
from pipelines.config import DeepLabTrainConfig
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.voc import write_label_map
from pipelines.engine.checkpoint import load_checkpoint
from pipelines.engine.distributed import Processes
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.predict import load_deeplab
from pipelines.recipes import DEEPLAB_RECIPES
from pipelines.train_deeplab import (
    batch_maker,
    loop_settings,
    losses,
    new_deeplab,
    parameter_groups,
    train_deeplab,
    training_pictures,
    validator,
)

CLASSES = ClassList.from_names(["cat", "dog"])
HERE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def config(tmp_path: Path) -> DeepLabTrainConfig:
    """Four pictures with a red cat on blue, their pseudo labels, and a run of two steps."""
    labels = LabelFolder(tmp_path / "labels", CLASSES)
    voc = tmp_path / "voc"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    for i in range(4):
        label = np.zeros((40, 50), np.uint8)
        label[5 : 20 + i, 10:30] = 8
        picture = np.where(label[..., None] == 8, (255, 0, 0), (0, 0, 255)).astype(np.uint8)
        Image.fromarray(picture).save(voc / "JPEGImages" / f"p{i}.png")
        labels.write_label(f"p{i}", label)
        write_label_map(voc / "SegmentationClass" / f"p{i}.png", label)
    labels.write_manifest(weights_sha256="abc")
    (voc / "ImageSets/Segmentation/val.txt").write_text("p0\np3\n")
    return DeepLabTrainConfig(
        images=voc / "JPEGImages",
        labels=tmp_path / "labels",
        run=tmp_path / "run",
        network="efficientnet_lite0",
        trunk_weights="none",
        steps=2,
        batch_size=2,
        crop=33,
        device="cpu",
        precision="fp32",
        workers=0,
    )


class Colours(nn.Module):
    """Says cat where a pixel is red and background where it is blue."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images[:, 2], images[:, 0], torch.zeros_like(images[:, 0])], dim=1)


def test_a_run_leaves_a_checkpoint_that_rebuilds_its_network(config: DeepLabTrainConfig) -> None:
    stream = io.StringIO()
    result = train_deeplab(replace(config, val_voc=config.images.parent), Events(stream))
    assert set(result) == {"run", "steps", "seconds", "images_per_second", "best", "losses"}
    assert result["steps"] == 2 and result["best"]["metric"] == "miou" and 0 <= result["best"]["value"] <= 1
    best = load_checkpoint(config.run / "checkpoints" / "best.pt")
    assert (best["kind"], best["network"], best["longest_side"]) == ("deeplab", "efficientnet_lite0", 66)
    assert best["classes"] == {"names": ["cat", "dog"], "indices": [8, 12]}
    build_deeplab(best["network"], 3).load_state_dict(best["model"])
    predict = load_deeplab(config.run, device="cpu", precision="fp32")
    label = predict(config.images / "p0.png")
    assert label.shape == (40, 50) and set(np.unique(label)) <= {0, 8, 12}
    # what was trained on is told, and kept with the run
    for text in (stream.getvalue(), (config.run / "log.txt").read_text()):
        assert '"kind": "pseudo"' in text and '"weights_sha256": "abc"' in text and "4 pictures" in text


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(config: DeepLabTrainConfig) -> None:
    def trained(name: str, **changes: Any) -> Tensor:
        run = config.run.parent / name
        train_deeplab(replace(config, run=run, **changes), Events(io.StringIO()))
        model: dict[str, Tensor] = load_checkpoint(run / "checkpoints" / "last.pt")["model"]
        return model["head.classifier.weight"]

    first = trained("a")
    assert torch.equal(first, trained("b", workers=2))
    assert not torch.equal(first, trained("c", seed=1))


def test_a_batch_is_a_function_of_the_step(config: DeepLabTrainConfig) -> None:
    labels = LabelFolder(config.labels, CLASSES)
    make, again = (batch_maker(training_pictures(config, labels), config, 3, HERE) for _ in range(2))
    again(0)
    images, targets = make(5)
    assert images.shape == (3, 3, 33, 33) and images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert targets.shape == (3, 33, 33) and set(targets.unique().tolist()) <= {0, 1, 255}
    assert torch.equal(images, again(5)[0]) and torch.equal(targets, again(5)[1])
    assert not torch.equal(images, make(6)[0])


def test_a_batch_without_labels_leaves_the_network_as_it_is(config: DeepLabTrainConfig) -> None:
    net = new_deeplab(config, CLASSES).train()
    images = torch.randint(0, 256, (2, 3, 33, 33), dtype=torch.uint8)
    total = losses(net, (images, torch.full((2, 33, 33), 255, dtype=torch.uint8)), HERE.device)["total"]
    total.backward()  # type: ignore[no-untyped-call]
    assert total.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_groups_hold_every_learning_parameter_once(config: DeepLabTrainConfig) -> None:
    net = new_deeplab(config, CLASSES)
    groups = parameter_groups(net, DEEPLAB_RECIPES["vgg16"])
    ids = [id(p) for group in groups for p in group.parameters]
    assert len(ids) == len(set(ids)) and set(ids) == {id(p) for p in net.parameters() if p.requires_grad}
    rates = {id(p): (group.lr_scale, group.weight_decay) for group in groups for p in group.parameters}
    # the published factors: weights 1, new weights 10, new biases 20; biases without decay
    classifier = net.get_submodule("head.classifier")
    assert isinstance(classifier, nn.Conv2d) and classifier.bias is not None
    assert rates[id(classifier.weight)] == (10, 5e-4) and rates[id(classifier.bias)] == (20, 0)
    assert rates[id(net.get_parameter("trunk.net.blocks.5.0.conv_dw.weight"))] == (1, 5e-4)


def test_recipes_are_the_published_ones_and_flags_go_first(config: DeepLabTrainConfig) -> None:
    vgg = loop_settings(replace(config, network="vgg16", steps=20_000, batch_size=10), DEEPLAB_RECIPES["vgg16"])
    assert (vgg.lr, vgg.steps, vgg.batch_size, vgg.optimizer, vgg.schedule) == (1e-3, 20_000, 10, "sgd", "poly")
    assert vgg.evaluate_every == 20_000
    assert DEEPLAB_RECIPES["resnet101"].lr == 2.5e-4 and DEEPLAB_RECIPES["resnet101"].weight_decay == 5e-4
    changed = loop_settings(replace(config, lr=0.5, steps=7, batch_size=3, evaluate_every=2), DEEPLAB_RECIPES["vgg16"])
    assert (changed.lr, changed.steps, changed.batch_size, changed.evaluate_every) == (0.5, 7, 3, 2)


def test_validation_scores_the_val_pictures(config: DeepLabTrainConfig) -> None:
    voc = config.images.parent
    config = replace(config, val_voc=voc)
    assert validator(config, CLASSES)(Colours(), HERE.device) == {"miou": 1.0}
    # p0: half of the picture's 2000 pixels become unjudged; p3 cat (20:30 of 10:30) turns background:
    label = np.zeros((40, 50), np.uint8)
    label[:20] = 255
    write_label_map(voc / "SegmentationClass" / "p0.png", label)
    label = np.zeros((40, 50), np.uint8)
    label[5:23, 10:20] = 8
    write_label_map(voc / "SegmentationClass" / "p3.png", label)
    # cat: 18 x 10 right of 18 x 20 said; background: 1000 + (2000 - 360) right of that and the 180 missed
    expected = (180 / 360 + 2640 / 2820) / 2
    assert validator(config, CLASSES)(Colours(), HERE.device)["miou"] == pytest.approx(expected)


def test_validation_needs_every_file_before_training_starts(config: DeepLabTrainConfig) -> None:
    voc = config.images.parent
    (voc / "SegmentationClass" / "p3.png").unlink()
    with pytest.raises(InputError, match=r"p3\.png: no such file"):
        train_deeplab(replace(config, val_voc=voc), Events(io.StringIO()))
    assert not config.run.exists()


def test_unmarked_labels_are_taken_as_ground_truth_on_request_alone(config: DeepLabTrainConfig) -> None:
    masks = config.images.parent / "SegmentationClass"
    with pytest.raises(InputError, match="labels-unmarked"):
        train_deeplab(replace(config, labels=masks), Events(io.StringIO()))
    stream = io.StringIO()
    train_deeplab(replace(config, labels=masks, labels_are="ground-truth", steps=1), Events(stream))
    assert "ground truth" in stream.getvalue() and "20 classes" in stream.getvalue()


def test_only_listed_pictures_are_trained_on(config: DeepLabTrainConfig, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("p1\np2\n")
    listed = replace(config, list=tmp_path / "ids.txt")
    assert training_pictures(listed, LabelFolder(config.labels, CLASSES)).ids == ["p1", "p2"]
    LabelFolder(config.labels, CLASSES).label_path("p2").unlink()
    with pytest.raises(InputError, match=r"p2\.png: no such file.*\[label-missing\]"):
        train_deeplab(listed, Events(io.StringIO()))


def test_weights_of_another_trunk_are_refused(config: DeepLabTrainConfig, tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match=r"trunk weights are missing.*\[trunk-unusable\]"):
        train_deeplab(replace(config, trunk_weights=str(tmp_path / "other.pt")), Events(io.StringIO()))


def test_the_settings_are_kept_with_the_run(config: DeepLabTrainConfig) -> None:
    train_deeplab(replace(config, steps=1), Events(io.StringIO()))
    assert json.loads((config.run / "config.json").read_text())["crop"] == 33
    with pytest.raises(ConfigError, match="run-exists"):
        train_deeplab(replace(config, steps=1), Events(io.StringIO()))
