"""Divides instances that show several keywords into parts of one keyword each.

An instance whose source names its keyword stays whole, with the margin 1.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import UNASSIGNED, Assignment, assign_named, assigned, leads
from pipelines.labels.coarse_maps import enlarge, mean_inside

_LEAST_PROBABILITY = 1e-6  # so that its logarithm is finite
_SMALLEST_PART = 0.15  # share of an instance: the least that is cut out, and the least that is left of it
_SMALLEST_SHARE = 0.1  # share of an instance that is divided by evidence; smaller parts are specks

Divided = tuple[NDArray[np.bool_], NDArray[np.int64], Assignment]
"""Masks [M, H, W] of instances and parts, the instance [M] that each comes from, and their keywords."""


def split_fused(
    masks: NDArray[np.bool_], assignment: Assignment, maps: NDArray[np.float32], keywords: Keywords
) -> Divided:
    """Cut each keyword without an instance out of the instance that shows most of it, as a rider off a horse.

    A keyword is cut out where its map is the largest of all maps. The part and the rest must each be at least 15 % of
    the instance. (Touching objects of two classes were taken as one instance. The maps named 79 % of their pixels
    right, the keyword with the largest mean 63 %.)

    Args:
        masks: [N, H, W].
        assignment: What `assign_attention` gave for these maps.
        maps: [K, h, w].
        keywords: The K keywords, in the order of the maps.

    Returns:
        masks: [M, H, W], M >= N: first what is left of the instances, then the parts.
        parents: [M], the instance that each one comes from.
        assignment: Keywords of the M masks.
    """
    parents, column = np.arange(len(masks)), keywords.columns(assignment.keyword)
    missing = sorted(set(range(len(maps))) - set(column.tolist()))
    if not len(masks) or not missing:
        return masks, parents, assignment
    strongest = enlarge(maps, masks.shape[1:]).argmax(axis=0)  # [H, W]
    masks, named = masks.copy(), assignment.is_named
    areas = masks.sum(axis=(1, 2))
    for index in missing:
        parts = masks[: len(areas)] & (strongest == index) & ~named[:, None, None]
        sizes = parts.sum(axis=(1, 2))
        parent = int(sizes.argmax())
        rest = masks[parent].sum() - sizes[parent]
        if min(sizes[parent], rest) >= _SMALLEST_PART * areas[parent]:
            masks[parent] &= ~parts[parent]
            masks = np.concatenate([masks, parts[parent : parent + 1]])
            parents, column = np.append(parents, parent), np.append(column, index)
    affinity = mean_inside(masks, maps)
    best = affinity.argmax(axis=1)
    # An instance may have been undecided because it showed two keywords. Once one of them is cut out, it is decided.
    was_cut = np.isin(np.arange(len(masks)), parents[len(areas) :])
    column = np.where((column < 0) & was_cut, best, column)
    lead = leads(affinity, np.where(column < 0, best, column))
    divided = Assignment(keywords.positions_of(column), affinity, lead, assignment.rule)
    return masks, parents, _still_named(divided, assignment, parents)


def divide_by_evidence(
    masks: NDArray[np.bool_], assignment: Assignment, maps: NDArray[np.float32], keywords: Keywords
) -> Divided:
    """Divide instances that show several keywords, pixel by pixel.

    Two things are taken for independent witnesses: what the instance is, and what the pixel looks like. Pixel x of
    instance j gets the keyword k with the largest log p_jk + A_k(x). A keyword with less than a tenth of the instance
    gets none of it. Instances without keyword stay whole.

    Args:
        masks: [N, H, W].
        assignment: Keywords of the instances, with probabilities p_jk as affinities.
        maps: [K, h, w], A_k in log-odds.
        keywords: The K keywords, in the order of the maps.

    Returns:
        masks: [M, H, W], M >= N: first what is left of the instances, then the parts.
        parents: [M], the instance that each one comes from.
        assignment: Keywords of the M masks; a part has the probabilities of its instance.
    """
    scaled = enlarge(maps, masks.shape[1:])
    prior = np.log(np.maximum(assignment.affinity, _LEAST_PROBABILITY))
    whole, column = masks.copy(), keywords.columns(assignment.keyword)
    parts: list[tuple[NDArray[np.bool_], int, int]] = []
    for instance in np.flatnonzero((assignment.keyword != UNASSIGNED) & ~assignment.is_named):
        inside = masks[instance]
        best = (prior[instance][:, None] + scaled[:, inside]).argmax(axis=0)
        large = np.bincount(best, minlength=len(maps)) >= _SMALLEST_SHARE * len(best)
        main = int(column[instance])
        if not large[main]:  # nearly all of the instance looks like other keywords
            main = int(np.bincount(best, minlength=len(maps)).argmax())
        column[instance] = main
        for other in np.flatnonzero(large):
            if other != main:
                part = np.zeros_like(inside)
                part[inside] = best == other
                whole[instance] &= ~part
                parts.append((part, int(instance), int(other)))
    parents = np.array([*range(len(masks)), *(parent for _, parent, _ in parts)], np.int64)
    column = np.append(column, np.array([other for *_, other in parts], np.int64))
    divided = np.concatenate([whole, *(part[None] for part, *_ in parts)])
    keyword = keywords.positions_of(column)
    found = assigned(keyword, assignment.affinity[parents], keywords, assignment.rule)
    return divided, parents, _still_named(found, assignment, parents)


def _still_named(divided: Assignment, before: Assignment, parents: NDArray[np.int64]) -> Assignment:
    """Return the assignment of instances and parts, with what the source names as it was before."""
    return (
        divided if before.named is None else assign_named(divided, np.where(before.named, before.keyword, 0)[parents])
    )
