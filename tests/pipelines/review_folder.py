"""A label folder of small pictures for the tests of reviews, as `s4 pseudo-label` leaves one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.review import instance_key
from pipelines.data.rle import encode_masks

CLASSES = ClassList.from_names(["cat", "dog", "cow"])
CAT, DOG, COW = 1, 2, 3
SIZE = (40, 60)
LEFT, RIGHT, SPOT = (slice(0, 30), slice(0, 30)), (slice(0, 30), slice(30, 60)), (slice(10, 20), slice(20, 40))


def instance(place: tuple[slice, slice], keyword: str | None, score: float, sure: bool = True) -> dict[str, Any]:
    mask = np.zeros((1, *SIZE), bool)
    mask[0][place] = True
    return {
        "box": [0, 0, 1, 1], "score": score, "keyword": keyword, "margin": 0.5, "rule": "graph", "recognised": None,
        "sure": sure, "doubt": None if sure else "low-score", "area": int(mask.sum()),
        "segmentation": encode_masks(mask)[0],
    }  # fmt: skip


def record(image_id: str, instances: list[dict[str, Any]], keywords: list[str]) -> dict[str, Any]:
    return {
        "image_id": image_id, "file_name": f"{image_id}.jpg", "height": SIZE[0], "width": SIZE[1],
        "keywords": keywords, "missing": [], "filled": [], "rejected": None, "instances": instances,
    }  # fmt: skip


def usual_record(image_id: str = "p0") -> dict[str, Any]:
    """A cat on the left, a dog on the right that it does not overlap, and a spot over both that was left out."""
    spot = instance(SPOT, "cat", 0.4, sure=False)
    return record(image_id, [instance(LEFT, "cat", 0.9), instance(RIGHT, "dog", 0.7), spot], ["cat", "dog"])


def usual_maps() -> tuple[np.ndarray, np.ndarray]:
    label_map, confidence = np.zeros(SIZE, np.uint8), np.full(SIZE, 100, np.uint8)
    label_map[LEFT], label_map[RIGHT] = CAT, DOG
    return label_map, confidence


def keys(of: dict[str, Any]) -> list[str]:
    return [instance_key(one["segmentation"]) for one in of["instances"]]


def action(do: str, number: int = 0, image_id: str = "p0", **more: Any) -> dict[str, Any]:
    who = {"time": "2026-01-01T00:00:00+00:00", "reviewer": "ann", "session": "s"}
    return {"id": f"id{number}", **who, "image_id": image_id, "do": do, **more}


def make_folder(root: Path, count: int = 3) -> LabelFolder:
    """Write pictures p0, p1, ... into `root/images`, and their labels into `root/labels`."""
    folder = LabelFolder(root / "labels", CLASSES)
    (root / "images").mkdir(parents=True)
    records = []
    for number in range(count):
        own = usual_record(f"p{number}")
        own["instances"][0]["margin"] = number / count  # p0 is the most doubtful
        pixels = np.full((*SIZE, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(root / "images" / own["file_name"])
        label_map, confidence = usual_maps()
        folder.write_label(own["image_id"], label_map)
        folder.write_confidence(own["image_id"], confidence)
        records.append(own)
    records.append({"image_id": "broken", "failed": {"rule": "image-damaged", "message": "damaged"}})
    (folder.path / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    folder.write_manifest(counts={})
    (folder.path / "pictures.json").write_text(json.dumps({"images": str(root / "images")}))
    return folder
