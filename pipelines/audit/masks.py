"""True label maps and pseudo labels: whether they fit their pictures, and which classes they show."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.audit.findings import Findings
from pipelines.audit.pictures import in_threads
from pipelines.data.checking import require_same_size
from pipelines.data.classes import IGNORE, ClassList
from pipelines.data.colour_tables import colour_table_of
from pipelines.data.images import ImageFile, open_picture
from pipelines.data.label_maps import read_label_map
from pipelines.data.palette import voc_palette
from pipelines.errors import InputError
from pipelines.events import Events

_COLOURS = ("RGB", "RGBA")


@dataclass(frozen=True)
class Pair:
    """A label map and its picture.

    Attributes:
        label: The file of the label map.
        picture: The picture, or None where that is not known.
        size: (height, width) of the picture; None where the picture is unknown or cannot be used.
    """

    label: Path
    picture: ImageFile | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Seen:
    shown: tuple[int, ...]
    coloured: bool
    error: InputError | None = None


def check_masks(
    pairs: Mapping[str, Pair], classes: ClassList, findings: Findings, threads: int, events: Events
) -> Counter[str]:
    """Decode label maps, and note what is wrong with them.

    Args:
        pairs: The label maps by image id.
        classes: Classes that they may show.
        findings: Receives what is found.
        threads: Files that are read at once.
        events: Told the progress.

    Returns:
        How many label maps show each class.
    """
    shown: Counter[str] = Counter()
    empty, coloured = [], []
    place = findings.place
    with events.progress(len(pairs), f"{place}: masks") as progress:
        seen = in_threads(lambda pair: _look(pair, classes), pairs.values(), threads)
        for image_id, one in zip(pairs, seen, strict=True):
            progress.advance()
            if one.error is not None:
                findings.error(one.error.rule, one.error.message)
                continue
            shown.update(classes.name_of(position) for position in one.shown)
            if not one.shown:
                empty.append(image_id)
            if one.coloured:
                coloured.append(image_id)
    what = f"{place}: label maps that show no class, some pixels of an object expected"
    findings.cases("mask-empty", what, empty, "look at them, or take their pictures off the list")
    what = f"{place}: label maps in colours, read by their colours where class indices are expected"
    findings.cases("mask-colours", what, coloured, "save them as PNG of class indices, and check one of them")
    return shown


def _look(pair: Pair, classes: ClassList) -> _Seen:
    try:
        label_map = read_label_map(pair.label, classes)
        if pair.picture is not None and pair.size is not None:
            require_same_size(pair.label, label_map.shape, pair.picture, pair.size)
        with open_picture(pair.label) as image:
            own = image.mode == "P" and image.getpalette() == voc_palette()
            coloured = image.mode in _COLOURS or (
                image.mode == "P" and not own and colour_table_of(pair.label) is not None
            )
    except InputError as error:
        return _Seen((), False, error)
    counts = np.bincount(label_map.reshape(-1), minlength=IGNORE + 1)[1:IGNORE]
    return _Seen(tuple((1 + np.flatnonzero(counts)).tolist()), coloured)
