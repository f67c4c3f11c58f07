"""Part of stage `s4 evaluate`: how well a salient-instance network finds the objects of a data set it never saw.

The union of the network's sure instances is compared with the pixels of all classes, so no class needs to be known.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.config import EvaluateConfig
from pipelines.data.checking import require_same_size
from pipelines.data.classes import IGNORE
from pipelines.data.images import open_working_picture
from pipelines.data.label_maps import read_palette_map
from pipelines.events import Events
from pipelines.metrics.confusion import mean_of_known, quotients


def score_foreground(
    config: EvaluateConfig, pictures: Mapping[str, Path], truths: Mapping[str, Path], events: Events
) -> dict[str, Any]:
    """Score a network on pictures with label maps; pixels that are 255 in a label map are not judged.

    Args:
        config: Settings, with `weights` and `min_score`.
        pictures: File of each picture by its id, at least one.
        truths: Label map of each picture; every index but 0 and 255 is foreground, whatever classes there are.
        events: Receives progress.

    Returns:
        `foreground_iou`, the mean of the pictures' IoU, without pictures where neither the truth nor the network has
        any foreground; `foreground_iou_pooled`, from the pixels of all pictures together; `images`; `min_score`;
        `flip`. An IoU is a fraction 0..1, nan where nothing could be judged.

    Raises:
        InputError: A file or the weights are damaged, or a label map is not of its picture's size [label-size].
    """
    from pipelines.networks.load import load_s4net  # brings torch

    network = load_s4net(
        cast(Path, config.weights),
        min_score=config.min_score,
        flip=config.flip,
        device=config.device,
        precision=config.precision,
    )
    counts = []
    with events.progress(len(pictures), "pictures") as progress:
        for image_id, path in pictures.items():
            pixels, size = open_working_picture(path)
            found = network(pixels)
            sure = found.scores.cpu().numpy() >= config.min_score
            union = size.enlarge(np.asarray(found.masks.cpu().numpy()[sure].any(axis=0)))
            counts.append(_count(union, truths[image_id], path))
            progress.advance()
    shared, either = np.array(counts, np.float64).T
    ious = quotients(shared, either)
    return {
        "foreground_iou": mean_of_known(ious),
        "foreground_iou_pooled": float(shared.sum() / either.sum()) if either.any() else float("nan"),
        "images": len(counts),
        "min_score": config.min_score,
        "flip": config.flip,
    }


def _count(found: NDArray[np.bool_], truth_file: Path, picture: Path) -> tuple[int, int]:
    """Count the judged foreground pixels that a mask [H, W] and the truth share, and those that either has."""
    truth = read_palette_map(truth_file)
    require_same_size(truth_file, truth.shape, picture, found.shape)
    real, judged = truth != 0, truth != IGNORE
    return int((found & real & judged).sum()), int(((found | real) & judged).sum())
