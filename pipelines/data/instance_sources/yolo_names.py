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
_QUOTED = r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'"""
_COMMENT = re.compile(rf"(?:^|(?<=[\s\[{{,:]))({_QUOTED})|(?:^|(?<=\s))\#.*", re.MULTILINE)
# A number, perhaps in quotes; `'12: x'` is no number in quotes.
_KEY = r"""(?:"(?=[0-9]+")|'(?=[0-9]+'))?([0-9]{1,18})["']?\s*+:"""
_LINE = re.compile(rf"\s*+-(?:\s+(.*))?|\s++{_KEY}\s*(.*)")  # "- cat" or "  0: cat"
# Of [cat, dog] or {0: cat, 1: "salt, pepper"}, with what comes after it.
_ITEM = re.compile(rf"\s*+(?:{_KEY}\s*+)?((?:{_QUOTED})\s*+|[^,\[\]{{}}]*+)(.?)", re.DOTALL)


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
    text = _COMMENT.sub(lambda found: found.group(1) or "", text)
    start = _START.search(text)
    if start is None:
        return
    items = (
        _in_brackets(text, start.start(1) + 1) if start.group(1)[:1] in ("[", "{") else _in_lines(text[start.end() :])
    )
    for position, (number, name) in enumerate(items):
        if name.strip():
            yield position if number is None else int(number), _plain(name)


def _in_brackets(text: str, place: int) -> Iterator[tuple[str | None, str]]:
    """Yield number, if there is one, and name of the items of a list in brackets, maybe over several lines."""
    end = ","
    while end == "," and (item := _ITEM.match(text, place)) is not None:
        number, name, end = item.groups()
        yield number, name
        place = item.end()


def _in_lines(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield number, if there is one, and name of the items of a list with a line for each."""
    for line in filter(str.strip, text.splitlines()):
        item = _LINE.fullmatch(line)
        if item is None:
            return
        yield item.group(2), item.group(1) or item.group(3) or ""


def _plain(text: str) -> str:
    """Return a text of YAML without its quotes; one with escapes is nearly one of JSON."""
    text = text.strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        return text
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text[1:-1]
