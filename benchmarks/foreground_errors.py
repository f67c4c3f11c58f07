"""How far from the true outlines the foreground of label folders and of DeepLabs is wrong.

    python benchmarks/foreground_errors.py labels/seed0 --voc animals --split train_aug --classes animals/classes.txt
    python benchmarks/foreground_errors.py runs/weak runs/upper --voc animals --split val --classes animals/classes.txt

Prints false foreground, missed foreground, and foreground named as another class, in percent of all true foreground.
False and missed pixels are counted by their distance to the nearest pixel that truly is of the other kind. A pixel that
the truth leaves open is of neither kind. Where open pixels lie along the outlines, no distance is below their width.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.data.classes import IGNORE, ClassList, load_classes
from pipelines.data.images import open_image
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_label_map
from pipelines.data.voc import image_path, read_split, truth_path

_EDGES = (0, 3, 6, 12, 24, np.inf)  # pixels

LabelMap = NDArray[np.uint8]


def errors(truth: LabelMap, label: LabelMap) -> NDArray[np.int64]:
    """Count pixels [2, 5]: false foreground and missed foreground at each distance.

    Args:
        truth: [H, W] class indices; 0 is background, 255 is open.
        label: [H, W] class indices; a pixel that it leaves open is neither false nor missed.
    """
    background, foreground = truth == 0, (truth != 0) & (truth != IGNORE)
    distance = np.where(background, distance_transform_edt(~foreground), distance_transform_edt(~background))
    wrong = ((label != 0) & (label != IGNORE) & background, (label == 0) & foreground)
    return np.stack([np.histogram(distance[pixels], _EDGES)[0] for pixels in wrong])


def reader(source: Path, voc: Path, classes: ClassList) -> Callable[[str], LabelMap]:
    """Return the function image id -> label map [H, W] of a label folder or of a DeepLab's run."""
    if (source / "manifest.json").is_file():
        labels = open_labels(source, "pseudo", classes)
        return labels.read_label
    from pipelines.networks.load import load_deeplab

    network = load_deeplab(source)
    return lambda image_id: classes.from_palette(network(open_image(image_path(voc, image_id))))


def main() -> None:
    """Print two lines for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+", help="label folders or runs of a DeepLab")
    parser.add_argument("--voc", type=Path, required=True, help="VOC folder with the true masks")
    parser.add_argument("--split", default="val", help="list of the VOC folder")
    parser.add_argument("--classes", default="voc", help="class list")
    arguments = parser.parse_args()
    classes = load_classes(arguments.classes)
    spans = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(_EDGES)]
    print("pixels to the truth  " + "  ".join(f"{span:>6}" for span in spans) + "     all")
    for source in arguments.sources:
        read = reader(source, arguments.voc, classes)
        counts, foreground, confused = np.zeros((2, len(spans)), np.int64), 0, 0
        for image_id in read_split(arguments.voc, arguments.split):
            truth, label = read_label_map(truth_path(arguments.voc, image_id), classes), read(image_id)
            known = (truth != 0) & (truth != IGNORE)
            counts += errors(truth, label)
            foreground += int(known.sum())
            confused += int((known & (label != 0) & (label != IGNORE) & (label != truth)).sum())
        share = 100 / max(1, foreground)
        print(f"{source}: another class {share * confused:.1f} %")
        for name, row in zip(("false", "missed"), counts, strict=True):
            print(f"  {name:<19}" + "  ".join(f"{share * n:6.2f}" for n in (*row, row.sum())))


if __name__ == "__main__":
    main()
