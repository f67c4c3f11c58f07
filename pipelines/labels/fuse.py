"""Fuses the opinions of instances and witnesses: probabilities of each pixel's class, their pool, what stays open."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import UNASSIGNED
from pipelines.labels.paint import Painted, worst_first

_BACKGROUND = 0.9  # probability outside all instances; the rest is for objects that were not found
_UNSURE_BACKGROUND = 0.5  # the same where a keyword has no instance: that keyword lies somewhere there
_SHOWN = 0.7  # probability of a keyword without instance, where attention maps show it; 0.6 to 0.8 do as well
_SUREST = 0.95  # probability of the keyword at score 1; at score 0 it is 0.5, which still wins if nothing else speaks
_LEAST_OF_KIND = 0.02  # probability of the keywords under any instance: so often the recogniser is mistaken
_LEAST_PROBABILITY = 1e-4  # in an opinion, so that no witness rules anything out


def instance_probabilities(
    painted: Painted,
    keywords: Keywords,
    size: tuple[int, ...],
    missing: Mapping[int, NDArray[np.bool_]] | None = None,
) -> NDArray[np.float32]:
    """Turn instances and their scores into probabilities of each pixel's class.

    - Where instances overlap, the one with the highest score counts.
    - Under an instance of score s, its keyword has probability 0.5 + 0.45 s. The other classes share the rest.
    - An instance without keyword may have a probability q of being of a kind with the keywords. Then the keywords share
      q, at least 0.02, and background has the rest. If q is not known, all classes are equally probable.
    - Outside all instances, background has probability 0.9. The keywords share the rest.
    - If keywords have no instance, background has only 0.5 there. Those keywords share the 0.4 that it lost. One of
      them has 0.7 where attention maps show it.

    Args:
        painted: The instances.
        keywords: The K keywords of the picture.
        size: (H, W) of the picture.
        missing: Index of each keyword without instance -> [H, W], where attention maps show it. No pixel is marked
            twice.

    Returns:
        [1 + K, H, W], background first, then the keywords in their order; sums to 1.
    """
    classes = len(keywords) + 1
    outside = np.full(classes, (1 - _BACKGROUND) / len(keywords), np.float32)
    outside[0] = _UNSURE_BACKGROUND if missing else _BACKGROUND
    for number in missing or {}:
        outside[number + 1] += (_BACKGROUND - _UNSURE_BACKGROUND) / len(missing or {})
    probabilities = np.broadcast_to(outside[:, None, None], (classes, *size)).copy()
    for number, shown in (missing or {}).items():
        probabilities[:, shown] = (1 - _SHOWN) / len(keywords)
        probabilities[number + 1, shown] = _SHOWN
    column = keywords.columns(painted.keyword)
    for instance in worst_first(painted.scores):
        own = np.full(classes, 1 / classes, np.float32)
        if painted.keyword[instance] != UNASSIGNED:
            sure = 0.5 + (_SUREST - 0.5) * float(painted.scores[instance])
            own[:] = (1 - sure) / len(keywords)
            own[column[instance] + 1] = sure
        elif painted.of_kind is not None and not np.isnan(painted.of_kind[instance]):
            of_kind = max(_LEAST_OF_KIND, float(painted.of_kind[instance]))
            own[:] = of_kind / len(keywords)
            own[0] = 1 - of_kind
        probabilities[:, painted.masks[instance]] = own[:, None]
    return probabilities


def unassigned_pixels(painted: Painted, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels [H, W] whose best instance has no keyword; mark all pixels if there is no instance."""
    unknown = np.full(size, not len(painted.masks))
    for instance in worst_first(painted.scores):
        unknown[painted.masks[instance]] = painted.keyword[instance] == UNASSIGNED
    return unknown


def pool(opinions: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Merge opinions by the logarithmic opinion pool (Genest and Zidek, Statistical Science 1986).

    Each opinion is raised to the power of its share in the weights. The product is scaled to sum to 1. The shares also
    sum to 1, because witnesses learn from each other. Where all opinions agree, the pool is no surer than each of them.

    Args:
        opinions: [1 + K, H, W] each, at least one.
        weights: One for each opinion, above 0.

    Returns:
        [1 + K, H, W], summing to 1.
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
    """Update probabilities by Bayes' rule with evidence that is independent of them.

    Args:
        probabilities: [1 + K, H, W].
        likelihood: [1 + K, H, W], above 0, in any unit.
        power: 1 for evidence that counts once; less if the same evidence is seen several times.

    Returns:
        [1 + K, H, W], summing to 1.
    """
    product = probabilities * likelihood ** np.float32(power)
    weighed: NDArray[np.float32] = product / product.sum(axis=0)
    return weighed
