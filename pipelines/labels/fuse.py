"""Parts of a label map: what instances say, what a segmentation network says, what attention fills in, what is open."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from pipelines.labels.assign import UNASSIGNED, interpolation

FILLED_CONFIDENCE = 128
"""Of a pixel that attention filled in: as likely wrong as right at its border."""

_BACKGROUND = 0.9  # outside of all instances, where what was not found may lie
_SUREST = 0.95  # of an instance of score 1; one of score 0 has 0.5: each wins where nothing else speaks
_LEAST_OF_KIND = 0.02  # of what is recognised as something else: so often it is mistaken
_LEAST_PROBABILITY = 1e-4  # of a witness: none rules anything out
_SHOWN = 0.5  # of attention maps, where about 1 is strong; best of 0.3, 0.5, 0.7 and 1 on pictures of six classes


@dataclass(frozen=True, eq=False)
class Painted:
    """Instances of a picture with their keywords.

    Attributes:
        masks: [N, H, W] bool, N may be 0.
        scores: [N] float32 in 0..1.
        keyword: [N] int64, of the picture's K keywords, or `UNASSIGNED`.
        of_kind: [N] float32 in 0..1, how probably one without keyword shows anything that the keywords can mean; NaN
            where nobody knows. None: nowhere.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    keyword: NDArray[np.int64]
    of_kind: NDArray[np.float32] | None = None

    def worst_first(self) -> NDArray[np.int64]:
        """The order in which to paint, so that the best one lies on top."""
        order: NDArray[np.int64] = np.argsort(-self.scores, kind="stable")[::-1]
        return order


def instance_probabilities(painted: Painted, keywords: int, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Spread the scores of instances over the classes that a picture may show.

    A pixel under an instance of score s, where several lie over each other the best one, is of its keyword with
    probability 0.5 + 0.45 s; the rest is shared by the others. Under an instance without keyword, of a kind with the
    keywords with probability q, they share q, at least 0.02, and background has the rest; all are alike where q is not
    known.

    Args:
        painted: the instances.
        keywords: K.
        size: (H, W).

    Returns:
        [1 + K, H, W] background first, summing to 1.
    """
    classes = keywords + 1
    probabilities = np.full((classes, *size), (1 - _BACKGROUND) / keywords, np.float32)
    probabilities[0] = _BACKGROUND
    for instance in painted.worst_first():
        own = np.full(classes, 1 / classes, np.float32)
        if painted.keyword[instance] != UNASSIGNED:
            sure = 0.5 + (_SUREST - 0.5) * float(painted.scores[instance])
            own[:] = (1 - sure) / keywords
            own[painted.keyword[instance] + 1] = sure
        elif painted.of_kind is not None and not np.isnan(painted.of_kind[instance]):
            of_kind = max(_LEAST_OF_KIND, float(painted.of_kind[instance]))
            own[:] = of_kind / keywords
            own[0] = 1 - of_kind
        probabilities[:, painted.masks[instance]] = own[:, None]
    return probabilities


def unassigned_pixels(painted: Painted, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where the instance on top has no keyword, and everywhere where there is no instance at all [H, W]."""
    unknown = np.full(size, not len(painted.masks))
    for instance in painted.worst_first():
        unknown[painted.masks[instance]] = painted.keyword[instance] == UNASSIGNED
    return unknown


def pool(opinions: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """What several witnesses say together: the logarithmic opinion pool (Genest and Zidek, Statistical Science 1986).

    Each opinion to the power of its share in the weights, multiplied and scaled to sum to 1. The shares sum to 1 too:
    these witnesses learn from each other, and where all say the same, the same is said, not something surer.

    Args:
        opinions: [1 + K, H, W] each, one at least.
        weights: one for each, above 0.

    Returns:
        [1 + K, H, W].
    """
    if len(opinions) == 1:
        return opinions[0]
    total = sum(weights)
    product = np.ones_like(opinions[0])
    for opinion, weight in zip(opinions, weights, strict=True):
        product *= np.maximum(opinion, _LEAST_PROBABILITY) ** np.float32(weight / total)
    product /= product.sum(axis=0)
    return product


def weigh(probabilities: NDArray[np.float32], likelihood: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Bayes' rule: probabilities after evidence that was not among what they come from.

    Args:
        probabilities: [1 + K, H, W].
        likelihood: [1 + K, H, W], above 0, in any unit.
        power: 1 for evidence that counts once; less where the same is seen several times.

    Returns:
        [1 + K, H, W], summing to 1.
    """
    product = probabilities * likelihood ** np.float32(power)
    weighed: NDArray[np.float32] = product / product.sum(axis=0)
    return weighed


def shown_pixels(maps: NDArray[np.float32], number: int, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where attention shows a keyword clearly, and more than any other keyword of the picture.

    Args:
        maps: [K, h, w], see `AttentionMaps`.
        number: of the keyword.
        size: (H, W).

    Returns:
        [H, W].
    """
    scaled = interpolation(size[0], maps.shape[1]) @ maps @ interpolation(size[1], maps.shape[2]).T
    shown: NDArray[np.bool_] = (scaled.argmax(axis=0) == number) & (scaled[number] > _SHOWN)
    return shown


def near_other_labels(label_map: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Pixels [H, W] at most `width` away, diagonals included, from one of another label."""
    side = 2 * width + 1
    near: NDArray[np.bool_] = maximum_filter(label_map, side) != minimum_filter(label_map, side)
    return near
