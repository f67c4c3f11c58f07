"""How good training labels are, before anything is trained on them.

Labels may leave pixels open (255). Where the hard pixels are left open, every score of the other pixels is higher. So
there are scores with open pixels as errors, scores without open pixels, and the share of pixels that carry a label.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.confusion import ConfusionMatrix, mean_of_known


@dataclass(frozen=True)
class LabelQuality:
    """Scores of labels compared with the truth, as fractions 0..1; nan where nothing could be judged.

    Attributes:
        miou: Mean IoU; a pixel that the labels leave open is an error of its true class.
        miou_kept: Mean IoU over the pixels that carry a label.
        coverage: Share of the judged pixels that carry a label.
        precision_kept: Share of the labelled pixels whose label is right.
        iou: [n] IoU of each class, with open pixels as errors.
    """

    miou: float
    miou_kept: float
    coverage: float
    precision_kept: float
    iou: NDArray[np.float64]


def label_quality(matrix: ConfusionMatrix) -> LabelQuality:
    """Return the scores of labels from the counts of (truth, label) over their whole list."""
    return LabelQuality(
        miou=matrix.miou(),
        miou_kept=mean_of_known(matrix.iou_kept()),
        coverage=matrix.coverage(),
        precision_kept=matrix.precision_kept(),
        iou=matrix.iou(),
    )
