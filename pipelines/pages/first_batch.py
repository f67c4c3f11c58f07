"""The first batch of a training as a sheet, so that wrong labels are seen before a night of training."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.thumbnails import reduced
from pipelines.events import Events
from pipelines.files import atomic_write
from pipelines.pages.runs import FIRST_BATCH
from pipelines.report.sheet import draw_regions, placed_tags, shrunk, tiled

_MOST, _COLUMNS, _SIDE = 16, 4, 240

Taught = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""A picture [H, W, 3] and its regions [H, W]: positions 1..n, 0 for background, 255 for unknown."""


def leave_first_batch(run: Path, batch: Callable[[], Sequence[Taught]], names: Sequence[str], events: Events) -> None:
    """Write `overlays/first-batch.jpg` of a run; where that fails, warn.

    Args:
        run: The run folder.
        batch: Function that gives the pictures of the first step; all have one size.
        names: Names of the classes; none for instances.
        events: Receives the warning.
    """
    path = run / FIRST_BATCH
    try:
        drawn = []
        for picture, regions in batch()[:_MOST]:
            small = reduced(picture, _SIDE)
            own = shrunk(regions, (small.shape[0], small.shape[1]))
            drawn.append(draw_regions(small, own, placed_tags(own, names)))
        sheet = Image.fromarray(tiled(drawn, _COLUMNS))
        atomic_write(path, lambda file: sheet.save(file, format="JPEG", quality=88, subsampling=0))
    except Exception as error:  # whatever it is: the training does not need the sheet
        told = str(error) or type(error).__name__
        events.warn(f"{path}: the first batch was not drawn ({told}); the training goes on [report-failed]")


def instance_regions(masks: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return regions [S, S] of instances: the N masks [N, S, S] numbered from 1, the smaller ones on top."""
    regions = np.zeros(masks.shape[1:], np.uint8)
    inside = masks > 0  # type: ignore[operator]
    for number in np.argsort(-inside.sum(axis=(1, 2)), kind="stable")[:200].tolist():
        regions[inside[number]] = 1 + number % 254
    return regions
