"""The result of `s4 evaluate`: what the command prints, or the JSON file that keeps it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.setting import StageConfig, to_json
from pipelines.data.thumbnails import thumbnail
from pipelines.files import is_number, plain
from pipelines.pages.result import Result, Sheet, Shot, environment, known_pages
from pipelines.report.overlays import side_by_side
from pipelines.report.sheet import draw_regions, placed_tags, shrunk

_HALF = 240  # longest side of each of two pictures
_ORDER = (
    "Pictures with the lowest mIoU of their own first: what was given on the left, the truth on the right. A class "
    "that only one of both shows counts as 0."
)
CONFUSION = "confusion"
"""Key of the confusion matrix in the result of `evaluate`."""
_LINES = {"reliability": "foreground", "background_reliability": "background"}


def evaluation_result(
    result: Mapping[str, Any],
    name: str,
    config: StageConfig | None = None,
    sheet: Sheet | None = None,
) -> Result:
    """Return what the result of `evaluate` shows.

    Args:
        result: The result, or the content of its JSON file.
        name: What to call it.
        config: Settings of the command; None if they are not known.
        sheet: The worst pictures; None if they are not known.
    """
    known: dict[str, Any] = plain(result)
    parts = {_LINES[key]: known[key] for key in _LINES if isinstance(known.get(key), list)}
    names = ("split", "list_sha256", "source", "scales", "flip", "crf", "crf_preset")
    told = {key: known[key] for key in names if known.get(key) is not None}
    settings = {key: value for key, value in to_json(config).items() if value is not None} if config is not None else {}
    confusion = known.get(CONFUSION)
    missing = known.get("missing")
    return Result(
        kind="evaluate",
        name=name,
        settings={**settings, **told},
        environment=environment() if config is not None else {},
        figures=_figures(known),
        per_class=_mapping(known.get("per_class")),
        left_out=[("picture of the list", "no prediction", missing)] if missing else [],
        warnings=[f"{each['message']} [{each['rule']}]" for each in known.get("warnings") or () if "rule" in each],
        before=known_pages(
            network=getattr(config, "weights", None),
            labels=getattr(config, "labels", None),
            predictions=getattr(config, "predictions", None),
        ),
        confusion=_mapping(confusion),
        precision=parts,
        sheet=sheet,
    )


def _figures(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a result, those of one level below with both names."""
    figures: dict[str, Any] = {}
    for name, value in known.items():
        if _is_figure(name, value):
            figures[name] = value
        elif isinstance(value, dict) and name in ("occluded", "versus", "assignment"):
            figures |= {f"{name} {inner}": one for inner, one in value.items() if _is_figure(inner, one)}
        elif name.endswith("_interval") and isinstance(value, list):
            ends = zip(("low", "high"), value, strict=False)
            figures |= {f"{name.removesuffix('_interval')} 95 % {end}": one for end, one in ends}
    return figures


def _is_figure(name: str, value: Any) -> bool:
    return is_number(value) and name not in ("schema", "crf", "flip", "missing")


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def worst_sheet(worst: Sequence[Any], pictures: Mapping[str, Path], names: Sequence[str]) -> Sheet | None:
    """Return the sheet of the worst pictures.

    Args:
        worst: Objects with image_id, miou, given and truth, see `pipelines.scoring.worst_pictures`.
        pictures: Where each picture lies; others are left out.
        names: Names of the classes 1..n.
    """
    shots = [
        Shot(each.image_id, each.miou, f"mIoU {100 * each.miou:.1f} %", partial(_drawn, each, pictures, names))
        for each in worst
        if each.image_id in pictures
    ]
    return Sheet(shots, names, _ORDER, whole=True) if shots else None


def _drawn(each: Any, pictures: Mapping[str, Path], names: Sequence[str]) -> NDArray[np.uint8]:
    small = thumbnail(pictures[each.image_id], _HALF)
    halves = []
    for part in (each.given, each.truth):
        regions = shrunk(part, small.shape[:2])
        halves.append(draw_regions(small, regions, placed_tags(regions, names)))
    return side_by_side(halves, ["given", "truth"])
