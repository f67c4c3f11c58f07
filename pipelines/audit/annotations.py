"""COCO files: pictures that are missing or of another size, masks without pixels, ids that stand for nothing."""

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pipelines.audit.findings import Findings, Heard
from pipelines.data.coco import listed_pictures, load_coco
from pipelines.data.coco_file import as_key, read_coco_file
from pipelines.data.coco_masks import MaskReader, any_drawn_before_exif, size_of
from pipelines.data.images import picture_frame
from pipelines.data.notes import Notes
from pipelines.data.placement import placement
from pipelines.data.rle import MaskSizeError, read_rle
from pipelines.errors import InputError, S4Error
from pipelines.files import is_number, read_json
from pipelines.stores.paths import is_file

_UNKNOWN_PICTURE = "image_id is that of no picture"  # of a line of `read_coco_file`


def check_annotations(file: Path, images: Path | None, findings: Findings) -> dict[str, Path]:
    """Check a COCO file as a training would read it, and more.

    Args:
        file: The file.
        images: Folder of its pictures; None if it was not found.
        findings: Receives what is found.

    Returns:
        Where the pictures lie, by their names in the file; none where that cannot be told.
    """
    try:
        content = read_json(file)
        read_coco_file(file, Notes(), content)
    except S4Error as error:
        findings.raised(error)
        return {}
    _check_ids(file, content, findings)
    _check_emptiness(file, content, findings)
    has_masks = any(one.get("segmentation") for one in content["annotations"])
    del content  # a file of COCO itself takes a gigabyte
    if images is None:
        message = f"{file}: its pictures were not found below {findings.place}, a folder with all of them expected"
        findings.error("coco-picture-missing", f"{message}; name the folder above both")
        return {}
    if has_masks:
        _check_as_training(file, images, findings)
    return {name: path for name, path in listed_pictures(file, images).items() if is_file(path)}


def _check_as_training(file: Path, images: Path, findings: Findings) -> None:
    """Read the file as a training does; where that fails, look for the other faults too."""
    heard = Heard()
    try:
        load_coco(file, images, heard)
    except S4Error as error:
        findings.raised(error)
        _check_each(file, images, findings)
    for line in heard.warnings:
        findings.warning("coco-unknown-image" if _UNKNOWN_PICTURE in line else "left-out", f"{line}; correct the file")


def _check_each(file: Path, images: Path, findings: Findings) -> None:
    """Note every picture that is damaged, or that does not fit the file."""
    notes = Notes()
    places = listed_pictures(file, images)
    listed = [image for image in read_coco_file(file, notes) if is_file(places[image.file_name])]
    pairs = []
    for image in listed:
        try:
            pairs.append((image, picture_frame(places[image.file_name])))
        except InputError as error:
            findings.error(error.rule, error.message)
    reader = MaskReader(file, notes, any_drawn_before_exif((image.size, frame) for image, frame in pairs))
    sizes, masks = [], []
    for image, frame in pairs:
        try:
            placement(image.size or frame.shown, frame)
        except MaskSizeError as error:
            sizes.append(f"{image.file_name}: {error}")
            continue
        try:
            reader.read(image.file_name, image.annotations, image.size, frame)
        except MaskSizeError as error:
            masks.append(f"{image.file_name}: {error}")
    advice = "use the pictures that were annotated"
    findings.cases("coco-picture-size", f"{file}: pictures of another size than listed", sizes, advice, True)
    findings.cases("coco-mask", f"{file}: masks of another size than their picture", masks, advice, True)


def _check_ids(file: Path, content: dict[str, Any], findings: Findings) -> None:
    categories = content.get("categories")
    listed = categories if isinstance(categories, list) else []
    known = {as_key(one.get("id")) for one in listed if isinstance(one, dict)}
    if known:
        strange = [str(one.get("id")) for one in content["annotations"] if as_key(one.get("category_id")) not in known]
        what = f"{file}: annotations whose category_id is in no list of the file, one of {len(known)} expected"
        findings.cases("coco-category-unknown", what, strange, "add the category, or correct the annotations")


def _check_emptiness(file: Path, content: dict[str, Any], findings: Findings) -> None:
    masks = [one for one in content["annotations"] if "segmentation" in one]
    empty = [str(one.get("id")) for one in masks if _is_empty(one["segmentation"])]
    what = f"{file}: annotations whose mask has no pixel, one or more expected"
    findings.cases("coco-mask-empty", what, empty, "draw them anew, or remove them")
    if content["annotations"]:
        used = {as_key(one.get("image_id")) for one in content["annotations"]}
        bare = [str(one.get("file_name")) for one in content["images"] if as_key(one.get("id")) not in used]
        what = f"{file}: pictures without an annotation, which a training takes for pictures without an object"
        findings.cases("coco-no-instance", what, bare, "annotate them, or remove them if objects show there")


def _is_empty(segmentation: Any) -> bool:
    """Return whether a mask has no pixel; what is damaged is told elsewhere."""
    if isinstance(segmentation, list):
        return all(isinstance(one, list) and _area(one) == 0 for one in segmentation)
    if not isinstance(segmentation, dict):
        return False
    try:
        return int(coco_mask.area(read_rle(segmentation, *size_of(segmentation)))) == 0
    except ValueError:
        return False


def _area(polygon: list[Any]) -> float:
    """Return the area of a polygon x1, y1, x2, y2, ... by the shoelace formula; 1 for what is no polygon."""
    if len(polygon) % 2 or not all(map(is_number, polygon)):
        return 1.0
    if len(polygon) < 6:
        return 0.0
    x, y = np.reshape(np.array(polygon, np.float64), (-1, 2)).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
