"""Instances in COCO's form, for other programs."""

from collections.abc import Iterable, Mapping
from typing import Any


def coco_json(records: Iterable[Mapping[str, Any]], categories: Mapping[str, int]) -> dict[str, Any]:
    """Return the instances of pictures as one COCO object.

    Args:
        records: A record for each picture: file_name, height, width, and instances {box xyxy in pixels and half-open,
            score, keyword, area, segmentation}. Records with `failed` are left out, and instances without a keyword.
        categories: The id of each keyword.

    Returns:
        {images, annotations, categories}; the ids of images and annotations count from 1.

    Raises:
        KeyError: A record lacks something.
        TypeError: A part of a record is of another type.
        ValueError: A box has not four sides.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, record in enumerate((record for record in records if "failed" not in record), start=1):
        images.append(_image(number, record))
        for instance in record["instances"]:
            if instance["keyword"] is not None:
                annotations.append(_annotation(len(annotations) + 1, number, instance, categories))
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }


def _image(number: int, record: Mapping[str, Any]) -> dict[str, Any]:
    size = {name: record[name] for name in ("height", "width")}
    if not isinstance(record["file_name"], str) or any(type(side) is not int for side in size.values()):
        raise TypeError("file_name is no text, or height or width no whole number")
    return {"id": number, "file_name": record["file_name"], **size}


def _annotation(number: int, image: int, instance: Mapping[str, Any], categories: Mapping[str, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = instance["box"]
    return {
        "id": number,
        "image_id": image,
        "category_id": categories[instance["keyword"]],
        "iscrowd": 0,
        "area": instance["area"],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "score": instance["score"],
        "segmentation": instance["segmentation"],
    }
