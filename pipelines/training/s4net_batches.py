"""The pictures that a step of `train` sees, with their instances."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pipelines.config import TrainConfig
from pipelines.data.coco import CocoPicture
from pipelines.data.images import open_working_picture
from pipelines.data.transforms import Augmentation, augment, paste
from pipelines.engine.distributed import Processes
from pipelines.engine.sampling import Draw, Epochs, sample_generator

Sample = tuple[Tensor, dict[str, Tensor]]
Batch = tuple[Tensor, list[dict[str, Tensor]]]

# The paper only flips. A network soon knows 500 pictures by heart; other sizes, places and colours delay that.
_PAPER_AUGMENTATION = Augmentation()
_MODERN_AUGMENTATION = Augmentation(scale=(0.6, 1.5), stretch=1.3, colour=0.25, scale_probability=0.8, paste=0.4)


class S4NetBatches:
    """The pure function step -> (images [B, 3, S, S] uint8, B targets)."""

    def __init__(self, pictures: list[CocoPicture], config: TrainConfig, batch_size: int, here: Processes) -> None:
        """Take what the batches depend on.

        Args:
            pictures: The pictures with their instances.
            config: Settings of the training.
            batch_size: Pictures per step and process.
            here: This process among those of the training.
        """
        self._pictures, self._config, self._batch_size, self._here = pictures, config, batch_size, here
        self._augmentation = _MODERN_AUGMENTATION if config.preset == "modern" else _PAPER_AUGMENTATION
        self._pasted = replace(self._augmentation, scale=self._augmentation.paste_scale, scale_probability=1.0)
        self._epochs = Epochs(len(pictures), config.seed)

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, for this process."""
        draws = self._epochs.batch(step, self._batch_size, self._here.rank, self._here.world)
        samples = [self._drawn(draw)[0] for draw in draws]
        return torch.stack([image for image, _ in samples]), [target for _, target in samples]

    def pictures_of(self, step: int) -> list[str]:
        """Return the ids of the pictures that all processes together see in a step, also those pasted into others."""
        draws = self._epochs.batch(step, self._batch_size * self._here.world)
        return [image_id for draw in draws for image_id in self._drawn(draw)[1]]

    def _drawn(self, draw: Draw) -> tuple[Sample, list[str]]:
        """Return an item of a batch, and the ids of the pictures that it was made of."""
        generator, first = sample_generator(self._config.seed, draw), self._pictures[draw.item]
        sample, ids = self._sample(first, self._augmentation, generator), [first.image_id]
        if self._augmentation.paste and generator.random() < self._augmentation.paste:
            other = self._pictures[generator.integers(len(self._pictures))]
            sample = paste(*sample, *self._sample(other, self._pasted, generator), generator)
            ids.append(other.image_id)
        return sample, ids

    def _sample(self, picture: CocoPicture, augmentation: Augmentation, generator: np.random.Generator) -> Sample:
        pixels, _ = open_working_picture(picture.path)
        return augment(pixels, picture.working().masks(), self._config.image_size, augmentation, generator)
