"""DeepLabs of an earlier round as a witness of where a picture shows its keywords."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import predict
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList
from pipelines.engine.checkpoint import runs_in
from pipelines.errors import ConfigError


class Segmenter:
    """A callable: id, picture and keywords -> probabilities of background and these keywords alone.

    A network repeats the mistakes of the labels that it has learned from, so a picture is shown to those that left it
    out of their training, where there are any.
    """

    def __init__(self, config: PseudoLabelConfig, classes: ClassList) -> None:
        """Load the network, or all networks of a folder of runs.

        Args:
            config: with `segmenter`.
            classes: the class list of the labels.

        Raises:
            InputError: one cannot be loaded.
            ConfigError: one was trained for other classes [class-list-differs].
        """
        assert config.segmenter is not None
        self.networks = [self._load(run, config, classes) for run in runs_in(config.segmenter)]

    @staticmethod
    def _load(run: Path, config: PseudoLabelConfig, classes: ClassList) -> predict.DeepLabPredictor:
        network = predict.load_deeplab(run, device=config.device, precision=config.precision)
        # The keywords say which classes the picture shows; where the network doubts one, it shall not hold it down.
        network.ignore_presence()
        if network.classes != classes:
            known, wanted = ", ".join(network.classes.names), ", ".join(classes.names)
            raise ConfigError(
                f"{run}: trained for {known}, {wanted} expected; take a network of these classes",
                "class-list-differs",
            )
        return network

    def __call__(self, image_id: str, picture: NDArray[np.uint8], keywords: Sequence[int]) -> NDArray[np.float32]:
        """Read a picture and its mirror image.

        Args:
            image_id: tells which networks have not learned from it.
            picture: [H, W, 3] RGB.
            keywords: K positions in the class list.

        Returns:
            [1 + K, H, W] background first, summing to 1: a picture shows nothing but its keywords.
        """
        unbiased = [n for n in self.networks if n.left_out is not None and n.left_out.holds(image_id)]
        heard = unbiased or self.networks
        chosen = np.mean([n.probabilities(picture, flip=True)[[0, *(k + 1 for k in keywords)]] for n in heard], axis=0)
        restricted: NDArray[np.float32] = chosen / np.maximum(chosen.sum(axis=0), np.float32(1e-6))
        return restricted
