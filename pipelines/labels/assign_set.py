"""Keywords for the instances of all pictures together: strategy `graph` of `s4 pseudo-label`.

1. Evidence z_jk that instance j is of keyword k of its picture: at first the mean of the attention map inside the
   mask, in log-odds. Then, three times, a linear classifier learns the keywords of the instances from their features,
   those of pictures with one keyword and the surer part of the others, and its log-odds join the attention. A
   classifier never judges what it learned from: two of them learn from one half of the pictures each.
2. p_jk = softmax of z_jk over the keywords of the picture.
3. The graph of `pipelines.labels.graph`: alike instances of different pictures get the same keyword.

The classifier takes the place of the semantic feature extractor of Fan et al. (ECCV 2018), which learns features by a
centre loss; the rounds are ours, and so are the numbers below: on pictures of six classes, 87.0 % of the instances in
pictures with several keywords got the right one from the maps alone, 90.4 % with the classifier, 91 % with the graph.
Instances that show several keywords are divided afterwards, see `pipelines.labels.divide`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from pipelines.data.classes import Keywords
from pipelines.labels.assign import UNASSIGNED, Assignment, assign_single, assigned
from pipelines.labels.graph import assign_graph, mutual_neighbours
from pipelines.labels.linear_probe import fit_probe

_ROUNDS = 3
_SURE = 0.8  # share of the undecided instances that a round learns from
_ATTENTION = 0.2  # weight of the attention's log-odds beside those of the classifier
_FEWEST = 10  # instances that a classifier can learn anything from
NEIGHBOURS = 20
UNARY_WEIGHT = 3.0  # lambda
NOISE_PROBABILITY = 0.5  # p of no keyword: more likely wrong than right


@dataclass(frozen=True, eq=False)
class PictureInstances:
    """The N instances of one picture, whose K keywords they share.

    Attributes:
        number: Of the picture; its parity says which of two classifiers learns from it.
        keywords: Of the picture.
        features: [N, D] float32, means inside the masks; None without an instance.
        log_odds: [N, K] float32, means of the attention maps inside the masks; None likewise.
    """

    number: int
    keywords: Keywords
    features: NDArray[np.float32] | None = None
    log_odds: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class InstanceSet:
    """The N instances of a whole set of pictures, and the C classes of the list: class k + 1 has column k.

    Attributes:
        features: [N, D] float32, means inside the masks.
        attention: [N, C] float32, means of the attention maps inside the masks, in log-odds. Other classes than the
            picture's keywords have 0.
        allowed: [N, C], the keywords of each instance's picture; at least one each.
        pictures: [N] int64, number of each instance's picture.
    """

    features: NDArray[np.float32]
    attention: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    pictures: NDArray[np.int64]

    @classmethod
    def of(cls, pictures: Iterable[PictureInstances], classes: int) -> "InstanceSet | None":
        """Join the instances of pictures; None if there is no instance."""
        parts = []
        for picture in pictures:
            if picture.features is None or picture.log_odds is None:
                continue
            n, columns = len(picture.features), np.array(picture.keywords.positions) - 1
            attention, allowed = np.zeros((n, classes), np.float32), np.zeros((n, classes), bool)
            attention[:, columns], allowed[:, columns] = picture.log_odds, True
            parts.append(cls(picture.features, attention, allowed, np.full(n, picture.number, np.int64)))
        if not parts:
            return None
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.attention for part in parts]),
            np.concatenate([part.allowed for part in parts]),
            np.concatenate([part.pictures for part in parts]),
        )


def assign_set(pictures: Mapping[str, PictureInstances], classes: int) -> dict[str, Assignment]:
    """Give every instance a keyword of its picture, or none.

    Args:
        pictures: image_id -> its instances, in the order of their numbers.
        classes: C, without background.

    Returns:
        image_id -> the keywords of its instances, with p_jk as affinities.
    """
    whole = InstanceSet.of(pictures.values(), classes)
    if whole is None:
        return {image_id: assign_single(0, picture.keywords) for image_id, picture in pictures.items()}
    probability = keyword_probabilities(whole)
    edges = mutual_neighbours(unit(whole.features), whole.pictures, whole.allowed, NEIGHBOURS)
    column = assign_graph(probability, whole.allowed, edges, UNARY_WEIGHT, NOISE_PROBABILITY)
    keyword = np.array([*range(1, classes + 1), UNASSIGNED], np.int64)[column]
    result = {}
    for image_id, picture in pictures.items():
        rows = slice(*np.searchsorted(whole.pictures, [picture.number, picture.number + 1]))
        affinity = probability[rows][:, np.array(picture.keywords.positions) - 1]
        result[image_id] = assigned(keyword[rows], affinity, picture.keywords, "graph")
    return result


def unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardise features [N, D] over the instances and scale them to unit length: products are similarities."""
    standard = features - features.mean(axis=0)
    standard /= standard.std(axis=0) + 1e-6
    scaled: NDArray[np.float32] = standard / (np.linalg.norm(standard, axis=1, keepdims=True) + 1e-6)
    return scaled


def keyword_probabilities(instances: InstanceSet) -> NDArray[np.float32]:
    """Return p_jk [N, C], 0 for what is not allowed: steps 1 and 2."""
    allowed, attention = instances.allowed, instances.attention
    several = allowed.sum(axis=1) > 1
    evidence = np.where(allowed, attention, -np.inf)
    for _ in range(_ROUNDS if several.any() else 0):
        learned = _cross_fitted(instances, evidence.argmax(axis=1), _surest(evidence, several))
        if learned is None:
            break
        evidence = np.where(allowed, learned + _ATTENTION * attention, -np.inf)
    probability: NDArray[np.float32] = softmax(evidence, axis=1).astype(np.float32)
    return probability


def _surest(evidence: NDArray[np.float32], several: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark [N] the instances whose keyword is known, and of the others those whose best keyword leads by most."""
    best = np.sort(evidence, axis=1)
    lead = np.full(len(evidence), np.inf)
    lead[several] = best[several, -1] - best[several, -2]
    surest: NDArray[np.bool_] = (lead > 0) & (lead >= np.quantile(lead[several], 1 - _SURE))
    return surest


def _cross_fitted(
    instances: InstanceSet, keyword: NDArray[np.int64], learns: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Return log-odds [N, C] of classifiers that have not seen the picture; None if there is too little to learn."""
    features = torch.from_numpy(instances.features)
    truth = torch.nn.functional.one_hot(torch.from_numpy(keyword), instances.allowed.shape[1]).float()
    result = np.zeros(instances.allowed.shape, np.float32)
    half = instances.pictures % 2
    for number in (0, 1):
        seen = torch.from_numpy(learns & (half != number))
        if int(seen.sum()) < _FEWEST:
            return None
        weight, bias = fit_probe(features[seen], truth[seen])
        judged = half == number
        result[judged] = (features[judged] @ weight.T + bias).numpy()
    return result
