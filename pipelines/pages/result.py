"""What a page shows of a result, whatever made the result."""

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.pages.shapes import is_right
from pipelines.report.display_colours import class_colours, css_colour
from pipelines.report.html import Link
from pipelines.stores.paths import is_address

REPORT = "report.html"
"""Name of the page in the folder of a result."""
_SCHEMA = 1


@dataclass(frozen=True)
class Shot:
    """A picture of a sheet, not drawn yet.

    Attributes:
        image_id: Id of the picture.
        certainty: 0..1; the lower it is, the more a person should look.
        caption: What is known of the picture, in words.
        draw: Return the drawn picture [H, W, 3].
    """

    image_id: str
    certainty: float
    caption: str
    draw: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Sheet:
    """The pictures of a result.

    Attributes:
        shots: The pictures.
        names: Names of the classes 1..n.
        order: What makes a picture doubtful, in a sentence.
        whole: Whether all shots are shown in their own order.
        shown: Names of the classes that the legend shows; None: all.
    """

    shots: Sequence[Shot]
    names: Sequence[str] = ()
    order: str = ""
    whole: bool = False
    shown: Collection[str] | None = None

    def legend(self) -> list[tuple[str, str]]:
        """Return (name, colour) of each class that is shown, and the stripes of unknown pixels without a colour."""
        if not self.names:
            return []
        colours = zip(self.names, map(css_colour, class_colours(len(self.names))), strict=True)
        return [*(one for one in colours if self.shown is None or one[0] in self.shown), ("unknown", "")]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result: labels, predictions, a run, an evaluation or a chain.

    Attributes:
        kind: The command that made it.
        name: What to call it: its path as the user gave it.
        settings: The settings by name, JSON values.
        environment: Versions and machine.
        figures: Numbers by name; None where there is none.
        per_class: IoU by class name.
        curves: The lines of a training's `metrics.jsonl`.
        left_out: (what was left out, why, how many).
        warnings: What cannot be right, in sentences.
        before: The pages of the stages before, by what they are: `labels`, `network`.
        confusion: {classes, pixels}, see `pipelines.report.training_charts.confusion_chart`; empty if not counted.
        precision: For each line the levels of `precision_chart`; empty if not counted.
        classes: Names of the classes 1..n, where they are known.
        pictures: Folder that the names of the pictures lead from; empty where it is not known.
        sheet: The pictures; None where there are none.
        first_batch: The file that shows the first batch of a training; None where there is none.
    """

    kind: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    per_class: Mapping[str, float | None] = field(default_factory=dict)
    curves: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[Sequence[Any]] = ()
    warnings: Sequence[str] = ()
    before: Mapping[str, str] = field(default_factory=dict)
    confusion: Mapping[str, Any] = field(default_factory=dict)
    precision: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[str] = ()
    pictures: str = ""
    sheet: Sheet | None = None
    first_batch: Path | None = None

    def facts(self) -> dict[str, Any]:
        """Return all but the pictures and curves as JSON values, for those who read the page again."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_FACTS}
        return {"schema": _SCHEMA, **kept}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Result":
        """Return the result that `facts` described; what is unknown or cannot be shown is left out."""
        empty = cls(kind="", name="")
        known = {f.name: facts[f.name] for f in fields(cls) if f.name in facts and f.name not in _NOT_FACTS}
        alike = {name: value for name, value in known.items() if _alike(value, getattr(empty, name))}
        right = {name: value for name, value in alike.items() if is_right(name, value)}
        return cls(**{"kind": "", "name": "", **right})


_NOT_FACTS = ("sheet", "first_batch", "curves")


def _alike(value: Any, usual: Any) -> bool:
    """Return whether a value of JSON is a mapping, text or list where the usual value is one."""
    kinds = (dict, str, list)
    return any(isinstance(value, kind) and isinstance(usual, (kind, tuple) if kind is list else kind) for kind in kinds)


def environment() -> dict[str, Any]:
    """Return versions and machine, without an import of torch."""
    return {
        "s4": _version("s4-segmentation"),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "arguments": " ".join(sys.argv[1:]),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def link_to(page: Path, other: str, words: str, kind: str) -> Link:
    """Return a link from a page to another page, relative to the folder of the first."""
    return Link(words, os.path.relpath(os.path.abspath(other), os.path.abspath(page.parent)), kind)


def page_of(place: Path | None) -> str | None:
    """Return where the page of a result lies; None for a word, a file or an address."""
    if place is None or is_address(place) or not place.is_dir():
        return None
    return os.path.abspath(place / REPORT)


def known_pages(**places: Path | None) -> dict[str, str]:
    """Return where the pages of the stages before lie, by what the stages gave."""
    pages = {name: page_of(place) for name, place in places.items()}
    return {name: page for name, page in pages.items() if page is not None}
