"""Class lists, and the two numberings of classes: palette indices in label files, 0..n in a network.

If all classes in use are VOC classes, label files hold VOC's indices. So files of different runs agree, even if a run
uses only a few classes. Otherwise label files count the classes from 1 on. A network always counts its own classes,
without gaps. Both numberings have 0 for background and 255 for "ignore".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError, nearest_name
from pipelines.files import read_text
from pipelines.stores.paths import to_path

IGNORE = 255
VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
BACKGROUND_NAMES = ("background", "_background_")
"""Names that stand for the background in lists of other programs."""
IGNORED_NAME = "__ignore__"
"""Name that stands for pixels without a class in labelme's lists."""
MOST_CLASSES = 254  # with background and 255 they fill a byte
_COLOURED = re.compile(r"([^#:][^:]*):(?:\d+,\d+,\d+)?:.*")  # a line of labelmap.txt


@dataclass(frozen=True)
class ClassList:
    """The foreground classes in use; made with `from_names` or `load_classes`.

    Inside the program, a class is its position in this list, 1..n; 0 is the background. Networks have one output for
    each position, and a `label_map` holds positions. Names and palette indices are for files and people alone.

    Attributes:
        names: Class names in the order of their positions; background is not among them.
        indices: The palette index of each name in label files.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]

    @classmethod
    def from_names(cls, names: Sequence[str], source: str = "classes") -> "ClassList":
        """Give the names their palette indices: VOC's if all are VOC classes, otherwise 1..n.

        Args:
            names: Class names without background, 1 to 254.
            source: The file or flag that the names come from, for messages.

        Raises:
            InputError: There are no names or too many [classes-count], one is there twice [classes-twice], or one
                stands for the background [classes-background].
        """
        if not 1 <= len(names) <= MOST_CLASSES:
            raise InputError(
                f"{source}: {len(names)} classes, expected 1 to {MOST_CLASSES}; write one name a line", "classes-count"
            )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{source}: class {twice!r} is there twice, expected once; remove one", "classes-twice")
        background = next((name for name in names if name in (*BACKGROUND_NAMES, IGNORED_NAME)), None)
        if background is not None:
            raise InputError(
                f"{source}: {background!r} is listed, expected foreground classes alone; remove the line",
                "classes-background",
            )
        all_voc = all(name in VOC_CLASSES for name in names)
        indices = [VOC_CLASSES.index(name) + 1 for name in names] if all_voc else range(1, len(names) + 1)
        return cls(tuple(names), tuple(indices))

    @property
    def n_outputs(self) -> int:
        """Number of outputs of a network for these classes: the classes and background."""
        return len(self.names) + 1

    @property
    def is_voc(self) -> bool:
        """Whether every name is a VOC class."""
        return all(name in VOC_CLASSES for name in self.names)

    def from_palette(self, palette_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn the palette indices of a file into positions.

        Args:
            palette_map: [...] uint8 palette indices.

        Returns:
            [...] uint8 positions 0..n; 255 for all other indices.
        """
        table = np.full(256, IGNORE, np.uint8)
        table[0] = 0
        table[list(self.indices)] = np.arange(1, self.n_outputs)
        return table[palette_map]

    def to_palette(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn positions into the palette indices of a file.

        Args:
            label_map: [...] uint8 positions 0..n.

        Returns:
            [...] uint8 palette indices; 255 for everything above n.
        """
        table = np.full(256, IGNORE, np.uint8)
        table[: self.n_outputs] = (0, *self.indices)
        return table[label_map]

    def name_of(self, position: int) -> str:
        """Return the name of the class at a position 1..n."""
        return self.names[position - 1]

    def keywords(self, names: Sequence[str]) -> "Keywords":
        """Look up the keywords of a picture, in their order.

        Raises:
            InputError: A keyword is not in the class list [class-unknown].
        """
        return Keywords(tuple(names), tuple(self.position(name) for name in names))

    def position(self, name: str) -> int:
        """Return the position 1..n of a class.

        Raises:
            InputError: No class has this name [class-unknown]; the message gives the nearest name.
        """
        if name not in self.names:
            near = nearest_name(name, self.names)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(self.names)}"
            raise InputError(
                f"class {name!r}: unknown, expected one of the {len(self.names)} classes; {hint}", "class-unknown"
            )
        return 1 + self.names.index(name)

    def described(self) -> dict[str, list[str] | list[int]]:
        """Return {names, indices} for a checkpoint; `ClassList(**described)` with tuples makes an equal list."""
        return {"names": list(self.names), "indices": list(self.indices)}

    def to_json(self) -> list[str]:
        """Return the names; `from_names` makes an equal list of them."""
        return list(self.names)


@dataclass(frozen=True)
class Keywords:
    """The K keywords of a picture.

    Attributes:
        names: Names of the K classes, as in the class list.
        positions: Positions of the same classes in the class list.
    """

    names: tuple[str, ...]
    positions: tuple[int, ...]

    def __len__(self) -> int:
        """Return K."""
        return len(self.names)

    def columns(self, positions: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the place of each class among the keywords.

        Args:
            positions: [N] positions in the class list, or 255 for an unknown class.

        Returns:
            [N] int64 in 0..K-1; -1 for a class that is no keyword of this picture.
        """
        table = np.full(256, -1, np.int64)
        table[list(self.positions)] = np.arange(len(self))
        columns: NDArray[np.int64] = table[positions]
        return columns

    def positions_of(self, columns: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the positions [N] of keywords by their columns 0..K-1; 255 for column -1: the inverse of `columns`."""
        positions: NDArray[np.int64] = np.array([*self.positions, IGNORE], np.int64)[columns]
        return positions


def load_classes(source: str) -> ClassList:
    """Read a class list.

    Args:
        source: `voc` for the twenty VOC classes, or a file with one name a line; blank lines are skipped. The file may
            be labelme's, whose first names are `__ignore__` and `_background_`, or a `labelmap.txt` with colours.

    Raises:
        InputError: There is no such file [file-missing], or its names make no class list, see `ClassList.from_names`.
    """
    if source == "voc":
        return ClassList.from_names(VOC_CLASSES)
    path = to_path(source)
    if not path.is_file():
        raise InputError(
            f"--classes {source}: no such file, expected 'voc' or a file of class names; check the path", "file-missing"
        )
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    coloured = [match.group(1).strip() for line in lines if (match := _COLOURED.fullmatch(line))]
    names = coloured if len(coloured) == sum(not line.startswith("#") for line in lines) else lines
    first = 0  # labelme numbers these two -1 and 0, so the name behind them is class 1
    while first < len(names) and names[first] in (IGNORED_NAME, *BACKGROUND_NAMES):
        first += 1
    return ClassList.from_names(names[first:], source)
