"""Instances that show several keywords, cut into parts of one keyword each."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.labels.assign import UNASSIGNED, Assignment, assigned, keyword_of, leads
from pipelines.labels.enlarge import enlarge, mean_inside

_LEAST_PROBABILITY = 1e-6  # before its logarithm
_SMALLEST_PART = 0.15  # of an instance, to be cut out or to be left
_SMALLEST_SHARE = 0.1  # of an instance that is divided by evidence: smaller parts are specks

Divided = tuple[NDArray[np.bool_], NDArray[np.int64], Assignment]


def split_fused(
    masks: NDArray[np.bool_], assignment: Assignment, maps: NDArray[np.float32], keywords: Keywords
) -> Divided:
    """Cut keywords that no instance took out of the instance that shows most of them, as a rider out of a horse.

    A keyword is cut out where its map is the largest of all. The part and the rest must each be a fair share of the
    instance. (In touching objects of two classes, taken as one, the maps named 79 % of the pixels right. The keyword
    with the largest mean alone named 63 %.)

    Args:
        masks: [N, H, W].
        assignment: Of `assign_attention` with these maps.
        maps: [K, h, w].
        keywords: The K keywords, in the order of the maps.

    Returns:
        masks: [M, H, W], M >= N: the instances, less what was cut out, then the parts.
        parents: [M], the instance that each one comes from.
        assignment: Of the M instances.
    """
    parents, column = np.arange(len(masks)), keywords.columns(assignment.keyword)
    missing = sorted(set(range(len(maps))) - set(column.tolist()))
    if not len(masks) or not missing:
        return masks, parents, assignment
    strongest = enlarge(maps, masks.shape[1:]).argmax(axis=0)  # [H, W]
    masks = masks.copy()
    areas = masks.sum(axis=(1, 2))
    for index in missing:
        parts = masks[: len(areas)] & (strongest == index)
        sizes = parts.sum(axis=(1, 2))
        parent = int(sizes.argmax())
        rest = masks[parent].sum() - sizes[parent]
        if min(sizes[parent], rest) >= _SMALLEST_PART * areas[parent]:
            masks[parent] &= ~parts[parent]
            masks = np.concatenate([masks, parts[parent : parent + 1]])
            parents, column = np.append(parents, parent), np.append(column, index)
    affinity = mean_inside(masks, maps)
    best = affinity.argmax(axis=1)
    # An instance that was undecided because it showed both keywords is no longer so without one of them.
    was_cut = np.isin(np.arange(len(masks)), parents[len(areas) :])
    column = np.where((column < 0) & was_cut, best, column)
    lead = leads(affinity, np.where(column < 0, best, column))
    return masks, parents, Assignment(keyword_of(column, keywords), affinity, lead, assignment.rule)


def divide_by_evidence(
    masks: NDArray[np.bool_], assignment: Assignment, maps: NDArray[np.float32], keywords: Keywords
) -> Divided:
    """Divide instances that show several keywords, pixel by pixel.

    What an instance is, and what each of its pixels looks like, are taken for two independent witnesses. Pixel x of
    instance j is of the keyword k with the largest log p_jk + A_k(x). A keyword with less than a tenth of the instance
    gets none of it. Instances without keyword stay whole.

    Args:
        masks: [N, H, W].
        assignment: Their keywords, with probabilities p_jk as affinities.
        maps: [K, h, w], A_k in log-odds.
        keywords: The K keywords, in the order of the maps.

    Returns:
        masks: [M, H, W], M >= N: what is left of the instances, then the parts.
        parents: [M], the instance that each one comes from.
        assignment: Of the M masks; parts have the probabilities of their instance.
    """
    scaled = enlarge(maps, masks.shape[1:])
    prior = np.log(np.maximum(assignment.affinity, _LEAST_PROBABILITY))
    whole, column = masks.copy(), keywords.columns(assignment.keyword)
    parts: list[tuple[NDArray[np.bool_], int, int]] = []
    for instance in np.flatnonzero(assignment.keyword != UNASSIGNED):
        inside = masks[instance]
        best = (prior[instance][:, None] + scaled[:, inside]).argmax(axis=0)
        large = np.bincount(best, minlength=len(maps)) >= _SMALLEST_SHARE * len(best)
        main = int(column[instance])
        if not large[main]:  # then all of it looks like another keyword
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
    keyword = keyword_of(column, keywords)
    return divided, parents, assigned(keyword, assignment.affinity[parents], keywords, assignment.rule)
