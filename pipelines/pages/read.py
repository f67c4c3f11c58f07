"""What a folder or file holds: a run, labels, predictions, a chain, an evaluation, or a page of one of them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile
from pipelines.data.picture_folders import find_pictures
from pipelines.data.record_files import MANIFEST, RECORDS, SETTINGS, read_records
from pipelines.errors import InputError, S4Error
from pipelines.files import is_number, read_json
from pipelines.journal import Journal
from pipelines.pages.evaluations import evaluation_result
from pipelines.pages.labels import labels_result
from pipelines.pages.predictions import predictions_result
from pipelines.pages.result import REPORT, Result
from pipelines.pages.runs import run_result
from pipelines.pages.shapes import is_right
from pipelines.report.html import read_facts
from pipelines.stores.paths import is_file

_EXPECTED = "a run, a label folder, predictions, the folder of s4 run, or the JSON of s4 evaluate expected"


def read_result(path: Path, images: Sequence[Path] = ()) -> Result:
    """Return what a path holds, to be shown.

    Args:
        path: Folder or file.
        images: Folders of the pictures; none: those that the result names.

    Raises:
        InputError: The path holds nothing of the kind [report-unknown], or what it holds is damaged.
    """
    try:
        result = _read(path, images)
        for field in fields(result):
            if not is_right(field.name, getattr(result, field.name)):
                raise ValueError(f"{field.name} cannot be shown")
        return result
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:  # JSON of another shape
        message = f"{path}: its files are not as s4 writes them ({type(error).__name__}: {error}), {_EXPECTED}"
        raise InputError(f"{message}; restore it", "report-damaged") from error


def _read(path: Path, images: Sequence[Path]) -> Result:
    if path.is_file():
        return _from_file(path)
    if (path / MANIFEST).is_file():
        return _labels(path, images)
    if (path / SETTINGS).is_file() and (path / RECORDS).is_file():
        return _predictions(path, images)
    if (path / "state.json").is_file() and (path / "results.json").is_file():
        return _chain(path)
    if (path / "config.json").is_file():
        return run_result(path)
    raise InputError(f"{path}: holds no result of s4, {_EXPECTED}; check the path", "report-unknown")


def _from_file(path: Path) -> Result:
    if path.suffix.lower() in (".html", ".htm"):
        return replace(Result.from_facts(read_facts(path)[0]), name=str(path))
    content = read_json(path)
    keys = ("miou", "ap", "iou", "per_class")
    if not isinstance(content, dict) or not any(key in content for key in keys):
        raise InputError(f"{path}: holds no scores, {_EXPECTED}; check the path", "report-unknown")
    return evaluation_result(content, str(path))


def _earlier(path: Path) -> Result:
    """Return what the page in a folder tells; an empty result where there is none."""
    with suppress(S4Error):
        return Result.from_facts(read_facts(path / REPORT)[0])
    return Result(kind="", name="")


def _labels(path: Path, images: Sequence[Path]) -> Result:
    told = _earlier(path)
    pictures = find_pictures(images) if images else None
    return _with_told(labels_result(path, pictures), told)


def _predictions(path: Path, images: Sequence[Path]) -> Result:
    told = _earlier(path)
    folders = list(images) or ([Path(told.pictures)] if told.pictures else [])
    pictures: dict[str, ImageFile] = {}
    for folder in folders:
        for record in read_records(Journal(path / RECORDS)):
            file = folder / str(record.get("file_name"))
            if is_file(file):
                pictures[record["image_id"]] = file
    classes = ClassList.from_names(list(told.classes), str(path)) if told.classes else None
    return _with_told(predictions_result(path, pictures, classes=classes, pictures=told.pictures), told)


def _with_told(result: Result, told: Result) -> Result:
    """Return a result with what only the page of the command that made it tells."""
    if told.kind != result.kind:
        return result
    environment: dict[str, Any] = {"environment": told.environment, "before": told.before, "warnings": told.warnings}
    return replace(result, settings={**told.settings, **result.settings}, **environment)


def _chain(path: Path) -> Result:
    results = read_json(path / "results.json")
    per_class: dict[str, Any] = {}
    figures: dict[str, Any] = {"miou": results.get("miou"), "seconds": results.get("seconds")}
    for record in results["stages"]:
        given = record["result"]
        per_class = given["per_class"] if isinstance(given.get("per_class"), dict) else per_class
        numbers = {name: value for name, value in given.items() if is_number(value)}
        figures |= {f"{record['stage']} {name}": value for name, value in numbers.items()}
    warnings = [f"{each['stage']}: {each['message']} [{each['rule']}]" for each in results.get("warnings", ())]
    return Result(kind="run", name=str(path), figures=figures, per_class=per_class, warnings=warnings)
