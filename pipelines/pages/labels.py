"""The result of `s4 pseudo-label`: a label folder."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.setting import StageConfig, to_json
from pipelines.config.usual_places import recorded_pictures
from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile
from pipelines.data.label_folder import LabelFolder
from pipelines.data.picture_folders import find_pictures
from pipelines.data.record_files import MANIFEST, RECORDS, SETTINGS, Record, read_records
from pipelines.data.thumbnails import thumbnail
from pipelines.errors import S4Error
from pipelines.files import is_number, read_json
from pipelines.journal import Journal
from pipelines.pages.result import Result, Sheet, Shot, environment, known_pages
from pipelines.report.sheet import LONGEST, Tag, draw_regions, shrunk

_ORDER = (
    "A picture is as certain as its most doubtful labelled instance: score times margin of its keyword. A picture of "
    "which nothing is labelled, or with a keyword that no instance has, comes first."
)
_REASONS = {
    "low-score": "instance scored too low to be sure",
    "unrecognised": "instance that the recogniser knows as nothing of the picture",
}


def labels_result(
    folder: Path,
    pictures: Mapping[str, ImageFile] | None = None,
    config: StageConfig | None = None,
    **more: Any,
) -> Result:
    """Return what a label folder shows.

    Args:
        folder: The label folder, complete.
        pictures: Where each picture lies; None: where the folder says that they lie.
        config: Settings of the command that made the labels; None: what the folder tells of them.
        more: Further attributes of the result, such as `warnings`.

    Raises:
        S4Error: The records or settings of the folder are missing or damaged.
    """
    saved = read_json(folder / SETTINGS)
    records = read_records(Journal(folder / RECORDS))
    manifest = read_json(folder / MANIFEST)
    labels = LabelFolder(folder, ClassList.from_names(manifest["classes"], str(folder)), manifest)
    if pictures is None:
        pictures = _recorded(folder)
    settings = dict(saved.get("configuration", {}))
    counts = manifest.get("counts", {})
    made = {
        "settings": {**(to_json(config) if config is not None else {}), **settings},
        "environment": environment() if config is not None else {},
        "before": known_pages(
            network=getattr(config, "weights", None),
            labels=getattr(config, "cues_of", None),
        ),
    }
    return Result(
        kind="pseudo-label",
        name=str(folder),
        figures={name: value for name, value in counts.items() if is_number(value)},
        left_out=_left_out(records, counts),
        classes=labels.classes.names,
        sheet=Sheet(
            list(_shots(labels, records, pictures)),
            labels.classes.names,
            _ORDER,
            shown={keyword for record in records for keyword in record.get("keywords", ())},
        ),
        **{**made, **more},
    )


def _recorded(folder: Path) -> Mapping[str, ImageFile]:
    """Return the pictures where the folder says that they lie; none where they are gone."""
    try:
        places = recorded_pictures(folder)
        return find_pictures(places) if places else {}
    except S4Error:
        return {}


def _left_out(records: Sequence[Record], counts: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    rows = [("picture without a label", str(why), count) for why, count in counts.get("rejected", {}).items()]
    failed: dict[str, int] = {}
    for record in records:
        if "failed" in record:
            failed[record["failed"]["rule"]] = failed.get(record["failed"]["rule"], 0) + 1
    rows += [("picture that failed", why, count) for why, count in failed.items()]
    doubted = counts.get("doubted", {}).items()
    rows += [("instance without a label", _REASONS.get(why, str(why)), count) for why, count in doubted]
    if counts.get("missing_keywords"):
        rows.append(("keyword", "no instance of the picture has it", counts["missing_keywords"]))
    return rows


def _shots(labels: LabelFolder, records: Sequence[Record], pictures: Mapping[str, ImageFile]) -> Any:
    for record in records:
        image_id = record["image_id"]
        if "failed" not in record and image_id in pictures:
            draw = partial(_drawn, labels, record, pictures[image_id])
            yield Shot(image_id, certainty(record), _caption(record), draw)


def certainty(record: Record) -> float:
    """Return how certain the labels of a picture are, 0..1.

    Args:
        record: The picture's record in `records.jsonl`.

    Returns:
        The least score times margin over the labelled instances; less than 0.1 if a keyword has no instance, 0 if the
        picture has no label.
    """
    sure = [
        float(instance["score"]) * min(1.0, float(1.0 if instance.get("margin") is None else instance["margin"]))
        for instance in record["instances"]
        if instance["keyword"] is not None and not instance.get("doubt")
    ]
    if record["rejected"] or not sure:
        return 0.0
    return 0.1 * min(sure) if record["missing"] else min(sure)


def _caption(record: Record) -> str:
    words = [f"keywords: {', '.join(record['keywords'])}"]
    if record["rejected"]:
        words.append(f"no label: {record['rejected']}")
    if record["missing"]:
        words.append(f"without an instance: {', '.join(record['missing'])}")
    labelled = [each for each in record["instances"] if each["keyword"] is not None]
    best = sorted(labelled, key=lambda each: -each["score"])[:4]
    words.append("; ".join(_of_instance(each) for each in best) or "no instance")
    if len(labelled) > len(best):
        words.append(f"{len(labelled) - len(best)} more instances")
    return ". ".join(words)


def _of_instance(instance: Mapping[str, Any]) -> str:
    margin = instance.get("margin")
    told = f"{instance['keyword']} {instance['score']:.2f}"
    told += f", margin {margin:.2f}" if margin is not None else ""
    return told + (f", {instance['doubt']}" if instance.get("doubt") else "")


def _drawn(labels: LabelFolder, record: Record, picture: ImageFile) -> NDArray[np.uint8]:
    small = thumbnail(picture, LONGEST)
    regions = shrunk(labels.read_label(record["image_id"]), small.shape[:2])
    scale = small.shape[1] / record["width"]
    tags = []
    for each in sorted(record["instances"], key=lambda each: (bool(each.get("doubt")), -each["score"])):
        if each["keyword"] is None:
            text, position = f"? {each['score']:.2f}", 0
        else:
            text, position = f"{each['keyword']} {each['score']:.2f}", labels.classes.position(each["keyword"])
        corner = (each["box"][0] * scale, each["box"][1] * scale)
        tags.append(Tag(text + (" ?" if each.get("doubt") else ""), corner, position))
    return draw_regions(small, regions, tags)
