"""Whether the parts of a result that come from a file are as s4 writes them: a page draws numbers, not words."""

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.files import is_number

_MOST = 2**53  # pixels: whole numbers up to it are exact as floats


def is_right(name: str, value: Any) -> bool:
    """Return whether a part of a `Result` can be shown; those that are shown as text, whatever they are, always can.

    Args:
        name: Name of the attribute.
        value: Its value.
    """
    return name not in _RIGHT or _RIGHT[name](value)


def _texts(value: Any) -> bool:
    return all(isinstance(each, str) for each in value)


def _shares(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_share_or_none, value.values()))


def _share_or_none(value: Any) -> bool:
    return value is None or (is_number(value) and 0 <= value <= 1)


def _count(value: Any) -> bool:
    return is_number(value) and 0 <= value <= _MOST


def _rows_of_three(value: Any) -> bool:
    return all(isinstance(row, list | tuple) and len(row) == 3 for row in value)


def _confusion(value: Any) -> bool:
    """Without classes there is none; n names have n rows of n + 1 numbers."""
    if not isinstance(value, Mapping):
        return False
    classes, rows = value.get("classes") or [], value.get("pixels") or []
    if not isinstance(classes, list) or not isinstance(rows, list) or not _texts(classes):
        return False
    square = len(rows) == len(classes) and all(isinstance(row, list) and len(row) == len(rows) + 1 for row in rows)
    return not (classes and rows) or (square and all(_count(each) for row in rows for each in row))


def _levels(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(levels, list) and all(map(_level, levels)) for levels in value.values()
    )


def _level(value: Any) -> bool:
    if not isinstance(value, Mapping) or not _count(value.get("pixels")):
        return False
    ends = value.get("confidence")
    if not isinstance(ends, list | tuple) or len(ends) != 2 or None in ends:
        return False
    return all(map(_share_or_none, (*ends, value.get("precision"))))


_RIGHT: dict[str, Callable[[Any], bool]] = {
    "per_class": _shares,
    "warnings": _texts,
    "before": lambda value: _texts(value.values()),
    "left_out": _rows_of_three,
    "confusion": _confusion,
    "precision": _levels,
    "classes": _texts,
}
