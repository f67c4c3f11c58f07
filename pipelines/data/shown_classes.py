"""Label maps that show no class: then 255 was meant for the object, or the classes are numbered in another way.

Pixels of 255 are left out of every score and every loss. So masks of 0 and 255 would score 1.0 against a network that
finds nothing.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE, VOC_CLASSES, ClassList
from pipelines.data.counting import value_counts
from pipelines.data.label_maps import read_palette_map
from pipelines.data.notes import first_names
from pipelines.errors import InputError


def require_classes(files: Iterable[Path], classes: ClassList | None, predicted: bool = False) -> None:
    """Refuse label maps of which none shows a class, though some have pixels that are left out.

    Reading ends with the first label map that shows a class.

    Args:
        files: The label maps.
        classes: Classes in use; None if every class counts.
        predicted: Whether they are predictions. These may show other classes alone.

    Raises:
        InputError: No label map shows a class [truth-binary] [predictions-binary].
    """
    values: set[int] = set()
    files = list(files)
    for file in files:
        palette_map = read_palette_map(file, classes)
        if shows_class(palette_map, classes):
            return
        values.update(np.flatnonzero(value_counts(palette_map, 1)).tolist())
    if values - {0} and not (predicted and values - {0, IGNORE}):
        rule = "predictions-binary" if predicted else "truth-binary"
        raise no_class_shown(files[0].parent, len(files), values, classes, rule)


def shows_class(palette_map: NDArray[np.uint8], classes: ClassList | None) -> bool:
    """Return whether a map of palette indices shows a class in use; any class if there is no list."""
    positions = palette_map if classes is None else classes.from_palette(palette_map)
    return bool(((positions != 0) & (positions != IGNORE)).any())


def no_class_shown(folder: Path, count: int, values: set[int], classes: ClassList | None, rule: str) -> InputError:
    """Return the error of label maps that show no class.

    Args:
        folder: Where the label maps lie.
        count: Number of label maps.
        values: Palette indices that they hold.
        classes: Classes in use; None if every class counts.
        rule: Rule of the error.
    """
    others = sorted(values - {0, IGNORE})
    found = " and ".join(map(str, sorted(values & {0, IGNORE}))) + " alone"
    remedy = "save the number of the class where the object is"
    if others and classes is not None:
        names = [f"{value} ({VOC_CLASSES[value - 1]})" if classes.is_voc else f"{value}" for value in others]
        found = f"{first_names(names)} and no class in use"
        remedy = "check --classes and how the classes are numbered"
    expected = "pixels of a class"
    if classes is not None:
        expected = first_names([f"{i} ({name})" for name, i in zip(classes.names, classes.indices, strict=True)])
    return InputError(
        f"{folder}: {count} label maps hold the values {found}, and {IGNORE} stands for unknown, expected {expected}; "
        f"{remedy}",
        rule,
    )
