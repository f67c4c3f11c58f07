"""Why label maps miss pixels of a class, and where they are false.

    python benchmarks/label_causes.py labels --voc VOC --split train [--classes classes.txt] [--half even|odd]

One row for each class. All columns are percent of the true pixels of the class. The columns of missed pixels sum to 100
minus `right`:

    right       labelled as the class
    unnamed     the picture does not have the keyword
    open        labelled 255
    other       labelled as another class
    overruled   labelled background, though an instance of the keyword covers them: cells or windows spoke against it
    misnamed    labelled background, and only instances of other keywords, or of none, cover them
    part        labelled background, and no instance covers them, but one of the keyword covers more of the same region
    unfound     labelled background, and no instance of the keyword touches the region

A region is a connected piece of the true mask of a class. The columns of false pixels:

    ground      truly background, in pictures that have the keyword
    names       the other classes that most of the rest truly are
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.data.classes import IGNORE, ClassList, load_classes
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_label_map
from pipelines.data.rle import decode_masks, read_rle
from pipelines.data.voc import read_split, truth_path

MISSED = ("unnamed", "open", "other", "overruled", "misnamed", "part", "unfound")

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Covers:
    """What the instances of a picture cover, for one class.

    Attributes:
        own: [H, W], where instances with the keyword lie.
        others: [H, W], where all other instances lie.
    """

    own: Mask
    others: Mask


def causes(truth: LabelMap, label: LabelMap, index: int, covers: Covers, named: bool) -> Counter[str]:
    """Count the true pixels of a class by what became of them, and the false ones.

    Args:
        truth: [H, W] positions in the class list; 0 background, 255 unknown.
        label: [H, W] likewise.
        index: Position of the class.
        covers: What the instances cover.
        named: Whether the picture has the keyword.

    Returns:
        Pixels by column; `true` is their sum without the false ones. False pixels on other classes are counted as
        `false N`, with N the position of the true class.
    """
    true = truth == index
    counts = Counter({"true": int(true.sum()), "right": int((true & (label == index)).sum())})
    false = Counter((truth[(label == index) & ~true & (truth != IGNORE)]).tolist())
    counts += Counter({f"false {position}": pixels for position, pixels in false.items()})
    missed = true & (label != index)
    if not named:
        return counts + Counter({"unnamed": int(missed.sum())})
    ground = missed & (label == 0)
    bare = ground & ~covers.own & ~covers.others
    regions = connected(true, np.ones((3, 3)))[0]
    touched = np.isin(regions, np.unique(regions[true & covers.own]))
    return counts + Counter(
        {
            "open": int((missed & (label == IGNORE)).sum()),
            "other": int((missed & (label != 0) & (label != IGNORE)).sum()),
            "overruled": int((ground & covers.own).sum()),
            "misnamed": int((ground & ~covers.own & covers.others).sum()),
            "part": int((bare & touched).sum()),
            "unfound": int((bare & ~touched).sum()),
        }
    )


def count(folder: Path, voc: Path, ids: set[str], classes: ClassList) -> dict[str, Counter[str]]:
    """Return the counts of `causes` of every class, summed over the pictures of a label folder."""
    labels = open_labels(folder, "pseudo", classes)
    totals: dict[str, Counter[str]] = {name: Counter() for name in classes.names}
    for record in _records(folder):
        if record["image_id"] not in ids:
            continue
        truth, label = (
            read_label_map(truth_path(voc, record["image_id"]), classes),
            labels.read_label(record["image_id"]),
        )
        masks = _masks(record)
        for index, name in enumerate(classes.names, start=1):
            if not ((truth == index) | (label == index)).any():
                continue
            own = [mask for keyword, mask in masks if keyword == name]
            others = [mask for keyword, mask in masks if keyword != name]
            covers = Covers(_union(own, truth.shape), _union(others, truth.shape))
            totals[name] += causes(truth, label, index, covers, name in record["keywords"])
    return totals


def row(name: str, counts: Mapping[str, int], classes: ClassList) -> str:
    """Return the line of one class."""
    share = 100 / max(1, counts["true"])
    false = {key: pixels for key, pixels in counts.items() if key.startswith("false ")}
    iou = 100 * counts["right"] / max(1, counts["true"] + sum(false.values()))
    ground = false.pop("false 0", 0)
    most = sorted(false.items(), key=lambda item: -item[1])[:3]
    names = [f"{classes.names[int(key.split()[1]) - 1]} {share * pixels:.1f}" for key, pixels in most]
    shares = "".join(f"{share * counts[column]:10.1f}" for column in ("right", *MISSED))
    return f"{name:<12}{iou:6.1f}{shares}{share * ground:10.1f}  {', '.join(names)}"


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / "records.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _masks(record: Mapping[str, Any]) -> list[tuple[str | None, Mask]]:
    height, width = record["height"], record["width"]
    rles = [read_rle(instance["segmentation"], height, width) for instance in record["instances"]]
    masks = decode_masks(rles, height, width).astype(bool)
    return [(instance["keyword"], mask) for instance, mask in zip(record["instances"], masks, strict=True)]


def _union(masks: list[Mask], size: tuple[int, ...]) -> Mask:
    return np.logical_or.reduce([np.zeros(size, bool), *masks])


def main() -> None:
    """Print one line for each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, help="label folder")
    parser.add_argument("--voc", type=Path, required=True, help="VOC folder with the true masks")
    parser.add_argument("--split", default="train", help="list of the VOC folder")
    parser.add_argument("--classes", default="voc", help="class list")
    parser.add_argument("--half", choices=("all", "even", "odd"), default="all", help="which lines of the list")
    arguments = parser.parse_args()
    classes = load_classes(arguments.classes)
    ids = read_split(arguments.voc, arguments.split)
    chosen = {"all": ids, "even": ids[0::2], "odd": ids[1::2]}[arguments.half]
    totals = count(arguments.labels, arguments.voc, set(chosen), classes)
    columns = "".join(f"{column:>10}" for column in ("right", *MISSED, "ground"))
    print(f"{'':<12}{'IoU':>6}{columns}  names")
    for name, counts in totals.items():
        if counts["true"]:
            print(row(name, counts, classes))


if __name__ == "__main__":
    main()
