"""The result of `s4 train` and `s4 deeplab-train`: a run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.data.record_files import MANIFEST
from pipelines.errors import S4Error
from pipelines.files import is_number, read_json
from pipelines.journal import Journal
from pipelines.pages.result import Result, known_pages

FIRST_BATCH = Path("overlays", "first-batch.jpg")
"""Where a run shows its first batch."""


def run_result(run: Path, warnings: list[str] | None = None) -> Result:
    """Return what a run folder shows; files that are missing or damaged leave their part out.

    Args:
        run: The folder.
        warnings: What cannot be right, as the training told it.
    """
    settings, status = _mapping(run / "config.json"), _mapping(run / "status.json")
    curves = Journal(run / "metrics.jsonl").read()
    trains_on_labels = "labels" in settings
    first = run / FIRST_BATCH
    labels = _path(settings.get("labels"))
    names = _mapping(labels / MANIFEST).get("classes") if labels is not None else None
    return Result(
        kind="deeplab-train" if trains_on_labels else "train",
        name=str(run),
        settings=settings,
        environment=_mapping(run / "environment.json"),
        figures=_figures(status, curves),
        curves=curves,
        warnings=[*(warnings or []), *_ending(status)],
        before=known_pages(labels=labels, network=_path(settings.get("start_from"))),
        classes=names if isinstance(names, list) else (),
        first_batch=first if first.is_file() else None,
    )


def _figures(status: Mapping[str, Any], curves: list[dict[str, Any]]) -> dict[str, Any]:
    """Return state, steps and seconds, the best scores, and the last losses."""
    figures: dict[str, Any] = {"state": status.get("state"), "steps": status.get("step")}
    figures["seconds"] = status.get("seconds")
    scores: dict[str, list[float]] = {}
    losses: dict[str, float] = {}
    for record in curves:
        for name, value in record.items():
            if not is_number(value):
                continue
            if name.startswith("val_"):
                scores.setdefault(name.removeprefix("val_"), []).append(value)
            elif name not in ("step", "lr"):
                losses[name] = value
    figures |= {f"best {name}": max(values) for name, values in scores.items()}
    return figures | {f"last {name} loss": value for name, value in losses.items()}


def _ending(status: Mapping[str, Any]) -> list[str]:
    if status.get("state") in (None, "done", "running"):
        return []
    pictures = status.get("pictures") or []
    named = f"; pictures of the step: {', '.join(map(str, pictures[:12]))}" if pictures else ""
    return [f"the training ended as {status['state']}: {status.get('reason') or 'no reason told'}{named}"]


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except S4Error:
        return {}
    return content if isinstance(content, dict) else {}


def _path(value: Any) -> Path | None:
    return Path(value) if isinstance(value, str) else None
