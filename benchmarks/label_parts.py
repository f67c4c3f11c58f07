"""What each part of the recipe of labels is worth: label maps made again without it, from the cues of a label folder.

    python benchmarks/label_parts.py labels --images DIR --keywords FILE --voc VOC --split train [--half even|odd]

The folder was made with all defaults, and keeps its cues. Nothing is written. One line for each part: mean IoU over
background and classes, with 255 in a label counted as an error, and the IoU of each class.
"""

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.config import PseudoLabelConfig
from pipelines.data.images import open_working_picture
from pipelines.data.label_maps import read_label_map
from pipelines.data.voc import read_split, truth_path
from pipelines.events import Events
from pipelines.labels.attention import stored_attention
from pipelines.labels.cue_store import CueStore
from pipelines.labels.labeller import PictureLabeller, gather_witnesses
from pipelines.labels.learn import Evidence, learn
from pipelines.labels.plan import LabelPlan, make_plan
from pipelines.metrics.confusion import ConfusionMatrix

Change = Callable[[Evidence], Evidence]


@contextmanager
def without(*places: str) -> Iterator[None]:
    """Replace functions by ones that do nothing and return None."""
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(patch(place, lambda *_: None))
        yield


TEACHES, EXPECTS = "pipelines.labels.learn.teach_missing", "pipelines.labels.labeller.PictureLabeller._missing"
PARTS: dict[str, tuple[tuple[str, ...], Change]] = {
    "all": ((), lambda evidence: evidence),
    "missing keywords are taught to be background": ((TEACHES,), lambda evidence: evidence),
    "missing keywords are not expected": ((EXPECTS,), lambda evidence: evidence),
    "neither": ((TEACHES, EXPECTS), lambda evidence: evidence),
    "no windows": ((), lambda evidence: replace(evidence, windows=None)),
    "no cells": ((), lambda evidence: replace(evidence, cells=None)),
}


def scored(
    config: PseudoLabelConfig, plan: LabelPlan, evidence: Evidence, voc: Path, image_ids: list[str]
) -> ConfusionMatrix:
    """Label pictures with this evidence and compare the label maps with the truth."""
    store, matrix = CueStore(config.out), ConfusionMatrix(plan.classes.n_outputs)
    label = PictureLabeller(
        config, plan, evidence, gather_witnesses(plan, evidence, None, stored_attention(config, plan))
    )
    for image_id in image_ids:
        picture, size = open_working_picture(plan.images[image_id])
        labels = label(image_id, picture, store.load(image_id, size.size), size)
        assert labels.label_map is not None
        matrix.update(read_label_map(truth_path(voc, image_id), plan.classes), labels.label_map)
    return matrix


def main() -> None:
    """Print one line for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, help="label folder with cues")
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--keywords", required=True, help="keywords, as the folder was made with")
    parser.add_argument("--classes", help="class list, as the folder was made with")
    parser.add_argument("--voc", type=Path, required=True, help="VOC folder with the true masks")
    parser.add_argument("--split", default="train", help="list of the VOC folder")
    parser.add_argument("--half", choices=("all", "even", "odd"), default="all", help="which lines of the list")
    given = parser.parse_args()
    settings: dict[str, Any] = {"images": (given.images,), "keywords": (given.keywords,), "classes": given.classes}
    config = PseudoLabelConfig(out=given.labels, **settings).located()
    plan = make_plan(config, Events(io.StringIO()))
    ids = [image_id for image_id in read_split(given.voc, given.split) if image_id in plan.images]
    chosen = {"all": ids, "even": ids[0::2], "odd": ids[1::2]}[given.half]
    learned: dict[bool, Evidence] = {}
    for name, (left_out, change) in PARTS.items():
        with without(*left_out):
            taught = TEACHES in left_out
            if taught not in learned:
                learned[taught] = learn(config, plan, CueStore(config.out))
            iou = scored(config, plan, change(learned[taught]), given.voc, chosen).iou()
        each = " ".join(
            f"{one[:6]} {100 * value:.0f}"
            for one, value in zip(("ground", *plan.classes.names), iou, strict=True)
            if not np.isnan(value)
        )
        print(f"{name:<46}{100 * np.nanmean(iou):6.1f} | {each}", flush=True)


if __name__ == "__main__":
    main()
