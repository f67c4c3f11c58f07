"""`labelmap.txt`: the colours that an annotation tool such as CVAT gave to the classes of its label maps.

Each line is `label:red,green,blue:parts:actions`. The file lies in the folder of the label maps or above.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.class_names import NameMatcher
from pipelines.data.classes import BACKGROUND_NAMES, IGNORE, MOST_CLASSES, VOC_CLASSES, ClassList
from pipelines.errors import InputError
from pipelines.files import read_text

LABELMAP = "labelmap.txt"
_CHANNEL = re.compile(r"[0-9]{1,3}")
_LEVELS_UP = 4  # folders above a label map in which the table may lie


@dataclass(frozen=True, eq=False)
class ColourTable:
    """The labels of a table with their colours.

    Attributes:
        path: The file.
        labels: N names.
        colours: [N, 3] red, green, blue.
    """

    path: Path
    labels: tuple[str, ...]
    colours: NDArray[np.int64]

    def indices(self, classes: ClassList | None) -> NDArray[np.uint8]:
        """Return the palette index of each label [N]: 0 for background, 255 for a class that is not in use.

        Args:
            classes: Classes in use; None to number the labels in the order of the file.

        Raises:
            InputError: More labels would be numbered than a byte can tell apart [labelmap-damaged].
        """
        names = [label for label in self.labels if label not in BACKGROUND_NAMES]
        if classes is None:
            if len(names) > MOST_CLASSES:
                raise InputError(
                    f"{self.path}: {len(names)} labels, expected at most {MOST_CLASSES}; name the classes with "
                    "--classes FILE",
                    "labelmap-damaged",
                )
            classes = ClassList(tuple(names), tuple(range(1, len(names) + 1)))
        matcher = NameMatcher(classes.names)
        voc = NameMatcher(VOC_CLASSES) if classes.is_voc else None
        found = []
        for label in self.labels:
            name = matcher.find(label)
            if label in BACKGROUND_NAMES:
                found.append(0)
            elif name is not None:
                found.append(classes.indices[classes.names.index(name)])
            elif voc is not None and (other := voc.find(label)) is not None:
                found.append(VOC_CLASSES.index(other) + 1)
            else:
                found.append(IGNORE)
        return np.array(found, np.uint8)


def colour_table_of(label_map: Path) -> ColourTable | None:
    """Return the table that lies beside a label map or in a folder above; None without one.

    Raises:
        InputError: The table cannot be read [labelmap-damaged].
    """
    for folder in list(label_map.parents)[:_LEVELS_UP]:
        table = _table_in(folder.absolute())
        if table is not None:
            return table
    return None


def read_colour_table(path: Path) -> ColourTable:
    """Read a table.

    Raises:
        InputError: A line is no label with a colour [labelmap-damaged].
    """
    labels, colours = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, _, rest = line.partition(":")
        numbers = rest.partition(":")[0].split(",")
        if numbers == [""] and rest:
            continue  # a label without a colour
        if not all(_CHANNEL.fullmatch(part.strip()) and int(part) < 256 for part in numbers) or len(numbers) != 3:
            raise InputError(
                f"{path}: line {number} is {line.strip()!r}, expected label:red,green,blue:parts:actions; correct it",
                "labelmap-damaged",
            )
        labels.append(label.strip())
        colours.append([int(part) for part in numbers])
    return ColourTable(path, tuple(labels), np.array(colours, np.int64).reshape(-1, 3))


@cache
def _table_in(folder: Path) -> ColourTable | None:
    path = folder / LABELMAP
    return read_colour_table(path) if path.is_file() else None
