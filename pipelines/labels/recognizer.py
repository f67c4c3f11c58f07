"""Whether a part of a picture looks like something that the keywords can mean, to ImageNet's classifier (ours).

Salient things are not always what the keyword names: a cushion beside the cat is found too, and gets the only keyword.
ImageNet's classifier has seen cushions by name. It is shown each instance on plain grey, so that the cat beside it
cannot speak for it, and small windows all over the picture, for cat and cushion may be one instance. It tells how
probable each is to be of a kind with the keywords. For an animal that is any animal: species are confused where
something is small or cut, animals and things hardly ever. People it has hardly seen by name, but much that they wear.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor, nn

from deeplab.build import build_classifier
from pipelines.data.synsets import class_of_synset
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError

_FIRST_THING = 2666196  # ImageNet-1k is in the order of its synsets: animals, then things from n02666196 (abacus) on
_ANIMALS = ("bird", "cat", "cow", "dog", "horse", "sheep")
_PERSON = "person"
# Of people ImageNet-1k has a scuba diver, a groom and a ball player alone, but it has what they wear: its names.
_WORN = """
    abaya; academic gown; apron; bathing cap; bearskin; bib; bikini; bolo tie; bonnet; bow tie; brassiere;
    bulletproof vest; cardigan; cloak; clog; cowboy boot; cowboy hat; crash helmet; diaper; feather boa;
    football helmet; fur coat; gown; hair slide; hoopskirt; jean; jersey; kimono; knee pad; lab coat; Loafer;
    maillot; military uniform; miniskirt; mitten; mortarboard; neck brace; necklace; overskirt; pajama;
    pickelhaube; poncho; running shoe; sandal; sarong; shower cap; ski mask; sock; sombrero; stole; suit;
    sunglass; sunglasses; sweatshirt; swimming trunks; trench coat; vestment; wig; Windsor tie
"""
_CLASSES = 1000
_SIDE = 224  # of an instance that is cut out
_WINDOW, _STEP = 96, 48  # pixels
_STEPS = 8, 64  # along the shorter side, so that a window has a quarter of it; at most along the longer one
_BATCH = 32
_MARGIN = 1.15  # side of the square that is cut out, as a share of the longer side of the mask
_GREY = 127


class Recognizer:
    """A callable: picture, masks and keywords -> how probably each mask is of a kind with the keywords."""

    def __init__(self, trunk: str, state: dict[str, Tensor] | None, device: torch.device, precision: str) -> None:
        """Builds ImageNet's classifier.

        Args:
            trunk: Any name of timm.
            state: Its weights, with those of the classifier.
            device: Where to compute.
            precision: `auto`, `fp32` or `bf16`.

        Raises:
            ConfigError: There are no weights of a classifier of ImageNet's 1,000 classes [recognise-unusable].
        """
        try:
            self.net: nn.Module = build_classifier(trunk, state).to(device)
        except ValueError as error:
            raise ConfigError(
                f"--recognise imagenet: {error}; take --trunk-weights imagenet, or leave it out", "recognise-unusable"
            ) from error
        self.device, self.precision = device, precision

    def __call__(
        self, picture: NDArray[np.uint8], masks: NDArray[np.bool_], keywords: Sequence[str]
    ) -> NDArray[np.float32]:
        """Look at each mask by itself, and at its mirror image.

        Args:
            picture: [H, W, 3] RGB.
            masks: [N, H, W], each with a pixel at least; N may be 0.
            keywords: All of the picture's.

        Returns:
            [N] in 0..1; all 1 where it is not known of every keyword what it would look like to ImageNet, and in
            pictures with people.
        """
        of_kind = kind_of(tuple(keywords))
        # What people wear also lies about: it tells windows apart, but of instances in pictures with people it would
        # turn down an eighth of the true ones and three fifths of the others, of which there are few.
        if of_kind is None or _PERSON in keywords or not len(masks):
            return np.ones(len(masks), np.float32)
        crops = torch.stack([self._cut_out(picture, mask) for mask in masks]).to(self.device)
        with torch.inference_mode(), autocast(self.precision, self.device):
            logits = (self.net(crops).float() + self.net(crops.flip(3)).float()) / 2
        probability: NDArray[np.float32] = logits.softmax(1).cpu().numpy()[:, of_kind].sum(axis=1)
        return probability

    def windows(self, picture: NDArray[np.uint8], keywords: Sequence[str]) -> NDArray[np.float32]:
        """Look at windows of a quarter of the shorter side, which overlap by half and know nothing of each other.

        Args:
            picture: [H, W, 3] RGB.
            keywords: K names.

        Returns:
            [K, h, w], h or w being 8: log-odds that what a window shows is of a kind with the keyword, for the cell in
            its middle; NaN for a keyword of which it is not known what it would look like to ImageNet.
        """
        kinds = [kind_of((keyword,)) for keyword in keywords]
        least, most = _STEPS
        shorter = min(picture.shape[:2])
        rows, columns = (min(most, round(least * side / shorter)) for side in picture.shape[:2])
        result = np.full((len(kinds), rows, columns), np.nan, np.float32)
        if all(kind is None for kind in kinds):
            return result
        image = torch.from_numpy(picture).to(self.device).permute(2, 0, 1)[None].float() / 255
        image = F.interpolate(image, (rows * _STEP, columns * _STEP), mode="bilinear", antialias=True)
        image = F.pad(image, (_STEP // 2,) * 4, mode="reflect")  # so that the middles of windows are those of cells
        # [1, 3, .., ..] -> [3, h, w, 96, 96] -> [h w, 3, 96, 96]
        cut = image[0].unfold(1, _WINDOW, _STEP).unfold(2, _WINDOW, _STEP).permute(1, 2, 0, 3, 4).flatten(0, 1)
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
        """[3, 224, 224] float 0..1: a square round the mask, grey outside of it."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
        side = int(_MARGIN * max(height, width)) + 1
        square = np.full((side, side, 3), _GREY, np.uint8)
        inside = slice(top, top + height), slice(left, left + width)
        y, x = (side - height) // 2, (side - width) // 2
        square[y : y + height, x : x + width] = np.where(mask[inside][..., None], picture[inside], _GREY)
        image = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
        return F.interpolate(image, (_SIDE, _SIDE), mode="bilinear", antialias=True)[0]


@cache
def kind_of(keywords: tuple[str, ...]) -> NDArray[np.bool_] | None:
    """Which of ImageNet's 1,000 classes are of a kind with one of the keywords [1000]; None if one is not known.

    Args:
        keywords: Names of VOC; for animals all animals are of a kind, for people what they wear, for things those that
            VOC would call so.
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
