"""A result drawn on its picture."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE
from pipelines.data.rle import boxes_of
from pipelines.data.working_size import working_masks
from pipelines.report.overlays import FAINT, draw_instances
from pipelines.report.sheet import draw_regions, placed_tags
from pipelines.views.picture_result import PicturePixels, PictureResult


def overlay(result: PictureResult, picture: PicturePixels) -> NDArray[np.uint8]:
    """Draw a result on its picture of the working size.

    Args:
        result: Instances are drawn in a colour each, with box and score. Classes are drawn in the colours of pages,
            with their names.
        picture: The picture.

    Returns:
        [h, w, 3] uint8 RGB.
    """
    if result.label_map is not None:
        drawn = picture.size.sample(np.where(result.label_map == IGNORE, np.uint8(0), result.label_map))
        return draw_regions(picture.working, drawn, placed_tags(drawn, result.names))
    shown = [instance for instance in result.instances if (1.0 if instance.score is None else instance.score) >= FAINT]
    rles = [instance.rle for instance in shown]
    down, across = picture.size.factors
    boxes = np.asarray(boxes_of(rles), np.float32).reshape(-1, 4) / (across, down, across, down)
    scores = np.array([1.0 if instance.score is None else instance.score for instance in shown], np.float32)
    return draw_instances(picture.working, boxes, working_masks(rles, picture.size), scores)
