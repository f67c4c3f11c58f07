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
Instances that show several keywords are divided afterwards, see `pipelines.labels.assign.divide_by_evidence`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

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
class InstanceSet:
    """The N instances of a whole set of pictures.

    Attributes:
        features: [N, D] float32, means inside the masks.
        attention: [N, C] float32, means of the attention maps inside the masks, in log-odds; of the picture's own
            keywords alone.
        allowed: [N, C], the keywords of each instance's picture; at least one each.
        pictures: [N] int64, number of each instance's picture.
    """

    features: NDArray[np.float32]
    attention: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    pictures: NDArray[np.int64]


def assign_set(instances: InstanceSet) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Give every instance a keyword of its picture, or none.

    Args:
        instances: N may be 0.

    Returns:
        keyword: [N] position in the class list, or `keyword_graph.NOISE`.
        probability: [N, C], p_jk, 0 for what is not allowed.
    """
    if not len(instances.features):
        return np.zeros(0, np.int64), np.zeros(instances.allowed.shape, np.float32)
    probability = keyword_probabilities(instances)
    edges = mutual_neighbours(unit(instances.features), instances.pictures, instances.allowed, NEIGHBOURS)
    return assign_graph(probability, instances.allowed, edges, UNARY_WEIGHT, NOISE_PROBABILITY), probability


def unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [N, D] standardised over the instances and scaled to unit length: their products are similarities."""
    standard = features - features.mean(axis=0)
    standard /= standard.std(axis=0) + 1e-6
    scaled: NDArray[np.float32] = standard / (np.linalg.norm(standard, axis=1, keepdims=True) + 1e-6)
    return scaled


def keyword_probabilities(instances: InstanceSet) -> NDArray[np.float32]:
    """Steps 1 and 2: p_jk [N, C]."""
    allowed, attention = instances.allowed, instances.attention
    several = allowed.sum(axis=1) > 1
    evidence = np.where(allowed, attention, -np.inf)
    for _ in range(_ROUNDS if several.any() else 0):
        learned = _cross_fitted(instances, evidence.argmax(axis=1), _surest(evidence, several))
        if learned is None:
            break
        evidence = np.where(allowed, learned + _ATTENTION * attention, -np.inf)
    shifted = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    probability: NDArray[np.float32] = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    return probability


def _surest(evidence: NDArray[np.float32], several: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[N]: the instances whose keyword is known, and the part of the others whose best one leads by most."""
    best = np.sort(evidence, axis=1)
    lead = np.full(len(evidence), np.inf)
    lead[several] = best[several, -1] - best[several, -2]
    surest: NDArray[np.bool_] = (lead > 0) & (lead >= np.quantile(lead[several], 1 - _SURE))
    return surest


def _cross_fitted(
    instances: InstanceSet, keyword: NDArray[np.int64], learns: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Log-odds [N, C] from classifiers that have not seen the picture; None where there is too little to learn from."""
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
