"""The crops that a step of `deeplab-train` sees, and their losses."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deeplab import pixel_loss, presence_loss, sharpened, soft_loss
from pipelines.config import DeepLabTrainConfig
from pipelines.config.recipes import deeplab_recipe
from pipelines.data.label_crops import LabelledPictures, random_crop
from pipelines.engine.distributed import Processes
from pipelines.engine.sampling import Epochs, repeat_factors, sample_generator

SOFT = "soft"
# Largest repeat factor from which classes count as rare: the rarest is shown by less than 0.64 of the mean share. Sets
# that are even by intent have 1.04 and 1.09, and gain nothing by other draws. A set with a long tail has 2.0.
RARE_FACTOR = 1.25


class Batch(NamedTuple):
    """Crops of pictures.

    Attributes:
        images: [B, 3, S, S] uint8.
        targets: [B, S, S] uint8, positions in the class list or 255.
        in_picture: [B, C] bool, the classes that the whole picture shows, without background.
        confidence: [B, S, S] uint8, 255 = certain; None if not asked for.
    """

    images: Tensor
    targets: Tensor
    in_picture: Tensor
    confidence: Tensor | None = None


class DeepLabBatches:
    """The pure function step -> batch, so that a resumed run sees the same batches."""

    def __init__(
        self, pictures: LabelledPictures, config: DeepLabTrainConfig, batch_size: int, here: Processes
    ) -> None:
        """Take what the batches depend on.

        Args:
            pictures: The pictures, checked.
            config: Settings of the training.
            batch_size: Pictures per step and process.
            here: This process among those of the training.
        """
        self._pictures, self._config, self._batch_size, self._here = pictures, config, batch_size, here
        self._recipe = deeplab_recipe(config.network, config.recipe)
        self._epochs = Epochs(len(pictures), config.seed, repeats_of(config, pictures.classes_shown()))

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, for this process."""
        config, recipe, crops = self._config, self._recipe, []
        for draw in self._epochs.batch(step, self._batch_size, self._here.rank, self._here.world):
            generator = sample_generator(config.seed, draw)
            crops.append(random_crop(self._pictures[draw.item], config.crop, generator, recipe.scales, recipe.recolour))
        images, labels = (torch.from_numpy(np.stack(part)) for part in zip(*(crop[:2] for crop in crops), strict=True))
        confidence = [crop.confidence for crop in crops if crop.confidence is not None]
        return Batch(
            images.permute(0, 3, 1, 2),  # [B, S, S, 3] -> [B, 3, S, S], which is channels_last in memory
            labels,
            torch.from_numpy(np.stack([crop.in_picture for crop in crops])),
            torch.from_numpy(np.stack(confidence)) if confidence else None,
        )

    def pictures_of(self, step: int) -> list[str]:
        """Return the ids of the pictures that all processes together see in a step."""
        draws = self._epochs.batch(step, self._batch_size * self._here.world)
        return [self._pictures.ids[draw.item] for draw in draws]


def repeats_of(config: DeepLabTrainConfig, shown: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return how often each picture is to come in an epoch; None: once.

    Unless asked otherwise, rare classes are drawn more often where there are any, and not in the published recipes.
    """
    recipe = deeplab_recipe(config.network, config.recipe)
    if config.sampling == "uniform" or (config.sampling == "auto" and not recipe.repeats_rare):
        return None
    factors = repeat_factors(shown)
    is_even = factors is None or factors.max() < RARE_FACTOR
    return None if config.sampling == "auto" and is_even else factors


def losses(
    net: nn.Module, batch: Batch, device: torch.device, loss: str = "plain", at_cells: bool = False
) -> dict[str, Tensor]:
    """Return the losses of a batch.

    Args:
        net: Images -> logits, or a list of logits (one for each scale), or logits and presence logits of the classes.
        batch: See `Batch`.
        device: Device of the network.
        loss: A name of `deeplab.losses.LOSSES`, or "soft".
        at_cells: As in `pixel_loss`.

    Returns:
        total: The loss to minimise. It is summed over the scales if there are several.
        pixels, presence: The two parts of the total. Only a network with presence logits has them.
    """
    images, labels = batch.images.to(device, non_blocking=True), batch.targets.to(device, non_blocking=True).long()
    sure = None if batch.confidence is None else batch.confidence.to(device, non_blocking=True).float() / 255
    in_picture = batch.in_picture.to(device, non_blocking=True)

    def cost(logits: Tensor) -> Tensor:
        if loss == SOFT:
            assert sure is not None
            return soft_loss(logits, labels, sharpened(sure, labels), in_picture, at_cells)
        return pixel_loss(logits, labels, sure, loss, at_cells)

    result = net(images.float().div_(255))
    if not isinstance(result, tuple):
        scales = result if isinstance(result, list) else [result]
        return {"total": torch.stack([cost(each) for each in scales]).sum()}
    logits, shown = result
    pixels = cost(logits)
    presence = presence_loss(shown, labels, in_picture)
    return {"total": pixels + presence, "pixels": pixels, "presence": presence}
