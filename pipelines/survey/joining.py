"""Which sets of pictures with keywords are labelled together, for `s4 init`."""

from collections.abc import Sequence

from pipelines.data.classes import VOC_CLASSES
from pipelines.data.picture_folders import find_pictures
from pipelines.errors import InputError
from pipelines.survey.keyworded import Keyworded


def joinable(sets: Sequence[Keyworded]) -> tuple[Keyworded, ...]:
    """Return the first set and those that go with it, in their order.

    A set goes with others if the classes stay those of the first set, or all of them are VOC's. No picture may lie in
    two sets, or have the same path below its folder as a picture of another set. One split at most is named.
    """
    chosen: list[Keyworded] = []
    for one in sets:
        if not chosen or (_same_classes(chosen[0], one) and _one_split([*chosen, one]) and _apart([*chosen, one])):
            chosen.append(one)
    return tuple(chosen)


def classes_of(sets: Sequence[Keyworded]) -> tuple[str, ...]:
    """Return the classes of sets that are labelled together, in the order of a class list."""
    names = dict.fromkeys(name for one in sets for name in one.counts)
    if all(name in VOC_CLASSES for name in names):
        return tuple(name for name in VOC_CLASSES if name in names)
    return tuple(names)


def _same_classes(first: Keyworded, other: Keyworded) -> bool:
    return set(other.counts) <= set(first.counts) or {*first.counts, *other.counts} <= set(VOC_CLASSES)


def _one_split(sets: Sequence[Keyworded]) -> bool:
    return len({one.split for one in sets if one.split is not None}) <= 1


def _apart(sets: Sequence[Keyworded]) -> bool:
    try:
        find_pictures([one.images for one in sets])
    except InputError:
        return False
    return True
