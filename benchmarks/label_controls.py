r"""Labels to compare a strategy with: the union of all instances, and the best possible keywords.

    s4 predict --images animals/JPEGImages --weights runs/s4net --min-score 0.3 --out found
    python benchmarks/label_controls.py union found/instances.json --out union.json
    python benchmarks/label_controls.py oracle found/instances.json --voc animals --split train_aug \
        --classes animals/classes.txt --keywords animals/keywords_train_aug.csv --out oracle

`union` writes one mask for each picture, for `s4 pseudo-label --instances union.json`. Such masks are the saliency that
the paper's Table 5 compares with. `oracle` writes label maps for `s4 evaluate --predictions oracle`. It gives each
instance the keyword of its picture that truly covers most of its mask. No assignment of whole instances can be better.
`oracle` reads true masks: nothing may be trained on its label maps.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.data.classes import load_classes
from pipelines.data.images import find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.data.label_maps import read_label_map, write_palette_map
from pipelines.data.rle import boxes_of, decode_masks, encode_masks, read_rle
from pipelines.data.voc import read_split, truth_path
from pipelines.labels.paint import Painted, paint_label_map


def by_picture(content: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Return the annotations of each picture, also of those without any."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list, {image["id"]: [] for image in content["images"]})
    for annotation in content["annotations"]:
        found[annotation["image_id"]].append(annotation)
    return found


def masks_of(annotations: list[dict[str, Any]], image: dict[str, Any]) -> np.ndarray:
    """Return [N, H, W] bool."""
    size = image["height"], image["width"]
    return decode_masks([read_rle(annotation["segmentation"], *size) for annotation in annotations], *size).astype(bool)


def union(arguments: argparse.Namespace) -> None:
    """Write a copy of the file with one instance for each picture."""
    content = json.loads(arguments.instances.read_text())
    images = {image["id"]: image for image in content["images"]}
    merged = []
    for image_id, annotations in by_picture(content).items():
        if annotations:
            mask = masks_of(annotations, images[image_id]).any(axis=0)
            (rle,) = encode_masks(mask[None])
            x0, y0, x1, y1 = boxes_of([rle])[0].tolist()
            merged.append(
                {
                    **annotations[0],
                    "id": len(merged) + 1,
                    "segmentation": rle,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": int(mask.sum()),
                    "score": max(annotation.get("score", 1) for annotation in annotations),
                }
            )
    arguments.out.write_text(json.dumps({**content, "annotations": merged}))


def oracle(arguments: argparse.Namespace) -> None:
    """Write the label maps of the best keywords."""
    content = json.loads(arguments.instances.read_text())
    found = by_picture(content)
    images = {Path(image["file_name"]).with_suffix("").as_posix(): image for image in content["images"]}
    classes = load_classes(str(arguments.classes))
    folder = arguments.voc / "JPEGImages"
    keywords = read_keywords(str(arguments.keywords), find_images(folder), folder, classes, None)
    for image_id in read_split(arguments.voc, arguments.split):
        image = images[image_id]
        masks = masks_of(found[image["id"]], image)
        truth = read_label_map(truth_path(arguments.voc, image_id), classes)
        own = [classes.position(name) for name in keywords[image_id]]
        shown = np.array([[(truth[mask] == index).sum() for index in own] for mask in masks]).reshape(-1, len(own))
        best = np.array(own)[shown.argmax(axis=1)] if len(masks) else np.zeros(0)
        scores = np.float32([annotation.get("score", 1) for annotation in found[image["id"]]])
        label_map, _ = paint_label_map(Painted(masks, scores, best.astype(np.int64)), truth.shape)
        write_palette_map(arguments.out / f"{image_id}.png", classes.to_palette(label_map))


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run in (union, oracle):
        command = commands.add_parser(run.__name__)
        command.add_argument("instances", type=Path)
        command.add_argument("--out", type=Path, required=True)
        command.set_defaults(run=run)
    for name in ("--voc", "--classes", "--keywords"):
        command.add_argument(name, type=Path, required=True)
    command.add_argument("--split", default="train_aug")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
