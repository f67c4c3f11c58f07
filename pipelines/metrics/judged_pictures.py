"""The outcome of a network on each picture, compared with the truth once and scored over any choice of the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.coco import CocoPicture
from pipelines.metrics.bootstrap import Indices, interval
from pipelines.metrics.confusion import mean_of_known
from pipelines.metrics.instance_ap import PictureDetections, PictureMatches, accumulate, match_pictures, release_aps


@dataclass(frozen=True, eq=False)
class JudgedPictures:
    """Outcome on each of n pictures.

    Attributes:
        matches: COCO's matching, n entries.
        release50: [n] AP of the released evaluator at IoU 0.5; nan for a picture without a true instance.
        release70: [n] AP of the released evaluator at IoU 0.7; nan likewise.
    """

    matches: Sequence[PictureMatches]
    release50: NDArray[np.float64]
    release70: NDArray[np.float64]

    def scores(self, chosen: Indices) -> dict[str, float]:
        """Return both metrics over chosen pictures.

        Args:
            chosen: [m] positions of the pictures; a picture may occur more than once.

        Returns:
            `ap, ap50, ap70, ap75` (COCO, pooled) and `release_map50, release_map70` (mean over pictures), fractions;
            nan where there is no instance.
        """
        return {
            **accumulate([self.matches[index] for index in chosen]),
            "release_map50": mean_of_known(self.release50[chosen]),
            "release_map70": mean_of_known(self.release70[chosen]),
        }

    def intervals(self, resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return the 95 % bootstrap interval over the pictures of each of the `scores`."""
        return interval(self.scores, len(self.matches), resamples, seed)


def judge(pictures: Sequence[CocoPicture], detections: Sequence[PictureDetections]) -> JudgedPictures:
    """Compare detections with the truth; arguments as for `match_pictures`."""
    matches = match_pictures(pictures, detections)
    return JudgedPictures(matches, release_aps(pictures, detections, 0.5), release_aps(pictures, detections, 0.7))
