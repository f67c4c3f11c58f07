"""The result of `s4 predict`: a folder of label maps or of instances."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.setting import StageConfig, to_json
from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile
from pipelines.data.label_maps import read_palette_map
from pipelines.data.record_files import RECORDS, SETTINGS, Record, read_records
from pipelines.data.rle import decode_masks
from pipelines.data.thumbnails import thumbnail
from pipelines.files import read_json
from pipelines.journal import Journal
from pipelines.pages.result import Result, Sheet, Shot, environment, known_pages
from pipelines.report.overlays import FAINT
from pipelines.report.sheet import LONGEST, Tag, draw_regions, placed_tags, shrunk
from pipelines.stores.paths import is_address, is_file

_DRAWN = 12  # instances of a picture, the best ones
_MAPS = (
    "A picture in which nothing was found comes first, then those with the least outline: their label maps are the "
    "smallest files for their size."
)
_INSTANCES = (
    f"A picture is as certain as the score of its best instance. Instances scored below {FAINT:g} are not drawn."
)


def predictions_result(
    folder: Path,
    where: Mapping[str, ImageFile] | None = None,
    config: StageConfig | None = None,
    classes: ClassList | None = None,
    **more: Any,
) -> Result:
    """Return what a folder of predictions shows.

    Args:
        folder: The folder, complete.
        where: Where each picture lies; None: nothing is known, and no picture is shown.
        config: Settings of the command that made the predictions; None: what the folder tells of them.
        classes: Classes of the label maps; None: the classes have numbers for names.
        more: Further attributes of the result.

    Raises:
        S4Error: The records or settings of the folder are missing or damaged.
    """
    saved = read_json(folder / SETTINGS)
    records = read_records(Journal(folder / RECORDS))
    maps = saved.get("network") == "deeplab"
    done = [record for record in records if "failed" not in record]
    failed: dict[str, int] = {}
    for record in records:
        if "failed" in record:
            failed[record["failed"]["rule"]] = failed.get(record["failed"]["rule"], 0) + 1
    figures: dict[str, Any] = {"images": len(records), "written": len(done), "failed": len(records) - len(done)}
    if not maps:
        figures["instances"] = sum(len(record["instances"]) for record in done)
    shown = classes or (ClassList.from_names([f"class {n}" for n in range(1, 255)]) if maps else None)
    there = [(record, where[record["image_id"]]) for record in done if where and record["image_id"] in where]
    made = {
        "settings": {**(to_json(config) if config is not None else {}), **saved.get("configuration", {})},
        "environment": environment() if config is not None else {},
        "before": known_pages(network=getattr(config, "weights", None)),
    }
    sheet = _sheet(folder, there, shown, classes) if there else None
    return Result(
        kind="predict",
        name=str(folder),
        figures=figures,
        left_out=[("picture that failed", rule, count) for rule, count in failed.items()],
        classes=classes.names if classes else (),
        sheet=sheet,
        **{**made, **more},
    )


def _sheet(
    folder: Path, there: Sequence[tuple[Record, ImageFile]], shown: ClassList | None, named: ClassList | None
) -> Sheet:
    if shown is None:
        return Sheet(list(_instance_shots(there)), (), _INSTANCES)
    return Sheet(list(_map_shots(folder, there, shown)), named.names if named else (), _MAPS)


def _instance_shots(there: Sequence[tuple[Record, ImageFile]]) -> Iterator[Shot]:
    for record, picture in there:
        scores = sorted((each["score"] for each in record["instances"]), reverse=True)
        words = f"instances: {', '.join(f'{score:.2f}' for score in scores[:6])}" if scores else "no instance"
        words += f" and {len(scores) - 6} more" if len(scores) > 6 else ""
        certain = float(scores[0]) if scores else 0.0
        yield Shot(record["image_id"], certain, words, partial(_drawn_instances, record, picture))


def _map_shots(folder: Path, there: Sequence[tuple[Record, ImageFile]], classes: ClassList) -> Iterator[Shot]:
    for record, picture in there:
        path = folder / f"{record['image_id']}.png"
        # A label map of one class alone takes next to no bytes: so the order needs no look into all of them.
        is_here = not is_address(path) and is_file(path)
        share = path.stat().st_size / max(1, record["height"] * record["width"]) if is_here else 0.0
        yield Shot(record["image_id"], min(1.0, share), "", partial(_drawn_map, path, picture, classes))


def _drawn_instances(record: Record, picture: ImageFile) -> NDArray[np.uint8]:
    small = thumbnail(picture, LONGEST)
    best = sorted(record["instances"], key=lambda each: -each["score"])[:_DRAWN]
    best = [each for each in best if each["score"] >= FAINT]
    regions: NDArray[np.uint8] = np.zeros(small.shape[:2], np.uint8)
    tags = []
    for number, each in reversed(list(enumerate(best, start=1))):  # the best one on top
        (mask,) = decode_masks([each["segmentation"]], record["height"], record["width"])
        regions[shrunk(mask, small.shape[:2]) > 0] = number
        scale = small.shape[1] / record["width"]
        tags.append(Tag(f"{each['score']:.2f}", (each["box"][0] * scale, each["box"][1] * scale), number))
    return draw_regions(small, regions, tags[::-1])


def _drawn_map(path: Path, picture: ImageFile, classes: ClassList) -> NDArray[np.uint8]:
    small = thumbnail(picture, LONGEST)
    regions = shrunk(classes.from_palette(read_palette_map(path, classes)), small.shape[:2])
    return draw_regions(small, regions, placed_tags(regions, classes.names))
