"""What labels to train on hold, in a few lines for people."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.data.label_crops import LabelledPictures
from pipelines.data.label_folder import LabelFolder
from pipelines.data.notes import first_names

_CLASSES = 20  # that a line names


def pictures_by_class(labels: LabelFolder, pictures: LabelledPictures) -> dict[str, int]:
    """Return class name -> number of pictures whose label map shows the class; `pictures` are checked."""
    return dict(zip(labels.classes.names, map(int, pictures.classes_shown().sum(axis=0)), strict=True))


def summary_line(labels: LabelFolder, pictures: LabelledPictures) -> str:
    """Return one line: how many pictures, how many of them show each class, and what the labels are.

    Args:
        labels: The label folder.
        pictures: The pictures to train on, checked.
    """
    counts = pictures_by_class(labels, pictures)
    shown = [f"{name} {count}" for name, count in counts.items() if count]
    kind = _kind(labels.manifest) if labels.manifest else "ground truth, drawn by people"
    described = f"{kind}, {_percent(pictures.unknown_share())} unknown pixels"
    return f"{labels.path}: {len(pictures)} pictures: {first_names(shown, _CLASSES) or 'no class'} ({described})"


def manifest_line(labels: LabelFolder) -> str:
    """Return the whole manifest of pseudo labels as one line, for the log of a run."""
    return f"{labels.path}: pseudo labels {json.dumps(labels.manifest)}"


def _kind(manifest: Mapping[str, Any]) -> str:
    """Return that labels are pseudo labels, and as far as the manifest says it, how keywords were given."""
    configuration = manifest.get("configuration")
    strategy = configuration.get("strategy") if isinstance(configuration, Mapping) else None
    return f"pseudo labels by strategy {strategy}" if isinstance(strategy, str) else "pseudo labels"


def _percent(share: float) -> str:
    """Return a share in percent: without decimals from 1 % on, and never as 0 if it is more."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else "under 1 %"
