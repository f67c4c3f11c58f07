"""Label maps under the true outlines, without the photographs, most of which may not be published.

    python benchmarks/label_failures.py labels/graph --voc animals --classes animals/classes.txt \
        --ids 2010_001211,2009_001962 --out failures.png

Coloured areas are labels, one colour a class, grey is open (255), black lines are the outlines of the true masks.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.data.classes import IGNORE, load_classes
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_label_map
from pipelines.data.palette import voc_palette
from pipelines.data.voc import truth_path

_COLUMNS = 3
_PALE = 0.45  # strength of the palette's colours; paler colours let black lines show


def draw(arguments: argparse.Namespace) -> None:
    """Write one PNG with a tile for each id."""
    classes = load_classes(arguments.classes)
    labels = open_labels(arguments.labels, "pseudo", classes)
    ids = arguments.ids.split(",")
    rows = -(-len(ids) // _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(3 * _COLUMNS, 2.5 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image_id in zip(axes.flat, ids, strict=False):
        label = labels.read_label(image_id)
        truth = read_label_map(truth_path(arguments.voc, image_id), classes)
        colours = 1 - _PALE * (1 - np.array(voc_palette(), float).reshape(-1, 3)[classes.to_palette(label)] / 255)
        colours[label == 0], colours[label == IGNORE] = 1, 0.85
        axis.imshow(colours)
        for number in np.unique(truth[(truth != 0) & (truth != IGNORE)]):
            axis.contour(truth == number, levels=[0.5], colors="black", linewidths=1)
        shown = [classes.name_of(int(position)) for position in np.unique(label[(label != 0) & (label != IGNORE)])]
        axis.set_title(f"{image_id}: {', '.join(shown) or 'nothing'}", fontsize=8)
    figure.savefig(arguments.out, dpi=90)
    print(arguments.out)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, help="label folder")
    parser.add_argument("--voc", type=Path, required=True, help="VOC folder with the true masks")
    parser.add_argument("--classes", default="voc", help="class list")
    parser.add_argument("--ids", required=True, help="picture ids with commas")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    draw(parser.parse_args())


if __name__ == "__main__":
    main()
