"""The DeepLab of an earlier round, as a witness of where a picture shows its keywords."""

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList, Keywords
from pipelines.errors import ConfigError
from pipelines.networks import load

SEGMENTER_WEIGHT = 1.0
"""Weight of this witness; instances have 1. With 2, labels were better, but not the DeepLab that learned from them."""


class Segmenter:
    """A callable: (image_id, picture, keywords) -> probabilities of background and these keywords alone."""

    def __init__(self, config: PseudoLabelConfig, classes: ClassList) -> None:
        """Load the network.

        Args:
            config: Settings of the labels, with `segmenter` set.
            classes: The class list of the labels.

        Raises:
            InputError: The network cannot be loaded.
            ConfigError: The network was trained for other classes [class-list-differs].
        """
        assert config.segmenter is not None
        # The keywords say which classes the picture shows. A class that the network doubts must not be held down.
        self.network = load.load_deeplab(
            config.segmenter, ignore_presence=True, device=config.device, precision=config.precision
        )
        if self.network.classes != classes:
            known, wanted = ", ".join(self.network.classes.names), ", ".join(classes.names)
            raise ConfigError(
                f"{config.segmenter}: trained for {known}, {wanted} expected; take a network of these classes",
                "class-list-differs",
            )

    def __call__(self, image_id: str, picture: NDArray[np.uint8], keywords: Keywords) -> NDArray[np.float32]:
        """Return the network's probabilities, averaged over the picture and its mirror image.

        Args:
            image_id: Not needed.
            picture: [H, W, 3] RGB.
            keywords: The K keywords of the picture.

        Returns:
            [1 + K, H, W], background first. They sum to 1, since a picture shows nothing but its keywords.
        """
        chosen = self.network.probabilities(picture, flip=True)[[0, *keywords.positions]]
        restricted: NDArray[np.float32] = chosen / np.maximum(chosen.sum(axis=0), np.float32(1e-6))
        return restricted
