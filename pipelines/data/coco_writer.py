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
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, record in enumerate((record for record in records if "failed" not in record), start=1):
        size = {"height": record["height"], "width": record["width"]}
        images.append({"id": number, "file_name": record["file_name"], **size})
        for instance in record["instances"]:
            if instance["keyword"] is not None:
                x0, y0, x1, y1 = instance["box"]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": categories[instance["keyword"]],
                        "iscrowd": 0,
                        "area": instance["area"],
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "score": instance["score"],
                        "segmentation": instance["segmentation"],
                    }
                )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
