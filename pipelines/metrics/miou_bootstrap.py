"""How far an mIoU could differ on other pictures, and whether one mIoU really is above another.

The pictures are drawn anew, and their counts are added; the mIoU is that of the sums, as for the data set.
Two sets of predictions are compared on the same samples: what makes a picture hard for both cancels out.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.bootstrap import Indices, percentiles, samples
from pipelines.metrics.confusion import quotients

RESAMPLES = 1000
LEVEL = 0.95
_AT_ONCE = 2**22  # most entries of the matrix of samples and pictures: 32 MB for any number of pictures

Overlaps = NDArray[np.int64]  # [N, 2, n] of N pictures, see `pipelines.metrics.confusion.overlap`
Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """The mIoU of some predictions beside that of others; nan where nothing could be judged.

    Attributes:
        ratio: The first mIoU as a share of the second.
        ratio_interval: Ends of the 95 % interval of the ratio over pictures.
        difference: The first mIoU minus the second.
        difference_interval: Ends of the 95 % interval of the difference over pictures.
    """

    ratio: float
    ratio_interval: Interval
    difference: float
    difference_interval: Interval


def miou_interval(overlaps: Overlaps, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the 95 % percentile interval of the mIoU over pictures.

    Args:
        overlaps: [N, 2, n] of N pictures, at least one.
        resamples: Samples of N pictures, drawn with replacement.
        seed: Seed of the samples; the same seed gives the same samples.

    Returns:
        Lower and upper end; nan when no sample could be judged.

    Raises:
        ValueError: There is no picture or no sample.
    """
    return percentiles(_resampled(overlaps, resamples, seed), LEVEL)


def compare_miou(overlaps: Overlaps, others: Overlaps, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two sets of predictions for the same pictures, on the same samples of the pictures.

    Args:
        overlaps: [N, 2, n] of N pictures, at least one.
        others: [N, 2, n] of the other predictions, in the same order.
        resamples: See `miou_interval`.
        seed: See `miou_interval`.

    Raises:
        ValueError: There is no picture or no sample, or the shapes differ.
    """
    if overlaps.shape != others.shape:
        raise ValueError(f"overlaps of shape {overlaps.shape} and {others.shape}, expected the same")
    own, other = (_miou(counts.sum(axis=0, dtype=np.int64)[None]) for counts in (overlaps, others))
    drawn, drawn_other = (_resampled(counts, resamples, seed) for counts in (overlaps, others))
    return Comparison(
        ratio=float(quotients(own, other)[0]),
        ratio_interval=percentiles(quotients(drawn, drawn_other), LEVEL),
        difference=float(own[0] - other[0]),
        difference_interval=percentiles(drawn - drawn_other, LEVEL),
    )


@dataclass(frozen=True, eq=False)
class JudgedMaps:
    """Label maps of n pictures, compared with the truth once, and scored over any choice of the pictures.

    Attributes:
        overlaps: [N, 2, n] of N pictures.
    """

    overlaps: Overlaps

    def scores(self, chosen: Indices) -> dict[str, float]:
        """Return {"miou"} over chosen pictures: the mIoU of the sum of their counts.

        Args:
            chosen: [m] positions of the pictures; a picture may occur more than once.
        """
        return {"miou": float(_miou(self._sum(chosen)[None])[0])}

    def iou(self) -> NDArray[np.float64]:
        """Return the IoU [n] of each class over all pictures, background first; nan for a class that none has."""
        right, union = self.overlaps.sum(axis=0, dtype=np.int64)
        return quotients(right.astype(np.float64), union.astype(np.float64))

    def _sum(self, chosen: Indices) -> NDArray[np.float64]:
        """Return the sums [2, n] of the counts; exact in float64 up to 2^53 pixels."""
        count, _, n = self.overlaps.shape
        times = np.bincount(chosen, minlength=count).astype(np.float64)
        return (times @ self._flat).reshape(2, n)

    @cached_property
    def _flat(self) -> NDArray[np.float64]:
        return self.overlaps.reshape(len(self.overlaps), -1).astype(np.float64)


def _resampled(overlaps: Overlaps, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the mIoU [R] of each sample.

    A row of a matrix says how often each picture was drawn for a sample. So the sums of all samples are one product of
    matrices, which is exact in float64 up to 2^53 pixels.
    """
    count, _, n = overlaps.shape
    flat = overlaps.reshape(count, 2 * n).astype(np.float64)
    drawn = samples(count, resamples, seed)
    sums = []
    while rows := [np.bincount(indices, minlength=count) for indices in islice(drawn, max(1, _AT_ONCE // count))]:
        sums.append(np.array(rows, np.float64) @ flat)
    return _miou(np.concatenate(sums).reshape(resamples, 2, n))


def _miou(overlaps: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mIoU [R] of sums [R, 2, n], over the classes that a sample has; nan where it has none."""
    right, union = overlaps[:, 0].astype(np.float64), overlaps[:, 1]
    known = union > 0
    total = np.divide(right, union, out=np.zeros_like(right), where=known).sum(axis=1)
    return quotients(total, known.sum(axis=1).astype(np.float64))
