import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from deeplab.build import build_attention
from pipelines.data.classes import ClassList, Keywords
from pipelines.errors import ConfigError, InputError, MachineError
from pipelines.events import Events
from pipelines.labels import attention as attention_maps
from pipelines.labels.attention import AttentionMaps, attention_fingerprint, load_attention, train_attention
from s4net.cpu.packing import PackedConv2d

TRUNK = "timm/mobilenetv3_small_050"  # small and, with random weights, good enough to tell colours apart
CLASSES = ClassList.from_names(["red", "green"])
CPU = torch.device("cpu")
BOTH = CLASSES.keywords(["red", "green"])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_maps, "_SIZE", 64)


def picture_of(words: tuple[str, ...], number: int) -> np.ndarray:
    """Make a grey picture with noise; red things lie on the left, green ones on the right."""
    picture = np.random.default_rng(number).integers(60, 120, (48, 64, 3), np.uint8)
    if "red" in words:
        picture[8:40, 4:24] = (230, 20, 20)
    if "green" in words:
        picture[8:40, 40:60] = (20, 230, 20)
    return picture


@pytest.fixture
def data(tmp_path: Path) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    kinds = [("red",), ("green",), ("red", "green")]
    keywords = {f"p{number:02d}": kinds[number % 3] for number in range(18)}
    images = {}
    for number, (image_id, words) in enumerate(keywords.items()):
        images[image_id] = tmp_path / f"{image_id}.png"
        Image.fromarray(picture_of(words, number)).save(images[image_id])
    return images, keywords


def keywords_of(names: dict[str, tuple[str, ...]]) -> dict[str, Keywords]:
    return {image_id: CLASSES.keywords(own) for image_id, own in names.items()}


def train(images: dict[str, Path], keywords: dict[str, tuple[str, ...]]) -> AttentionMaps:
    return train_attention(images, keywords_of(keywords), CLASSES, TRUNK, None, Events(), seed=0, precision="fp32")


def test_the_classifier_learns_the_keywords_and_its_maps_are_on_one_scale(data):
    images, keywords = data
    maps = train(images, keywords)
    right = []
    for number, words in enumerate(keywords.values()):
        tensor = torch.from_numpy(picture_of(words, number)).permute(2, 0, 1)[None].float() / 255
        logits = maps.net(torch.nn.functional.interpolate(tensor, (64, 64), mode="bilinear"))[0]
        right += [bool(logit > 0) == (name in words) for logit, name in zip(logits, CLASSES.names, strict=True)]
    assert np.mean(right) > 0.9
    # `unit` is the mean, over all 18 pictures, of the highest log-odds of present keywords. So the highest value of the
    # maps is 1 in the mean.
    peaks = [
        maps(picture_of(words, number), CLASSES.keywords(words)).max(axis=(1, 2))
        for number, words in enumerate(keywords.values())
    ]
    assert np.concatenate(peaks).mean() == pytest.approx(1, rel=1e-4)


def test_maps_have_one_channel_a_keyword_at_the_aspect_of_the_picture(data, monkeypatch: pytest.MonkeyPatch):
    maps = train(*data)
    monkeypatch.setattr(attention_maps, "_SIZE", 96)
    result = maps(np.zeros((40, 90, 3), np.uint8), CLASSES.keywords(["green"]))
    # As large as 96 x 96, the picture is 64 x 144 pixels; in multiples of 32 it is 64 x 128.
    assert result.shape[0] == 1 and result.shape[2] == 2 * result.shape[1]
    assert result.dtype == np.float32


def test_features_and_maps_are_those_of_the_plain_network(data):
    maps = train(*data)
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    found, seen = maps.look(picture, CLASSES.keywords(["green"]))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        plain = build_attention("mobilenetv3_small_050", 2).eval()  # neither folded nor packed
        plain.classifier.load_state_dict(maps.net.classifier.state_dict())
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        # As large as 64 x 64, the picture is 52.3 x 78.4 pixels; at least 64, and in multiples of 32, it is 64 x 64.
        image = torch.nn.functional.interpolate(image, (64, 64), mode="bilinear", antialias=True)
        features = plain.trunk(image)[-1]
        evidence = plain.classifier(features)[0, 1]
    np.testing.assert_allclose(seen, features[0], atol=1e-4)
    np.testing.assert_allclose(found[0], evidence / maps.unit, atol=1e-4)
    assert any(isinstance(layer, PackedConv2d) for layer in maps.net.trunk.modules())


def test_training_is_repeatable_and_survives_its_file(data, tmp_path: Path):
    images, keywords = data
    first, second = train(images, keywords), train(images, keywords)
    first.save(tmp_path / "a.safetensors", "print")
    second.save(tmp_path / "b.safetensors", "print")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_attention(tmp_path / "a.safetensors", "print", CLASSES, TRUNK, None, 0, CPU, "fp32")
    assert loaded is not None
    picture = picture_of(("green",), 1)
    assert np.array_equal(loaded(picture, BOTH), first(picture, BOTH))


def test_a_file_of_another_fingerprint_or_none_is_not_loaded(data, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    assert load_attention(path, "print", CLASSES, TRUNK, None, 0, CPU) is None
    train(*data).save(path, "print")
    assert load_attention(path, "other", CLASSES, TRUNK, None, 0, CPU) is None
    path.write_bytes(path.read_bytes()[:50])
    assert load_attention(path, "print", CLASSES, TRUNK, None, 0, CPU) is None


def test_a_damaged_byte_makes_a_file_that_is_not_loaded_or_changes_nothing(tmp_path: Path, monkeypatch):
    net = attention_maps._new_net(TRUNK, 2, None, 0, CPU)
    monkeypatch.setattr(attention_maps, "_new_net", lambda *_: net)
    weight, path, dice = net.classifier.weight.clone(), tmp_path / "a.safetensors", random.Random(0)
    AttentionMaps(net, 2.5, CPU, "fp32").save(path, "print")
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in dice.sample(range(header), 80) + dice.sample(range(header, len(content)), 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ dice.randrange(1, 256)]) + content[place + 1 :])
        loaded = load_attention(path, "print", CLASSES, TRUNK, None, 0, CPU)
        assert loaded is None or (loaded.unit == 2.5 and torch.equal(loaded.net.classifier.weight, weight)), place


def test_a_store_that_does_not_answer_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> None:
        raise MachineError(f"{path}: network gone", "address-failed")

    (tmp_path / "a.safetensors").touch()
    monkeypatch.setattr(attention_maps, "local_copy", fails)
    with pytest.raises(MachineError, match="address-failed"):
        load_attention(tmp_path / "a.safetensors", "print", CLASSES, TRUNK, None, 0, CPU)


def test_a_file_of_an_earlier_version_has_no_hash_and_is_loaded(tmp_path: Path):
    net = attention_maps._new_net(TRUNK, 2, None, 0, CPU)
    tensors = {"weight": net.classifier.weight.clone(), "bias": torch.zeros(2), "unit": torch.tensor(2.5)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"fingerprint": "print"})
    loaded = load_attention(tmp_path / "a.safetensors", "print", CLASSES, TRUNK, None, 0, CPU)
    assert loaded is not None and loaded.unit == 2.5


def test_the_fingerprint_follows_every_input():
    keywords = {"a": CLASSES.keywords(["red"])}
    state = {"w": torch.ones(2)}
    reference = attention_fingerprint(keywords, CLASSES, TRUNK, state, 0)
    assert reference == attention_fingerprint(dict(keywords), CLASSES, TRUNK, {"w": torch.ones(2)}, 0)
    others = [
        attention_fingerprint({"a": CLASSES.keywords(["green"])}, CLASSES, TRUNK, state, 0),
        attention_fingerprint(keywords, ClassList.from_names(["red"]), TRUNK, state, 0),
        attention_fingerprint(keywords, CLASSES, "vgg16", state, 0),
        attention_fingerprint(keywords, CLASSES, TRUNK, {"w": torch.zeros(2)}, 0),
        attention_fingerprint(keywords, CLASSES, TRUNK, None, 0),
        attention_fingerprint(keywords, CLASSES, TRUNK, state, 1),
    ]
    assert len({reference, *others}) == 7


def test_a_damaged_picture_is_left_out_of_the_training(data, capsys: pytest.CaptureFixture[str]):
    images, keywords = data
    images["p03"].write_bytes(b"")
    train(images, keywords)
    assert "p03" in capsys.readouterr().err


def test_no_readable_picture_and_no_such_trunk_are_named(data):
    images, keywords = data
    with pytest.raises(ConfigError, match=r"\[trunk-unusable\]"):
        train_attention(images, keywords_of(keywords), CLASSES, "timm/nonsense", None, Events(), seed=0)
    for path in images.values():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"\[keywords-none\]"):
        train(images, keywords)
