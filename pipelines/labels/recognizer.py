"""Asks ImageNet's classifier whether part of a picture looks like something that the keywords can mean (ours).

Salient things are not always what the keyword names. A cushion beside the cat is found too, and gets the only keyword.
ImageNet's classifier knows cushions by name. It is shown each instance alone on grey, so that the cat beside the
cushion does not count. Cat and cushion may also be one instance, so it is shown small windows all over the picture too.

The answer is how probably the instance, or the window, is of a kind with the keywords. For an animal, all animals are
of a kind. Of something small or cut, the classifier confuses the species, but hardly ever an animal with a thing.
ImageNet names hardly any people, but much that people wear.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor

from deeplab.build import build_classifier
from pipelines.config import PseudoLabelConfig
from pipelines.data.synsets import class_of_synset
from pipelines.data.working_size import WorkingSize
from pipelines.engine.distributed import choose_device
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_weights import trunk_state
from s4net.cpu import make_fast

_FIRST_THING = 2666196  # n02666196, abacus: in ImageNet-1k the numbers of animals are lower than those of things
_ANIMALS = ("bird", "cat", "cow", "dog", "horse", "sheep")
_PERSON = "person"
# ImageNet-1k has three people: a scuba diver, a groom and a ball player. It has many things that people wear:
_WORN = """
    abaya; academic gown; apron; bathing cap; bearskin; bib; bikini; bolo tie; bonnet; bow tie; brassiere;
    bulletproof vest; cardigan; cloak; clog; cowboy boot; cowboy hat; crash helmet; diaper; feather boa;
    football helmet; fur coat; gown; hair slide; hoopskirt; jean; jersey; kimono; knee pad; lab coat; Loafer;
    maillot; military uniform; miniskirt; mitten; mortarboard; neck brace; necklace; overskirt; pajama;
    pickelhaube; poncho; running shoe; sandal; sarong; shower cap; ski mask; sock; sombrero; stole; suit;
    sunglass; sunglasses; sweatshirt; swimming trunks; trench coat; vestment; wig; Windsor tie
"""
_CLASSES = 1000
_SIDE = 224  # pixels, of the square that shows an instance
_WINDOW = 96  # pixels, side of a window
_WINDOWS = 4, 32  # windows along the shorter side; most windows along the longer side
_BATCH = 32  # windows or instances
_MARGIN = 1.15  # side of the square round an instance, divided by the longer side of the mask
_GREY = 127
_LONGEST_CUT = 4096  # pixels of the longer side of an instance that is judged as it is


class Recognizer:
    """A callable: (picture, masks, keywords) -> probability that each mask is of a kind with the keywords."""

    def __init__(self, trunk: str, state: dict[str, Tensor] | None, device: torch.device, precision: str) -> None:
        """Build ImageNet's classifier.

        Args:
            trunk: As in `resolve_trunk`.
            state: Weights of the trunk and its classifier.
            device: Where to compute.
            precision: `auto`, `fp32` or `bf16`.

        Raises:
            ConfigError: The weights have no classifier of ImageNet's 1,000 classes [recognise-unusable].
        """
        try:
            self.net = build_classifier(resolve_trunk(trunk), state).to(device)
        except ValueError as error:
            raise ConfigError(
                f"--recognise imagenet: {error}; take --trunk-weights imagenet, or leave out --recognise",
                "recognise-unusable",
            ) from error
        make_fast(self.net, self.net, self.net)
        self.device, self.precision = device, precision

    def __call__(
        self, picture: NDArray[np.uint8], masks: NDArray[np.bool_], keywords: Sequence[str]
    ) -> NDArray[np.float32]:
        """Judge each instance alone on grey.

        Args:
            picture: [H, W, 3] RGB.
            masks: [N, H, W], each with at least one pixel; N may be 0.
            keywords: All keywords of the picture.

        Returns:
            [N] float32 in 0..1. All are 1 unless every keyword is an animal.
        """
        of_kind = kind_of(tuple(keywords))
        # 398 classes of ImageNet are animals, but one or two are tables or motorbikes. Judged by these few, a quarter
        # of the true pixels of bottles and motorbikes would be turned down. Clothes, which stand for people, also lie
        # about. They all serve to tell windows apart.
        if of_kind is None or not set(keywords) <= set(_ANIMALS) or not len(masks):
            return np.ones(len(masks), np.float32)
        crops = torch.stack([self._cut_out(picture, mask) for mask in masks]).to(self.device)
        with torch.inference_mode(), autocast(self.precision, self.device):
            logits = torch.cat([self.net(part).float() for part in torch.split(crops, _BATCH)])
        probability: NDArray[np.float32] = logits.softmax(1).cpu().numpy()[:, of_kind].sum(axis=1)
        return probability

    def windows(self, picture: NDArray[np.uint8], keywords: Sequence[str]) -> NDArray[np.float32]:
        """Judge windows all over the picture, each alone.

        A window spans a quarter of the picture's shorter side. Windows lie side by side and cover the picture.

        Args:
            picture: [H, W, 3] RGB.
            keywords: Names of the K keywords.

        Returns:
            [K, h, w] float32, where the shorter of h and w is 4, the longer at most 32. Each value is the log-odds that
            the window there is of a kind with the keyword. NaN for a keyword that has no kind in ImageNet.
        """
        kinds = [kind_of((keyword,)) for keyword in keywords]
        least, most = _WINDOWS
        shorter = min(picture.shape[:2])
        rows, columns = (min(most, round(least * side / shorter)) for side in picture.shape[:2])
        result = np.full((len(kinds), rows, columns), np.nan, np.float32)
        if all(kind is None for kind in kinds):
            return result
        image = torch.from_numpy(picture).to(self.device).permute(2, 0, 1)[None].float() / 255
        image = F.interpolate(image, (rows * _WINDOW, columns * _WINDOW), mode="bilinear", antialias=True)
        # [1, 3, .., ..] -> [3, h, w, 96, 96] -> [h w, 3, 96, 96]
        cut = image[0].unfold(1, _WINDOW, _WINDOW).unfold(2, _WINDOW, _WINDOW).permute(1, 2, 0, 3, 4).flatten(0, 1)
        with torch.inference_mode(), autocast(self.precision, self.device):
            logits = torch.cat([self.net(part).float() for part in torch.split(cut, _BATCH)]).cpu()
        for own, kind in zip(result, kinds, strict=True):
            if kind is not None:
                inside = torch.from_numpy(kind)
                odds = logits[:, inside].logsumexp(dim=1) - logits[:, ~inside].logsumexp(dim=1)
                own[:] = odds.reshape(rows, columns).numpy()
        return result

    @staticmethod
    def _cut_out(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Tensor:
        """Return [3, 224, 224] float in 0..1: a square round the mask, grey outside the mask."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        cut = np.where(mask[inside][..., None], picture[inside], np.uint8(_GREY))
        # The square round a mask of 1 x 16000 pixels would take gigabytes.
        cut = WorkingSize.of((cut.shape[0], cut.shape[1]), longest_side=_LONGEST_CUT).reduce(cut)
        height, width = cut.shape[:2]
        side = int(_MARGIN * max(height, width)) + 1
        square = np.full((side, side, 3), _GREY, np.uint8)
        y, x = (side - height) // 2, (side - width) // 2
        square[y : y + height, x : x + width] = cut
        image = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
        return F.interpolate(image, (_SIDE, _SIDE), mode="bilinear", antialias=True)[0]


def open_recognizer(config: PseudoLabelConfig) -> Recognizer:
    """Return ImageNet's classifier for `--recognise`, with the weights of `--trunk-weights`.

    Raises:
        ConfigError: The trunk is unknown [trunk-unusable], or the weights hold no classifier [recognise-unusable].
    """
    state = trunk_state(resolve_trunk(config.trunk), config.trunk_weights)
    return Recognizer(config.trunk, state, choose_device(config.device), config.precision)


@cache
def kind_of(keywords: tuple[str, ...]) -> NDArray[np.bool_] | None:
    """Mark the classes of ImageNet that are of a kind with at least one keyword.

    All animals are of a kind with an animal. People, and what people wear, are of a kind with `person`. With a thing,
    those classes are of a kind that VOC calls by the same name.

    Args:
        keywords: Names of classes; only VOC's names have a kind.

    Returns:
        [1000] bool; None if a keyword has no kind.
    """
    info = ImageNetInfo()
    synsets = [info.index_to_label_name(index) for index in range(_CLASSES)]
    result = np.zeros(len(synsets), bool)
    for keyword in keywords:
        if keyword in _ANIMALS:
            own = np.array([int(synset[1:]) < _FIRST_THING for synset in synsets])
        else:
            own = np.array([class_of_synset(synset) == keyword for synset in synsets])
        if keyword == _PERSON:
            worn = {name.strip() for name in _WORN.split(";")}
            own |= np.array([info.index_to_description(index).split(",")[0] in worn for index in range(_CLASSES)])
        if not own.any():
            return None
        result |= own
    return result
