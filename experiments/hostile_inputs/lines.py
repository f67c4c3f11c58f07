"""Command lines in short: words that stand for several flags, and paths in braces."""

import os
from pathlib import Path

from experiments.hostile_inputs.place import Place

PLAIN = ["--device", "cpu", "--precision", "fp32", "--workers", "1"]
TRUNK = ["--trunk", "timm/mobilenetv3_small_050", "--trunk-weights", "none"]
LABEL = ["--assign", "single", "--min-score", "0", "--sure-score", "0", "--recognise", "off", "--cells", "off"]

_SHORT = {
    "PLAIN": PLAIN,
    "TRUNK": TRUNK,
    "LABEL": [*LABEL, *PLAIN],
    "S4NET": [*TRUNK, "--steps", "1", "--batch-size", "2", "--image-size", "64", *PLAIN],
    "DEEPLAB": ["--trunk-weights", "none", "--steps", "1", "--batch-size", "2", "--crop", "65", *PLAIN],
    "STEP": ["--steps", "1", "--batch-size", "2", *PLAIN],
    "CLASSES": ["--classes", "{voc}/classes.txt"],
    "ANNOTATED": ["--images", "{pictures}", "--annotations", "{annotations}"],
    "DRAWN": ["--images", "{drawn}", "--annotations", "{world}/instances/train.json"],
    "MASKED": ["--images", "{pictures}", "--labels", "{masks}", "--labels-are", "ground-truth"],
    "TRUE": ["--images", "{voc}/JPEGImages", "--labels", "{voc}/SegmentationClass", "--labels-are", "ground-truth"],
    "KEYWORDS": ["{voc}/JPEGImages", "--keywords", "{voc}/keywords_train.csv", "--classes", "{voc}/classes.txt"],
}
"""Words of a line, and what they stand for."""


def filled(line: str, place: Place, **more: object) -> list[str]:
    """Return the arguments of a line, with the paths of a place and more in it."""
    given = place.given
    paths = {
        "pictures": given / "pictures", "masks": given / "masks", "annotations": given / "instances.json",
        "world": place.world, "out": place.out, "voc": place.voc(), "net": place.world / "net.pt",
        "deeplab": place.world / "runs" / "deeplab", "drawn": place.world / "instances" / "images",
    }  # fmt: skip
    words = [part for word in line.split() for part in _SHORT.get(word, [word])]
    values = {
        name: os.fspath(value) if isinstance(value, Path) else str(value) for name, value in (paths | more).items()
    }
    return [word.format_map(values) if "{" in word else word for word in words]
