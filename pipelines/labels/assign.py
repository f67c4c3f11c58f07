"""Which keyword of its picture an instance belongs to, and the label map that follows from it.

Instances come without a class, pictures with one or several class names. One keyword goes to every instance of its
picture; among several, the class activation maps decide (cf. Fan et al., "Associating Inter-Image Salient Instances for
Weakly Supervised Semantic Segmentation", ECCV 2018, whose p_ij is a mean over the box; here over the mask).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipelines.data.classes import IGNORE

UNASSIGNED = -1
"""Stands in `Assignment.keyword` for an instance whose keyword is not known."""

# Of an instance that is given to a keyword without another. With no limit, the instance of a class that was found goes
# to the class that was not: on 75 photographs with several keywords, that took the labels' mIoU from 0.61 to 0.50.
_WORST_LEAD = -0.1
_LEAST_PROBABILITY = 1e-6  # before its logarithm
_SMALLEST_PART = 0.15  # of an instance, to be cut out or to be left
_SMALLEST_SHARE = 0.1  # of an instance that is divided by evidence: smaller parts are specks


@dataclass(frozen=True)
class Assignment:
    """The keywords of a picture's N instances, K being the number of its keywords.

    Attributes:
        keyword: [N] int64, index into the picture's keywords; `UNASSIGNED` where none is sure enough.
        affinity: [N, K] float32, mean of the map of keyword k inside instance n; zeros where no map was consulted.
        margin: [N] float32, lead of the instance's keyword over the best other one, in units of the maps. Below zero
            for an instance that was given to a keyword which nothing else in the picture could take; 1 where there is
            no other keyword.
        rule: How it was decided: `single`, `attention`, `graph`, `random`, or `none` (no instance, or several keywords
            and nothing to tell them apart).
    """

    keyword: NDArray[np.int64]
    affinity: NDArray[np.float32]
    margin: NDArray[np.float32]
    rule: str


def assign_single(n: int, keywords: int) -> Assignment:
    """Every instance gets the picture's only keyword; with several keywords none gets any.

    Args:
        n: Number of instances, 0 or more.
        keywords: Number of the picture's keywords, 1 or more.
    """
    sure = keywords == 1
    return Assignment(
        keyword=np.full(n, 0 if sure else UNASSIGNED, np.int64),
        affinity=np.zeros((n, keywords), np.float32),
        margin=np.full(n, 1 if sure else 0, np.float32),
        rule="single" if sure and n else "none",
    )


def assign_random(n: int, keywords: int, generator: np.random.Generator) -> Assignment:
    """Any keyword of the picture for each instance: what a better strategy has to beat.

    Args:
        n: Number of instances, 0 or more.
        keywords: Number of the picture's keywords, 1 or more.
        generator: Random numbers of this picture.
    """
    if keywords == 1 or not n:
        return assign_single(n, keywords)
    return assigned(generator.integers(keywords, size=n), np.zeros((n, keywords), np.float32), "random")


def assigned(keyword: NDArray[np.int64], affinity: NDArray[np.float32], rule: str) -> Assignment:
    """An assignment [N] with the margins that follow from its affinities [N, K]; margin 1 where K is 1."""
    n, keywords = affinity.shape
    if keywords == 1 or not n:
        return Assignment(keyword, affinity, np.ones(n, np.float32), "single" if n else "none")
    best = np.where(keyword == UNASSIGNED, affinity.argmax(axis=1), keyword)
    return Assignment(keyword, affinity, _leads(affinity, best), rule)


def interpolation(size: int, cells: int) -> NDArray[np.float32]:
    """[size, cells] weights of linear interpolation from cell centres to pixel centres; border cells reach outwards."""
    position = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    distance = np.abs(position[:, None] - np.arange(cells)[None, :])
    weights: NDArray[np.float32] = np.maximum(1 - distance, 0).astype(np.float32)
    return weights


def mean_inside(masks: NDArray[np.bool_], maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of each map inside each mask, the maps being scaled bilinearly to the size of the masks.

    The scaled maps are never made: interpolation is linear, so its transpose, applied to the masks, gives the weight of
    every map cell in a mask.

    Args:
        masks: [N, H, W].
        maps: [K, h, w], any size.

    Returns:
        [N, K]; 0 for an empty mask.
    """
    rows = interpolation(masks.shape[1], maps.shape[1])
    columns = interpolation(masks.shape[2], maps.shape[2])
    area = np.maximum(masks.sum(axis=(1, 2)), 1).astype(np.float32)
    weights = rows.T @ (masks.astype(np.float32) @ columns)  # [N, H, W] -> [N, H, w] -> [N, h, w]
    means: NDArray[np.float32] = np.einsum("nhw,khw->nk", weights, maps) / area[:, None]
    return means


def _leads(affinity: NDArray[np.float32], keyword: NDArray[np.int64]) -> NDArray[np.float32]:
    """[N] affinity to the given keyword minus that to the best other one."""
    others = affinity.copy()
    instances = np.arange(len(affinity))
    others[instances, keyword] = -np.inf
    lead: NDArray[np.float32] = affinity[instances, keyword] - others.max(axis=1)
    return lead


def assign_attention(masks: NDArray[np.bool_], maps: NDArray[np.float32], margin: float) -> Assignment:
    """Keywords by the class activation maps.

    1. An instance takes the keyword with the largest mean inside its mask, if that leads the second by `margin`.
    2. A keyword that no instance took that way gets the instance which the best one-to-one assignment (largest sum of
       affinities) holds for it, whatever the margin: the keyword says that the class is there, and nothing else can be
       it. An instance that is the only one of another keyword is not taken away from it, nor one whose maps clearly
       speak for another keyword (then the class was not found at all). This needs N >= K.
    3. The rest stays unassigned.

    Args:
        masks: [N, H, W], N may be 0.
        maps: [K, h, w] evidence, of either sign, on one scale for all keywords; K is 1 or more. About 1 is strong.
        margin: Smallest lead over the second keyword, in units of the maps.
    """
    n, n_keywords = len(masks), len(maps)
    if n == 0 or n_keywords == 1:
        alone = assign_single(n, n_keywords)
        return Assignment(alone.keyword, mean_inside(masks, maps), alone.margin, alone.rule)
    affinity = mean_inside(masks, maps)
    keyword = affinity.argmax(axis=1).astype(np.int64)
    lead = _leads(affinity, keyword)
    keyword[lead < margin] = UNASSIGNED
    if n >= n_keywords:
        instances, winners = linear_sum_assignment(affinity, maximize=True)
        for instance, winner in zip(instances, winners, strict=True):
            owner = keyword[instance]
            spare = owner == UNASSIGNED or np.count_nonzero(keyword == owner) > 1
            possible = affinity[instance, winner] - affinity[instance].max() >= _WORST_LEAD
            if winner not in keyword and spare and possible:
                keyword[instance] = winner
    lead = np.where(keyword == UNASSIGNED, lead, _leads(affinity, np.maximum(keyword, 0)))
    return Assignment(keyword, affinity, lead.astype(np.float32), "attention")


def split_fused(
    masks: NDArray[np.bool_], assignment: Assignment, maps: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], Assignment]:
    """Cuts keywords that no instance took out of the instance that shows most of them, such as a rider out of a horse.

    A keyword is cut out where it has the largest map of all keywords, in one instance, if that is a fair part of the
    instance and leaves a fair part. (In touching true objects of two classes, taken as one, the maps named 79 % of the
    pixels right, and the keyword with the largest mean alone 63 %.)

    Args:
        masks: [N, H, W].
        assignment: Of `assign_attention` with these maps.
        maps: [K, h, w].

    Returns:
        masks: [M, H, W], M >= N: the instances, less what was cut out, then the parts.
        parents: [M], the instance that each one comes from.
        assignment: Of the M instances.
    """
    parents = np.arange(len(masks))
    missing = sorted(set(range(len(maps))) - set(assignment.keyword.tolist()))
    if not len(masks) or not missing:
        return masks, parents, assignment
    rows = interpolation(masks.shape[1], maps.shape[1])
    columns = interpolation(masks.shape[2], maps.shape[2])
    strongest = (rows @ maps @ columns.T).argmax(axis=0)  # [K, h, w] -> [K, H, W] -> [H, W]
    masks, keyword = masks.copy(), assignment.keyword
    areas = masks.sum(axis=(1, 2))
    for index in missing:
        parts = masks[: len(areas)] & (strongest == index)
        sizes = parts.sum(axis=(1, 2))
        parent = int(sizes.argmax())
        rest = masks[parent].sum() - sizes[parent]
        if min(sizes[parent], rest) >= _SMALLEST_PART * areas[parent]:
            masks[parent] &= ~parts[parent]
            masks = np.concatenate([masks, parts[parent : parent + 1]])
            parents, keyword = np.append(parents, parent), np.append(keyword, index)
    affinity = mean_inside(masks, maps)
    best = affinity.argmax(axis=1)
    # An instance that was undecided because it showed both keywords is no longer so without one of them.
    cut = np.isin(np.arange(len(masks)), parents[len(areas) :])
    keyword = np.where((keyword == UNASSIGNED) & cut, best, keyword)
    lead = _leads(affinity, np.where(keyword == UNASSIGNED, best, keyword))
    return masks, parents, Assignment(keyword, affinity, lead, assignment.rule)


def divide_by_evidence(
    masks: NDArray[np.bool_], assignment: Assignment, maps: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], Assignment]:
    """Divides instances that show several keywords, pixel by pixel.

    What an instance is, and what each of its pixels looks like, are taken for two independent witnesses: pixel x of
    instance j is of the keyword with the largest log p_jk + A_k(x). A keyword with less than a tenth of the instance
    gets none of it. Instances without keyword stay whole.

    Args:
        masks: [N, H, W].
        assignment: Their keywords, with probabilities p_jk as affinities.
        maps: [K, h, w], A_k in log-odds.

    Returns:
        masks: [M, H, W], M >= N: what is left of the instances, then the parts.
        parents: [M], the instance that each one comes from.
        assignment: Of the M masks; parts have the probabilities of their instance.
    """
    n, keywords = len(masks), len(maps)
    scaled = interpolation(masks.shape[1], maps.shape[1]) @ maps @ interpolation(masks.shape[2], maps.shape[2]).T
    prior = np.log(np.maximum(assignment.affinity, _LEAST_PROBABILITY))
    whole, keyword = masks.copy(), assignment.keyword.copy()
    parts: list[tuple[NDArray[np.bool_], int, int]] = []
    for instance in np.flatnonzero(keyword != UNASSIGNED):
        inside = masks[instance]
        best = (prior[instance][:, None] + scaled[:, inside]).argmax(axis=0)
        large = np.bincount(best, minlength=keywords) >= _SMALLEST_SHARE * len(best)
        main = int(keyword[instance])
        if not large[main]:  # then all of it looks like another keyword
            main = int(np.bincount(best, minlength=keywords).argmax())
        keyword[instance] = main
        for other in np.flatnonzero(large):
            if other != main:
                part = np.zeros_like(inside)
                part[inside] = best == other
                whole[instance] &= ~part
                parts.append((part, int(instance), int(other)))
    parents = np.array([*range(n), *(parent for _, parent, _ in parts)], np.int64)
    keyword = np.append(keyword, np.array([own for *_, own in parts], np.int64))
    divided = np.concatenate([whole, *(part[None] for part, *_ in parts)])
    return divided, parents, assigned(keyword, assignment.affinity[parents], assignment.rule)


def compose_label_map(
    masks: NDArray[np.bool_], scores: NDArray[np.float32], classes: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One label map from overlapping instances; where they overlap, the higher score wins.

    Args:
        masks: [N, H, W], N may be 0.
        scores: [N] in 0..1; of equal ones the earlier instance wins.
        classes: [N] palette indices, 255 for an unassigned instance: its pixels are unknown, not background.
        size: (H, W).

    Returns:
        label_map: [H, W] palette indices, 0 outside all instances.
        confidence: [H, W] score of the instance times 255, rounded; 0 where the label is 255; 255 on the background, of
            which nothing is known to speak against it.
    """
    label_map = np.zeros(size, np.uint8)
    confidence = np.full(size, 255, np.uint8)
    for instance in np.argsort(-scores, kind="stable")[::-1]:  # the best is painted last
        label_map[masks[instance]] = classes[instance]
        sure = classes[instance] != IGNORE
        confidence[masks[instance]] = np.rint(255 * scores[instance]) if sure else 0
    return label_map, confidence
