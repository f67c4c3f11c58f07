"""The output of a command: a table for people or one JSON object for programs. stdout receives nothing else."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from pipelines import __version__
from pipelines.errors import PartialFailure
from pipelines.files import plain

if TYPE_CHECKING:
    from pipelines.events import Events

SCHEMA_VERSION = 1


def run_and_print(command: str, work: "Callable[[Events], Mapping[str, Any]]", as_json: bool) -> None:
    """Run a stage and print the result.

    Args:
        command: Name of the command, for the schema.
        work: A function that receives the events and returns the result.
        as_json: Whether to print one JSON object instead of a table.

    Raises:
        PartialFailure: Some items failed. The result is printed nevertheless.
    """
    from pipelines.events import Events

    # Under torchrun every rank does the same work, and only one rank prints.
    speaks = os.environ.get("RANK", "0") == "0"
    # Libraries print notes on stdout. Such notes would break the one JSON object.
    with redirect_stdout(sys.stderr), open(os.devnull, "w") as silence:
        result = work(Events(None if speaks else silence))
    if speaks:
        print_result(command, result, as_json)
    if result.get("failed"):
        message = f"{result.get('out', command)}: {result['failed']} items failed, none expected"
        raise PartialFailure(f"{message}; failures.jsonl lists them", "items-failed")


def print_result(command: str, result: Mapping[str, Any], as_json: bool) -> None:
    """Print a result on stdout; `plain` gives the result its JSON form, with null for NaN."""
    if as_json:
        head = {"schema": f"s4/{command}/{SCHEMA_VERSION}", "s4_version": __version__}
        click.echo(json.dumps(plain({**head, **result}), allow_nan=False))
    else:
        click.echo("\n".join(table(plain(result))))


def table(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a two-column table; a nested mapping follows its name, indented.

    Two kinds of values follow as tables of their own. Mappings with the same keys, such as scores of the same classes,
    stand side by side, with a line for each key. A list of mappings has a line for each mapping and a column for each
    key. Only `--json` shows mappings nested in such a list.
    """
    alike = _alike(result)
    grids = {key: value for key, value in result.items() if _is_grid(value)}
    beside = {name for group in alike for name in group}
    rows = list(_rows({key: value for key, value in result.items() if key not in grids and key not in beside}, ""))
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        yield f"{name:<{width}}  {text}".rstrip()
    for group in alike:
        yield from _side_by_side(group)
    for name, records in grids.items():
        yield name
        yield from _grid(records)


def _alike(result: Mapping[str, Any]) -> list[dict[str, Mapping[str, Any]]]:
    """Return the flat mappings of a result, grouped by their keys, without groups of one mapping."""
    groups: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for name, value in result.items():
        if isinstance(value, Mapping) and value and not any(isinstance(part, Mapping) for part in value.values()):
            groups.setdefault(tuple(value), {})[name] = value
    return [group for group in groups.values() if len(group) > 1]


def _side_by_side(group: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    keys = next(iter(group.values()))
    yield from _columns([["", *group], *([key, *(_text(part[key]) for part in group.values())] for key in keys)])


def _is_grid(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _grid(records: list[Mapping[str, Any]]) -> Iterator[str]:
    keys = list(dict.fromkeys(key for item in records for key, part in item.items() if not isinstance(part, Mapping)))
    cells = [keys, *([_text(record[key]) if key in record else "" for key in keys] for record in records)]
    yield from ("  " + line for line in _columns(cells))


def _columns(cells: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()


def _rows(result: Mapping[str, Any], indent: str) -> Iterator[tuple[str, str]]:
    for key, value in result.items():
        if isinstance(value, Mapping):
            yield indent + key, ""
            yield from _rows(value, indent + "  ")
        else:
            yield indent + key, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value)
