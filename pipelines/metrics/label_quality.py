"""How good training labels are, before anything is trained on them.

Labels may leave pixels open (255), and leaving the hard ones open raises every score of the rest. Hence scores with
open pixels as errors, scores without them, and the share that is left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.confusion import ConfusionMatrix, mean_of_known


@dataclass(frozen=True)
class LabelQuality:
    """Scores of labels against the truth, all as fractions 0..1, nan where nothing could be judged.

    Attributes:
        miou: Mean IoU; a pixel that the labels leave open is an error of its true class.
        miou_kept: Mean IoU over the pixels that carry a label.
        coverage: Share of the judged pixels that carry a label.
        precision_kept: Share of the labelled pixels whose label is right.
        iou: [n] IoU of each class, open pixels as errors.
    """

    miou: float
    miou_kept: float
    coverage: float
    precision_kept: float
    iou: NDArray[np.float64]


def label_quality(matrix: ConfusionMatrix) -> LabelQuality:
    """Scores of labels from the counts of (truth, label) over their whole list."""
    return LabelQuality(
        miou=matrix.miou(),
        miou_kept=mean_of_known(matrix.iou_kept()),
        coverage=matrix.coverage(),
        precision_kept=matrix.precision_kept(),
        iou=matrix.iou(),
    )
