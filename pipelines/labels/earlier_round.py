"""A DeepLab of an earlier round as a witness of where a picture shows its keywords."""

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList, Keywords
from pipelines.errors import ConfigError
from pipelines.networks import load

SEGMENTER_WEIGHT = 1.0
"""Of this witness, where that of the instances is 1. With 2 labels were better, but not what learned from them."""


class Segmenter:
    """A callable: id, picture and keywords -> probabilities of background and these keywords alone."""

    def __init__(self, config: PseudoLabelConfig, classes: ClassList) -> None:
        """Load the network.

        Args:
            config: With `segmenter`.
            classes: The class list of the labels.

        Raises:
            InputError: It cannot be loaded.
            ConfigError: It was trained for other classes [class-list-differs].
        """
        assert config.segmenter is not None
        self.network = load.load_deeplab(config.segmenter, device=config.device, precision=config.precision)
        # The keywords say which classes the picture shows; where the network doubts one, it shall not hold it down.
        self.network.ignore_presence()
        if self.network.classes != classes:
            known, wanted = ", ".join(self.network.classes.names), ", ".join(classes.names)
            raise ConfigError(
                f"{config.segmenter}: trained for {known}, {wanted} expected; take a network of these classes",
                "class-list-differs",
            )

    def __call__(self, image_id: str, picture: NDArray[np.uint8], keywords: Keywords) -> NDArray[np.float32]:
        """Read a picture and its mirror image.

        Args:
            image_id: Not needed.
            picture: [H, W, 3] RGB.
            keywords: The picture's K keywords.

        Returns:
            [1 + K, H, W] background first, summing to 1: a picture shows nothing but its keywords.
        """
        chosen = self.network.probabilities(picture, flip=True)[[0, *keywords.positions]]
        restricted: NDArray[np.float32] = chosen / np.maximum(chosen.sum(axis=0), np.float32(1e-6))
        return restricted
