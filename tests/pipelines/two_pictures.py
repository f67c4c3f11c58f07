"""A VOC folder of two pictures, small enough to count their pixels, and label maps of them."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CAT, DOG, BIRD = 8, 12, 3
# 7 judged pixels of classes background, cat, dog, and one of a bird.
TRUTH = {"a": [[0, 0, CAT], [CAT, 255, BIRD]], "b": [[DOG, DOG, 0]]}
LABELS = {"a": [[0, CAT, CAT], [255, CAT, DOG]], "b": [[DOG, BIRD, 0]]}


def write_map(path: Path, rows: list[list[int]] | NDArray[np.uint8]) -> None:
    """Write a palette PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(rows, dtype=np.uint8))
    image.putpalette([channel for index in range(256) for channel in (index, 0, 0)])
    image.save(path)


def make_voc(parent: Path) -> Path:
    """Write the pictures and their truth; returns their folder."""
    root = parent / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("a\nb\n")
    for image_id, rows in TRUTH.items():
        write_map(root / "SegmentationClass" / f"{image_id}.png", rows)
        (root / "JPEGImages").mkdir(exist_ok=True)
        Image.new("RGB", (len(rows[0]), len(rows))).save(root / "JPEGImages" / f"{image_id}.jpg")
    return root


def make_labels(parent: Path) -> Path:
    """Write pseudo labels of cats and dogs; returns their folder."""
    for image_id, rows in LABELS.items():
        write_map(parent / "pseudo" / "labels" / f"{image_id}.png", rows)
    manifest = {"kind": "pseudo", "classes": ["cat", "dog"]}
    (parent / "pseudo" / "manifest.json").write_text(json.dumps(manifest))
    return parent / "pseudo"


def make_classes(parent: Path) -> str:
    """Write a class list of cats and dogs; returns its path."""
    (parent / "classes.txt").write_text("cat\ndog\n")
    return str(parent / "classes.txt")
