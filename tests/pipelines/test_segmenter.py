from pathlib import Path

import numpy as np
import pytest

from pipelines import predict
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList
from pipelines.data.folds import Fold
from pipelines.segmenter import Segmenter

CLASSES = ClassList.from_names(["cat", "dog"])
PICTURE = np.zeros((1, 1, 3), np.uint8)


class Network:
    """Gives every pixel the same probabilities."""

    classes = CLASSES

    def __init__(self, probabilities: list[float], left_out: Fold | None = None) -> None:
        self.given, self.left_out = np.float32(probabilities)[:, None, None], left_out

    def ignore_presence(self) -> None:
        """It has none."""

    def probabilities(self, picture: np.ndarray, flip: bool) -> np.ndarray:
        assert flip
        return self.given


def segmenter(monkeypatch: pytest.MonkeyPatch, folder: Path, **networks: Network) -> Segmenter:
    for name in networks:
        (folder / name / "checkpoints").mkdir(parents=True)
    monkeypatch.setattr(predict, "load_deeplab", lambda run, **_: networks[run.name])
    return Segmenter(PseudoLabelConfig(images=folder, weights=folder, out=folder, segmenter=folder), CLASSES)


def test_a_picture_is_shown_to_the_network_that_has_not_learned_from_it(monkeypatch, tmp_path):
    first, second = Network([0.8, 0.1, 0.1], Fold(0, 2)), Network([0.2, 0.6, 0.2], Fold(1, 2))
    ask = segmenter(monkeypatch, tmp_path, first=first, second=second)
    # By CRC-32, d is in the first of two parts, and a in the second; cat alone is left of two keywords.
    np.testing.assert_allclose(ask("d", PICTURE, [0]).ravel(), [8 / 9, 1 / 9], rtol=1e-6)
    np.testing.assert_allclose(ask("a", PICTURE, [0]).ravel(), [0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(ask("a", PICTURE, [1, 0]).ravel(), [0.2, 0.2, 0.6], rtol=1e-6)


def test_several_networks_that_have_learned_from_all_pictures_are_averaged(monkeypatch, tmp_path):
    ask = segmenter(monkeypatch, tmp_path, one=Network([0.8, 0.2, 0.0]), two=Network([0.4, 0.6, 0.0]))
    np.testing.assert_allclose(ask("a", PICTURE, [0]).ravel(), [0.6, 0.4], rtol=1e-6)


def test_a_picture_that_no_network_left_out_is_shown_to_all(monkeypatch, tmp_path):
    first, second = Network([0.8, 0.2, 0.0], Fold(1, 3)), Network([0.4, 0.6, 0.0], Fold(2, 3))
    ask = segmenter(monkeypatch, tmp_path, first=first, second=second)
    # CRC-32 modulo 3 of a is 0, of b is 2
    np.testing.assert_allclose(ask("a", PICTURE, [0]).ravel(), [0.6, 0.4], rtol=1e-6)
    np.testing.assert_allclose(ask("b", PICTURE, [0]).ravel(), [0.4, 0.6], rtol=1e-6)
