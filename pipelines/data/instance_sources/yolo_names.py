"""Names of classes as YOLO data sets have them: `classes.txt`, `obj.names`, or `names` in `data.yaml`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import InputError
from pipelines.files import read_text

NAME_FILES = ("classes.txt", "obj.names")
"""Files with a name a line."""
_TABLES = ("data.yaml", "data.yml", "dataset.yaml")
_MOST_NAMES = 100_000  # a list has a place for every number up to the highest
_LEVELS_UP = 2  # folders above the texts in which the names may stand

_START = re.compile(r"^names:[ \t]*(.*)$", re.MULTILINE)
_LINE = re.compile(r"\s*-\s+(.+)|\s+(\d{1,18})\s*:\s*(.+)")  # "- cat" or "  0: cat"
_PAIR = re.compile(r"(\d{1,18})\s*:\s*(.+)")  # "0: cat"


def find_names(folder: Path) -> Path | None:
    """Return the file with the names of the classes, in a folder or above; None without one."""
    places = [folder.absolute(), *list(folder.absolute().parents)[:_LEVELS_UP]]
    return next((p / name for p in places for name in (*_TABLES, *NAME_FILES) if (p / name).is_file()), None)


def read_names(path: Path) -> list[str]:
    """Read the names of the classes, by their numbers from 0.

    Raises:
        InputError: There are no names in the file [yolo-names].
    """
    text = read_text(path)
    if path.name in NAME_FILES:
        return [line.strip() for line in text.splitlines() if line.strip()]
    names = dict(_names_in_table(text))
    if not names:
        raise InputError(f"{path}: no names of classes in it, expected names: [...]; correct it", "yolo-names")
    if max(names) >= _MOST_NAMES:
        raise InputError(
            f"{path}: class number {max(names)}, expected numbers below {_MOST_NAMES}; correct it", "yolo-names"
        )
    return [names.get(number, "") for number in range(max(names) + 1)]


def _names_in_table(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and name of each class in the part `names` of a YAML file."""
    start = _START.search(text)
    if start is None:
        return
    if start.group(1)[:1] in ("[", "{"):  # [cat, dog] or {0: cat, 1: dog}, maybe over several lines
        inside = re.split(r"[\]}]", text[start.start(1) + 1 :])[0]
        for position, item in enumerate(inside.split(",")):
            pair = _PAIR.fullmatch(item.strip())
            if pair is not None:
                yield int(pair.group(1)), _plain(pair.group(2))
            elif item.strip():
                yield position, _plain(item)
        return
    below = text[start.end() :].strip("\n").splitlines()
    for position, line in enumerate(below):
        item = _LINE.fullmatch(line)
        if item is None:
            return
        yield (position, _plain(item.group(1))) if item.group(1) else (int(item.group(2)), _plain(item.group(3)))


def _plain(text: str) -> str:
    text = text.strip()
    if text.startswith('"') and "\\" in text:  # a text in YAML with escapes is one in JSON
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text.strip("'\"")
