"""The output of a command: a table for people or one JSON object for programs. stdout receives nothing else.

Lines about the work, and the line that says what comes next, go to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.config import StageConfig
from pipelines.config.outputs import written_since
from pipelines.engine.signals import Watch
from pipelines.errors import InputError, PartialFailure, printable
from pipelines.files import plain
from pipelines.stores.paths import is_address
from s4cli.error_object import described, error_object, head
from s4cli.next_step import next_step

if TYPE_CHECKING:
    from pipelines.events import Events

_ERRORS = "errors"  # the key of faults in inputs, see `pipelines.check`
_WARNINGS = "warnings"  # the key of what cannot be right in a result, see `pipelines.metrics.plausibility`
_UNSHOWN = (_ERRORS, _WARNINGS, "confusion")  # the counts of a confusion matrix are for `--json` and for pages
_EXPLAINED = {
    "rejected": "pictures without a label, by reason",
    "doubted": "instances without a label, by reason",
}


class PrintedFailure(PartialFailure):
    """Some items failed, and the printed result says so already."""


class PrintedFaults(PrintedFailure):
    """The inputs have faults on which a stage would fail, and the printed result lists them."""

    exit_code = InputError.exit_code


def _speaks() -> bool:
    """Return whether this process prints: under torchrun every rank does the same work, and only one rank prints."""
    return os.environ.get("RANK", "0") == "0"


def tell(line: str) -> None:
    """Print a line about the work on stderr, unless -q was given."""
    from pipelines.events import Loudness, tells  # brings a library

    if _speaks() and tells(Loudness.NORMAL):
        click.echo(printable(line), err=True)


def run_and_print(config: StageConfig, work: "Callable[[Events], Mapping[str, Any]]", as_json: bool) -> None:
    """Run a stage, print the result, and say what comes next.

    Args:
        config: Settings of the command.
        work: A function that receives the events and returns the result.
        as_json: Whether to print one JSON object instead of a table.

    Raises:
        PrintedFailure: Some items failed. The result is printed nevertheless.
    """
    from pipelines.events import Events

    started, wall = time.monotonic(), time.time()
    # Libraries print notes on stdout. Such notes would break the one JSON object.
    with redirect_stdout(sys.stderr), open(os.devnull, "w") as silence:
        events = Events(None if _speaks() else silence)
        result = work(events)
    _tell_details(config, events, time.monotonic() - started, wall)
    failure = _failure(config.command, result)
    if _speaks():
        error = {"error": described(failure.message, failure.rule, failure.exit_code)} if failure and as_json else {}
        dry = getattr(config, "dry_run", False)
        print_result(config.command, {**(_known(result) if dry and not as_json else result), **error}, as_json)
    if Watch.running is not None:
        Watch.running.result = failure.exit_code if failure else 0  # a signal cannot take back what was printed
    if _speaks():
        tell(next_step(config, plain(result)))
    if failure:
        raise failure


def _tell_details(config: StageConfig, events: "Events", seconds: float, since: float) -> None:
    """Tell, for -v, how long the work took and which files it wrote."""
    from pipelines.events import Loudness, tells

    if not _speaks() or not tells(Loudness.VERBOSE):
        return
    events.detail(f"{config.command}: took {seconds:.1f} s in all")
    for folder, count, size in written_since(config, since):
        events.detail(f"written: {folder}: {count} {'file' if count == 1 else 'files'}, {size / 1e6:.1f} MB")


def _failure(command: str, result: Mapping[str, Any]) -> PrintedFailure | None:
    """Return the error that tells how many items failed, and which file lists them; None if none failed."""
    if result.get(_ERRORS):
        count = len(result[_ERRORS])
        message = f"{command}: {count} {'error' if count == 1 else 'errors'} in the inputs, none expected"
        return PrintedFaults(f"{message}; mend what the result lists", "inputs-faulty")
    if not result.get("failed"):
        return None
    count, out = result["failed"], result.get("out", command)
    parts = [stage["result"] for stage in result.get("stages", ()) if isinstance(stage.get("result"), Mapping)]
    if "faults" in result:  # of a dry run
        message = f"dry run: {count} {'fault' if count == 1 else 'faults'} in the inputs, none expected"
        return PrintedFailure(f"{message}; the work would leave out what they name", "items-failed")
    folders = [str(part["out"]) for part in parts if part.get("failed") and "out" in part] or [out]
    message = f"{out}: {count} {'item' if count == 1 else 'items'} failed, none expected"
    listed = (
        f"{folders[0]}/failures.jsonl" if is_address(folders[0]) else (Path(folders[0]) / "failures.jsonl").as_posix()
    )
    return PrintedFailure(f"{message}; {listed} lists them", "items-failed")


def print_error(faults: Sequence[tuple[str, str]], exit_code: int) -> None:
    """Print an error on stdout as one JSON object.

    Args:
        faults: Message and rule of every fault that the error tells; several are listed besides.
        exit_code: The exit code.
    """
    if not _speaks():
        return
    click.echo(json.dumps(error_object(faults, exit_code)))


def print_result(command: str, result: Mapping[str, Any], as_json: bool) -> None:
    """Print a result on stdout; `plain` gives the result its JSON form, with null for NaN."""
    if as_json:
        click.echo(json.dumps(plain({**head(command), **result}), allow_nan=False))
    else:
        shown = {key: value for key, value in result.items() if key not in _UNSHOWN}
        click.echo("\n".join([*table(_printable(plain(shown))), *map(printable, _footnotes(result))]))


def _printable(value: Any) -> Any:
    """Return the same mappings and lists, with every text as a terminal can show it."""
    if isinstance(value, Mapping):
        return {printable(key): _printable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_printable(part) for part in value]
    return printable(value) if isinstance(value, str) else value


def _footnotes(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each error and each warning of a result: what cannot be right in it."""
    for error in result.get(_ERRORS, ()):
        yield f"error: {error['message']} [{error['rule']}]"
    for warning in result.get(_WARNINGS, ()):
        stage = f"{warning['stage']}: " if "stage" in warning else ""
        yield f"warning: {stage}{warning['message']} [{warning['rule']}]"


def _known(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a dry run without times, and without lists, values and columns of which nothing is known."""
    known: dict[str, Any] = {}
    for key, value in result.items():
        if _is_grid(value):
            parts = [(name, part) for record in value for name, part in record.items()]
            named = {name for name, part in parts if part is not None and name != "seconds"}
            value = [{name: part for name, part in record.items() if name in named} for record in value]
            value = value if len(named) > 1 else None  # a bare number of the line tells nothing
        if value is not None and value != [] and key not in ("seconds", "images_per_second"):
            known[key] = value
    return known


def table(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a two-column table; a nested mapping follows its name, indented.

    Two kinds of values follow as tables of their own. Mappings with the same keys, such as scores of the same classes,
    stand side by side, with a line for each key. A list of mappings has a line for each mapping and a column for each
    key. Only `--json` shows mappings nested in such a list.

    In nested mappings of numbers, names without a value are left out and counted: such classes do not occur.
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
    keys = list(next(iter(group.values())))
    known = [key for key in keys if any(part[key] is not None for part in group.values())]
    yield from _columns([["", *group], *([key, *(_text(part[key]) for part in group.values())] for key in known)])
    if len(known) < len(keys):
        yield _left_out(len(keys) - len(known))


def _left_out(rows: int) -> str:
    return f"({rows} {'row' if rows == 1 else 'rows'} without a value left out)"


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
            known = _with_values(value)
            if value:
                note = f"({_EXPLAINED[key]})" if key in _EXPLAINED else ""
                yield indent + key, _left_out(len(value) - len(known)) if len(known) < len(value) else note
            yield from _rows(known, indent + "  ")
        else:
            yield indent + key, _text(value)


def _with_values(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the named numbers that are known; a mapping that holds more than numbers stays as it is."""
    known = {name: part for name, part in numbers.items() if part is not None}
    return known if all(isinstance(part, int | float) for part in known.values()) else numbers


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value)
