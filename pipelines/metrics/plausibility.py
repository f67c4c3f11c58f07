"""Results that cannot be right, or that nobody should build on: what was found, what is expected, and what to do.

Every function returns a list of {rule, message}, which is empty where nothing is wrong. A message reads like that of an
error, but the work goes on.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.notes import first_names
from pipelines.metrics.confusion import ConfusionMatrix

LEAST_FOUND = 0.001
"""Share of a class's true pixels under which the class counts as not found. A few stray pixels are no finding."""
EMPTY_SHARE = 1 / 3
"""Share of pictures without a label from which labels are in doubt. Sets that went well had less than a tenth."""
LEAST_AP50 = 0.3
"""AP50 under which salient instances give poor labels. The networks of the documents have 0.6 and more."""

_NAMES = 8  # classes that a message names
_MORE_LABELS = {
    "nothing-found": "lower --min-score, take other --weights, or check the keywords",
    "too-little-foreground": "lower --least-foreground",
    "too-much-foreground": "raise --most-foreground",
}

Warnings = list[dict[str, str]]


def lost_classes(source: str, matrix: ConfusionMatrix, names: Sequence[str], labels: bool = False) -> Warnings:
    """Tell of classes that the truth shows, and that label maps do not find.

    Args:
        source: What made the label maps, to begin the message with.
        matrix: Counts of all pictures.
        names: Names of the classes without background.
        labels: Whether the label maps are pseudo labels, and not the output of a network.

    Returns:
        Nothing, `only-background`, or `class-not-found`.
    """
    n = matrix.n
    true, right = matrix.matrix.sum(axis=1)[1:], np.diagonal(matrix.matrix)[1:]
    occurs = true > 0
    lost = occurs & (right < LEAST_FOUND * true)
    if not lost.any():
        return []
    shown = _named(lost, names)
    if not matrix.matrix[:, 1:n].any():
        found = f"{source}: finds no class but background, though the truth shows {shown}"
        cause = "no pixel is labelled" if labels else "it was trained too short, or its labels are empty"
        return [_warning("only-background", f"{found}; {cause}: {_remedy(labels)}")]
    found = f"{source}: finds hardly a pixel of {shown} ({lost.sum()} of the {occurs.sum()} classes in the truth)"
    cause = "they are hardly labelled" if labels else "they are hardly labelled, or the training was too short"
    return [_warning("class-not-found", f"{found}; {cause}: {_remedy(labels)}")]


def background_alone(source: str, overlaps: NDArray[np.int64]) -> Warnings:
    """Tell of a network that has no pixel of any class but background right.

    Args:
        source: The network, to begin the message with.
        overlaps: [N, 2, n] of N pictures, see `pipelines.metrics.confusion.overlap`.

    Returns:
        Nothing, or `only-background`.
    """
    right, union = overlaps.sum(axis=0)[:, 1:]
    if right.any() or not union.any():
        return []
    found = f"{source}: has no pixel of any class but background right, some expected"
    return [
        _warning("only-background", f"{found}; it was trained too short, or its labels are empty: {_remedy(False)}")
    ]


def _remedy(labels: bool) -> str:
    if labels:
        return "check the keywords of these classes, or lower --min-score"
    return "look at what s4 pseudo-label says of the labels, then train with more --steps"


def empty_labels(folder: str, counts: Mapping[str, object]) -> Warnings:
    """Tell of labels of which many are empty.

    Args:
        folder: The label folder.
        counts: labelled, empty and rejected, as in the result of `s4 pseudo-label` and in a manifest. What is absent
            counts as none.

    Returns:
        Nothing, or `labels-empty-third`.
    """
    labelled, empty, rejected = counts.get("labelled", 0), counts.get("empty", 0), counts.get("rejected", {})
    if not (isinstance(labelled, int) and isinstance(empty, int) and isinstance(rejected, Mapping)):
        return []  # of another program
    total = labelled + empty
    if not empty or empty < EMPTY_SHARE * total:
        return []
    reasons = ", ".join(f"{reason} {count}" for reason, count in rejected.items())
    remedies = [_MORE_LABELS[reason] for reason in rejected if reason in _MORE_LABELS]
    found = f"{folder}: {empty} of {total} pictures have no label ({reasons or 'unknown why'})"
    remedy = "; ".join(remedies) or "make the labels anew"
    return [_warning("labels-empty-third", f"{found}, fewer than a third expected; {remedy}")]


def poor_instances(source: str, ap50: float | None) -> Warnings:
    """Tell of a salient-instance network that is too poor to label with.

    Args:
        source: The network.
        ap50: COCO mask AP at an IoU of 0.5, as a fraction; None or nan if nothing could be judged.

    Returns:
        Nothing, or `s4net-poor`.
    """
    if ap50 is None or not ap50 < LEAST_AP50:
        return []
    found = f"{source}: AP50 is {ap50:.4g}, {LEAST_AP50:g} or more expected; labels from it will be poor"
    remedy = "train it longer or on more masks, or label with the network that ships (--weights builtin)"
    return [_warning("s4net-poor", f"{found}: {remedy}")]


def unlabelled_classes(folder: str, pictures: Mapping[str, int]) -> Warnings:
    """Tell of classes that no label map shows.

    Args:
        folder: The label folder.
        pictures: Class name -> number of label maps that show the class.

    Returns:
        Nothing, or `class-unlabelled`.
    """
    absent = [name for name, count in pictures.items() if not count]
    if not absent:
        return []
    found = f"{folder}: no label map shows {first_names(absent, _NAMES)} ({len(absent)} of {len(pictures)} classes)"
    remedy = "check the labels, or make them with a class list without these names (--classes)"
    return [_warning("class-unlabelled", f"{found}; no network can learn them: {remedy}")]


def _named(chosen: NDArray[np.bool_], names: Sequence[str]) -> str:
    return first_names([name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen], _NAMES)


def _warning(rule: str, message: str) -> dict[str, str]:
    return {"rule": rule, "message": message}
