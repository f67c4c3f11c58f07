import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import pipelines.deeplab_train as deeplab_train_command
from deeplab import NETWORKS, DeepLab, MultiScale, build_deeplab
from deeplab.losses import LOSSES
from pipelines.config import DeepLabTrainConfig
from pipelines.config.recipes import DEEPLAB_RECIPES, NETWORK_RECIPES, deeplab_recipe
from pipelines.config.setting import choices_of, settings_of
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.deeplab_train import (
    data_of,
    deeplab_train,
    loop_settings,
    parameter_groups,
    training_pictures,
    validator,
)
from pipelines.engine.checkpoint import load_checkpoint
from pipelines.engine.distributed import Processes
from pipelines.engine.resume import described_data, require_same_data
from pipelines.engine.schedule import lr_factor
from pipelines.errors import ConfigError, DivergedError, InputError
from pipelines.events import Events
from pipelines.networks.build import new_deeplab
from pipelines.networks.load import load_deeplab
from pipelines.training.deeplab_batches import SOFT, Batch, DeepLabBatches, losses
from tests.pipelines.review_folder import action
from tests.pipelines.small_deeplab import small_deeplab

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
        labels.write_label(f"p{i}", CLASSES.from_palette(label))
        write_palette_map(voc / "SegmentationClass" / f"p{i}.png", label)
    labels.write_manifest(weights_sha256="abc")
    (voc / "ImageSets/Segmentation/val.txt").write_text("p0\np3\n")
    return small_deeplab(voc / "JPEGImages", tmp_path / "labels", tmp_path / "run")


class Colours(nn.Module):
    """Says cat where a pixel is red and background where it is blue."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images[:, 2], images[:, 0], torch.zeros_like(images[:, 0])], dim=1)


def test_a_run_leaves_a_checkpoint_that_rebuilds_its_network(config: DeepLabTrainConfig) -> None:
    stream = io.StringIO()
    result = deeplab_train(replace(config, val_voc=config.images[0].parent), Events(stream))
    assert set(result) == {"run", "steps", "seconds", "images_per_second", "best", "losses", "warnings"}
    assert result["steps"] == 2 and result["best"]["metric"] == "miou" and 0 <= result["best"]["value"] <= 1
    best = load_checkpoint(config.run / "checkpoints" / "best.pt")
    assert (best["kind"], best["network"], best["longest_side"]) == ("deeplab", "efficientnet_lite0", 66)
    assert not best["multi_scale"]
    assert best["classes"] == {"names": ["cat", "dog"], "indices": [8, 12]}
    build_deeplab(best["network"], 3).load_state_dict(best["model"])
    predict = load_deeplab(config.run, device="cpu", precision="fp32")
    label = predict(config.images[0] / "p0.png")
    assert label.shape == (40, 50) and set(np.unique(label)) <= {0, 8, 12}
    # what was trained on is told, and kept with the run; the whole manifest is in the log alone
    log = (config.run / "log.txt").read_text()
    for text in (stream.getvalue(), log):
        assert f"{config.labels}: 4 pictures: cat 4 (pseudo labels, 0 % unknown pixels)\n" in text
    assert '{"kind": "pseudo", "classes": ["cat", "dog"], "weights_sha256": "abc"}\n' in log
    assert "abc" not in stream.getvalue()


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(config: DeepLabTrainConfig) -> None:
    def trained(name: str, **changes: Any) -> Tensor:
        run = config.run.parent / name
        deeplab_train(replace(config, run=run, **changes), Events(io.StringIO()))
        model: dict[str, Tensor] = load_checkpoint(run / "checkpoints" / "last.pt")["model"]
        return model["head.classifier.weight"]

    first = trained("a")
    assert torch.equal(first, trained("b", workers=2))
    assert not torch.equal(first, trained("c", seed=1))


def test_a_batch_is_a_function_of_the_step(config: DeepLabTrainConfig) -> None:
    labels = LabelFolder(config.labels, CLASSES)
    make, again = (DeepLabBatches(training_pictures(config, labels), config, 3, HERE) for _ in range(2))
    again(0)
    images, targets, in_picture, confidence = make(5)
    assert confidence is None and in_picture.shape == (3, len(CLASSES.names)) and in_picture.any()
    assert images.shape == (3, 3, 33, 33) and images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert targets.shape == (3, 33, 33) and set(targets.unique().tolist()) <= {0, 1, 255}
    assert torch.equal(images, again(5)[0]) and torch.equal(targets, again(5)[1])
    assert not torch.equal(images, make(6)[0])


@pytest.mark.parametrize("loss", ["plain", "balanced", "bootstrapped"])
def test_a_batch_without_labels_leaves_the_network_as_it_is(config: DeepLabTrainConfig, loss: str) -> None:
    net = new_deeplab(config, CLASSES).train()
    images, nothing = torch.randint(0, 256, (2, 3, 33, 33), dtype=torch.uint8), torch.full((2, 33, 33), 255)
    unknown = torch.ones(2, len(CLASSES.names), dtype=torch.bool)
    total = losses(net, Batch(images, nothing, unknown), HERE.device, loss)["total"]
    total.backward()  # type: ignore[no-untyped-call]
    assert total.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_groups_hold_every_learning_parameter_once(config: DeepLabTrainConfig) -> None:
    net = new_deeplab(config, CLASSES)
    groups = parameter_groups(net, DEEPLAB_RECIPES["largefov"])
    ids = [id(p) for group in groups for p in group.parameters]
    assert len(ids) == len(set(ids)) and set(ids) == {id(p) for p in net.parameters() if p.requires_grad}
    rates = {id(p): (group.lr_scale, group.weight_decay) for group in groups for p in group.parameters}
    # the published factors: weights 1, new weights 10, new biases 20; biases without decay
    classifier = net.get_submodule("head.classifier")
    assert isinstance(classifier, nn.Conv2d) and classifier.bias is not None
    assert rates[id(classifier.weight)] == (10, 5e-4) and rates[id(classifier.bias)] == (20, 0)
    assert rates[id(net.get_parameter("trunk.net.blocks.5.0.conv_dw.weight"))] == (1, 5e-4)


def published(network: str) -> DeepLabTrainConfig:
    """The settings of a user who names the network and nothing else."""
    return DeepLabTrainConfig(images=Path("i"), labels=Path("l"), run=Path("r"), network=network)


def test_largefov_is_trained_as_published() -> None:
    recipe, config = deeplab_recipe("vgg16", None), published("vgg16")
    settings = loop_settings(config, recipe)
    assert (settings.lr, settings.steps, settings.batch_size) == (1e-3, 20_000, 10)
    assert (settings.optimizer, settings.momentum, settings.schedule) == ("sgd", 0.9, "poly")
    assert settings.clip_norm is None and settings.ema is None and settings.warmup == 0
    assert (config.crop, recipe.scales, recipe.recolour) == (321, (0.5, 0.75, 1.0, 1.25, 1.5), False)
    assert recipe.at_cells and not recipe.multi_scale
    assert settings.evaluate_every == 20_000
    # halfway the rate is 1e-3 times 0.5^0.9
    assert lr_factor("poly", 10_000, settings.steps) == pytest.approx(0.5**0.9)


def test_largefov_learns_at_the_published_rates() -> None:
    config = published("vgg16")
    net = build_deeplab("vgg16", 3)
    net._pretrained = ("fc6", "fc7")  # as with ImageNet's classifier
    rates = {}
    for group in parameter_groups(net, deeplab_recipe(config.network, config.recipe)):
        rates |= {id(parameter): (group.lr_scale, group.weight_decay) for parameter in group.parameters}
    expected = {"trunk": (1, 2), "head.fc6": (1, 2), "head.fc7": (1, 2), "head.fc8": (10, 20)}
    for name, parameter in net.named_parameters():
        weight, bias = next(factors for start, factors in expected.items() if name.startswith(start))
        assert rates[id(parameter)] == ((weight, 5e-4) if name.endswith("weight") else (bias, 0)), name


def test_deeplab_v2_is_trained_as_published() -> None:
    recipe, config = deeplab_recipe("resnet101", None), published("resnet101")
    settings = loop_settings(config, recipe)
    assert (settings.lr, settings.steps, settings.batch_size) == (2.5e-4, 20_000, 10)
    assert (settings.optimizer, settings.momentum, settings.schedule) == ("sgd", 0.9, "poly")
    assert (config.crop, recipe.scales, recipe.recolour) == (321, (), False)  # any scale from 0.5 to 1.5
    assert recipe.at_cells and recipe.multi_scale
    net = build_deeplab("resnet101", 3)
    rates = {}
    for group in parameter_groups(MultiScale(net), recipe):
        rates |= {id(parameter): (group.lr_scale, group.weight_decay) for parameter in group.parameters}
    learning = {name: p for name, p in net.named_parameters() if p.requires_grad}
    # no BatchNorm learns, so all that learns in the trunk are the weights of convolutions
    assert all(p.ndim == 4 and rates[id(p)] == (1, 5e-4) for name, p in learning.items() if name.startswith("trunk"))
    for rate in range(4):
        assert rates[id(learning[f"head.branches.{rate}.weight"])] == (10, 5e-4)
        assert rates[id(learning[f"head.branches.{rate}.bias"])] == (20, 0)
    assert len(rates) == len(learning)


def test_a_recipe_can_be_asked_for_and_flags_go_first() -> None:
    assert deeplab_recipe("efficientnet_lite0", None) is DEEPLAB_RECIPES["lite"]
    config = replace(published("efficientnet_lite0"), recipe="largefov", lr=0.5, steps=7, batch_size=3)
    assert deeplab_recipe(config.network, config.recipe) is DEEPLAB_RECIPES["largefov"]
    changed = loop_settings(replace(config, evaluate_every=2), deeplab_recipe(config.network, config.recipe))
    assert (changed.lr, changed.steps, changed.batch_size, changed.evaluate_every) == (0.5, 7, 3, 2)
    assert set(NETWORK_RECIPES) == set(NETWORKS)
    choices = choices_of(settings_of(DeepLabTrainConfig)["recipe"]), tuple(DEEPLAB_RECIPES)
    assert choices[0] == choices[1]
    assert choices_of(settings_of(DeepLabTrainConfig)["loss"]) == ("auto", *LOSSES, SOFT)


def test_crops_and_loss_follow_the_recipe(config: DeepLabTrainConfig) -> None:
    labels = LabelFolder(config.labels, CLASSES)
    config = replace(config, recipe="largefov", crop=60)
    images, targets, *_ = DeepLabBatches(training_pictures(config, labels), config, 8, HERE)(0)
    # pictures of 40 x 50 at their scales, all of each in view: at 1.5 60 of 75 pixels
    heights = [int((target != 255).any(1).sum()) for target in targets]
    assert set(heights) <= {20, 30, 40, 50, 60} and len(set(heights)) > 2
    colours = images.permute(0, 2, 3, 1)[targets == 0]
    assert (colours[:, 0] < 250).all() and (colours == torch.tensor([0, 0, 255])).all(1).float().mean() > 0.5

    class Ones(nn.Module):
        """At each of 4 x 4 cells of a crop of 25, p = 3/4 for class 0 of two; the second map is sure of nothing."""

        def forward(self, images: Tensor) -> list[Tensor]:
            sure = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1).expand(len(images), 2, 4, 4)
            return [sure, torch.zeros(len(images), 2, 2, 2)]

    target = torch.full((1, 25, 25), 255, dtype=torch.uint8)
    target[0, 0, 8], target[0, 1, 9] = 1, 0  # only the first lies under a cell of the first map, and none of the second
    batch = Batch(torch.zeros(1, 3, 25, 25, dtype=torch.uint8), target, torch.ones(1, 1, dtype=torch.bool))
    assert losses(Ones(), batch, HERE.device, at_cells=True)["total"].item() == pytest.approx(math.log(4))
    # compared pixel by pixel, both pixels count, and both maps
    expected = (math.log(4) + math.log(4 / 3)) / 2 + math.log(2)
    assert losses(Ones(), batch, HERE.device)["total"].item() == pytest.approx(expected)


@pytest.mark.slow
def test_a_run_at_several_scales_predicts_at_them_too(config: DeepLabTrainConfig) -> None:
    config = replace(config, recipe="v2-resnet101", val_voc=config.images[0].parent)
    result = deeplab_train(config, Events(io.StringIO()))
    best = load_checkpoint(config.run / "checkpoints" / "best.pt")
    assert best["multi_scale"]
    # the sum of four losses of three classes, at the start about log 3 each
    assert 3 < result["losses"]["total"] < 6
    predictor = load_deeplab(config.run, device="cpu", precision="fp32")
    assert isinstance(predictor.net, MultiScale)
    assert predictor(config.images[0] / "p0.png").shape == (40, 50)


@pytest.mark.slow
def test_pixels_count_by_their_confidence_where_it_is_asked_for(config: DeepLabTrainConfig) -> None:
    labels = LabelFolder(config.labels, CLASSES)
    with pytest.raises(InputError, match="confidence-missing"):
        training_pictures(replace(config, confidence=True), labels)
    for i in range(4):
        labels.write_confidence(f"p{i}", np.where(labels.read_label(f"p{i}") == 1, 51, 255).astype(np.uint8))
    weighed = replace(config, confidence=True)
    batch = DeepLabBatches(training_pictures(weighed, labels), weighed, 3, HERE)(0)
    targets, confidence = batch.targets, batch.confidence
    assert confidence is not None
    assert (confidence[targets == 1] == 51).all() and (confidence[targets == 0] == 255).all()

    class Even(nn.Module):
        """p = 3/4 for class 0 of three everywhere, and 1/8 for each other."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([0.75, 0.125, 0.125]).log().view(1, 3, 1, 1).expand(len(images), 3, 5, 5)

    cats, rest = int((targets == 1).sum()), int((targets == 0).sum())
    expected = (-0.2 * cats * math.log(0.125) - rest * math.log(0.75)) / (0.2 * cats + rest)
    total = losses(Even(), batch, HERE.device)["total"].item()
    assert cats and total == pytest.approx(expected, rel=1e-4)
    # soft: p0 to p3 show a cat each, so a cat is a cat with 0.2, or else background; sharpened, the odds of 1 / 4 are
    # (1 / 4 * 3 / 2) ^ 2.5
    sure = (3 / 8) ** 2.5 / (1 + (3 / 8) ** 2.5)
    soft = (cats * (-sure * math.log(0.125) - (1 - sure) * math.log(0.75)) - rest * math.log(0.75)) / (cats + rest)
    total = losses(Even(), batch, HERE.device, "soft")["total"].item()
    assert total == pytest.approx(soft, rel=1e-4)
    for settings in (
        replace(weighed, loss="bootstrapped", steps=1),
        replace(config, loss="soft", steps=1, run=config.run.with_name("soft")),
    ):
        result = deeplab_train(settings, Events(io.StringIO()))
        assert math.isfinite(result["losses"]["total"])


def test_validation_scores_the_val_pictures(config: DeepLabTrainConfig) -> None:
    voc = config.images[0].parent
    config = replace(config, val_voc=voc)
    assert validator(config, CLASSES)(Colours(), HERE.device) == {"miou": 1.0}
    # p0: half of the picture's 2000 pixels become unjudged; p3 cat (20:30 of 10:30) turns background:
    label = np.zeros((40, 50), np.uint8)
    label[:20] = 255
    write_palette_map(voc / "SegmentationClass" / "p0.png", label)
    label = np.zeros((40, 50), np.uint8)
    label[5:23, 10:20] = 8
    write_palette_map(voc / "SegmentationClass" / "p3.png", label)
    # cat: 18 x 10 right of 18 x 20 said; background: 1000 + (2000 - 360) right of that and the 180 missed
    expected = (180 / 360 + 2640 / 2820) / 2
    assert validator(config, CLASSES)(Colours(), HERE.device)["miou"] == pytest.approx(expected)


def test_validation_needs_every_file_before_training_starts(config: DeepLabTrainConfig) -> None:
    voc = config.images[0].parent
    (voc / "SegmentationClass" / "p3.png").unlink()
    with pytest.raises(InputError, match=r"p3\.png: no such file"):
        deeplab_train(replace(config, val_voc=voc), Events(io.StringIO()))
    assert not config.run.exists()


def test_unmarked_labels_are_taken_as_ground_truth_on_request_alone(config: DeepLabTrainConfig) -> None:
    masks = config.images[0].parent / "SegmentationClass"
    with pytest.raises(InputError, match="labels-unmarked"):
        deeplab_train(replace(config, labels=masks), Events(io.StringIO()))
    stream = io.StringIO()
    deeplab_train(replace(config, labels=masks, labels_are="ground-truth", steps=1), Events(stream))
    assert "ground truth" in stream.getvalue() and "20 classes" in stream.getvalue()


def test_only_listed_pictures_are_trained_on(config: DeepLabTrainConfig, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("p1\np2\n")
    listed = replace(config, list=tmp_path / "ids.txt")
    assert training_pictures(listed, LabelFolder(config.labels, CLASSES)).ids == ["p1", "p2"]
    LabelFolder(config.labels, CLASSES).label_path("p2").unlink()
    with pytest.raises(InputError, match=r"p2\.png: no such file.*\[label-missing\]"):
        deeplab_train(listed, Events(io.StringIO()))


def test_corrected_labels_are_other_data(config: DeepLabTrainConfig) -> None:
    labels = LabelFolder(config.labels, CLASSES, {"kind": "pseudo"})
    pictures = training_pictures(config, labels)
    before = data_of(labels, pictures)
    assert before == described_data(["p0", "p1", "p2", "p3"], '{"kind": "pseudo"}')  # as before there were reviews
    journal = config.labels / "review.jsonl"
    journal.write_text(json.dumps(action("reject")) + "\n")
    corrected = data_of(labels, pictures)
    assert corrected != before
    with pytest.raises(ConfigError, match=r"labels with other corrections given.*\[resume-differs\]"):
        require_same_data(Path("last.pt"), before, corrected)
    journal.write_text("".join(json.dumps(one) + "\n" for one in (action("reject"), action("undo", 1, of="id0"))))
    assert data_of(labels, pictures) == before  # what was taken back does not count


def test_weights_of_another_trunk_are_refused(config: DeepLabTrainConfig, tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"other\.pt: trunk weights do not fit .* is missing.*\[weights-damaged\]"):
        deeplab_train(replace(config, trunk_weights=str(tmp_path / "other.pt")), Events(io.StringIO()))


def test_the_settings_are_kept_with_the_run(config: DeepLabTrainConfig) -> None:
    deeplab_train(replace(config, steps=1), Events(io.StringIO()))
    assert json.loads((config.run / "config.json").read_text())["crop"] == 33
    with pytest.raises(ConfigError, match="run-exists"):
        deeplab_train(replace(config, steps=1), Events(io.StringIO()))


@pytest.mark.slow
def test_pixels_speak_for_themselves_where_presence_is_ignored(config: DeepLabTrainConfig) -> None:
    deeplab_train(replace(config, steps=1), Events(io.StringIO()))
    predictor = load_deeplab(config.run, device="cpu", precision="fp32")
    assert isinstance(predictor.net, DeepLab) and predictor.net.presence is not None
    with torch.no_grad():
        predictor.net.presence.bias.fill_(-20)
    picture = config.images[0] / "p0.png"
    held = predictor.probabilities(picture)
    assert held[0].min() > 0.99  # nothing is shown
    free = load_deeplab(config.run, ignore_presence=True, device="cpu", precision="fp32")
    assert free.probabilities(picture)[0].max() < 0.99


def test_a_training_that_diverges_names_its_pictures(config, monkeypatch):
    real, calls = losses, []

    def poisoned(*arguments):
        calls.append(1)
        found = real(*arguments)
        return {**found, "total": found["total"] * float("inf")} if len(calls) == 2 else found

    monkeypatch.setattr(deeplab_train_command, "losses", poisoned)
    run = replace(config, steps=3, batch_size=2)
    with pytest.raises(DivergedError, match="at step 1") as caught:
        deeplab_train(run, Events(io.StringIO()))
    expected = DeepLabBatches(training_pictures(run, LabelFolder(run.labels, CLASSES)), run, 2, HERE).pictures_of(1)
    assert caught.value.message.endswith(f"of the pictures of this step: {', '.join(expected)}")
    assert json.loads((run.run / "status.json").read_text())["pictures"] == expected
    assert load_checkpoint(run.run / "checkpoints" / "last.pt")["step"] == 1


def test_two_processes_see_the_batches_of_one(config):
    pictures = training_pictures(config, LabelFolder(config.labels, CLASSES))
    halves = [Processes(rank, 2, torch.device("cpu")) for rank in (0, 1)]
    for step in range(4):
        whole = DeepLabBatches(pictures, config, 4, HERE)(step)
        parts = [DeepLabBatches(pictures, config, 2, half)(step) for half in halves]
        for name in ("images", "targets", "in_picture"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
