"""Confusion matrices over label maps, and the scores that follow from them; needs numpy alone.

A score of a data set comes from one matrix over all its pictures, never from a mean over pictures: a mean would count a
class that is absent from a picture as if it had been judged in that picture.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE
from pipelines.data.counting import value_counts


def confusion(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """Count the pixels of one picture by true and by predicted class.

    Args:
        truth: [H, W] class indices 0..n-1; 255 is not judged.
        prediction: [H, W] class indices 0..n-1; every other value means "no class" and can never be right.
        n: Number of classes with the background, 1..255.

    Returns:
        [n, n + 1] counts: a row for each true class, a column for each predicted class, and a last column for pixels
        without a predicted class.

    Raises:
        ValueError: The maps differ in shape, or the truth holds a value that is neither below n nor 255.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    # A table over all pairs of bytes takes one pass without boolean indexing, and shows values that are not allowed.
    codes = truth.astype(np.uint16) * np.uint16(256) + prediction
    pairs = value_counts(codes, 65536).reshape(256, 256)
    if pairs[n:IGNORE].any():
        strangers = n + np.flatnonzero(pairs[n:IGNORE].any(axis=1))
        raise ValueError(f"truth holds {strangers.tolist()}, expected 0..{n - 1} or {IGNORE}")
    counts = np.empty((n, n + 1), dtype=np.int64)
    counts[:, :n] = pairs[:n, :n]
    counts[:, n] = pairs[:n, n:].sum(axis=1)
    return counts


class ConfusionMatrix:
    """Counts of a whole data set and its scores, all as fractions 0..1.

    Attributes:
        n: Number of classes with the background.
        matrix: [n, n + 1] int64, see `confusion`.
    """

    def __init__(self, n: int) -> None:
        """Start with no pixel counted.

        Args:
            n: Number of classes with the background, 1..255.
        """
        self.n = n
        self.matrix: NDArray[np.int64] = np.zeros((n, n + 1), dtype=np.int64)

    def update(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Add one picture; arguments and errors as for `confusion`."""
        self.add(confusion(truth, prediction, self.n))

    def add(self, counts: NDArray[np.int64]) -> None:
        """Add counts [n, n + 1] made by `confusion`, for example in another thread."""
        self.matrix += counts

    def iou(self) -> NDArray[np.float64]:
        """Return the IoU of each class [n].

        A pixel without a predicted class is a miss. The IoU is nan for a class in neither truth nor prediction.
        """
        return _iou(self.matrix)

    def miou(self) -> float:
        """Return the mean of `iou` over the classes that have one; nan when none has."""
        return mean_of_known(self.iou())

    def iou_kept(self) -> NDArray[np.float64]:
        """Return the IoU of each class [n] over the pixels that have a predicted class."""
        return _iou(self.matrix[:, : self.n])

    def pixel_accuracy(self) -> float:
        """Return the share of judged pixels that are right; nan when no pixel was judged."""
        return _share(self._right(), self.matrix.sum())

    def coverage(self) -> float:
        """Return the share of judged pixels that have a predicted class; nan when no pixel was judged."""
        return _share(self._kept(), self.matrix.sum())

    def precision_kept(self) -> float:
        """Return the share of right pixels among those with a predicted class; nan when there are none."""
        return _share(self._right(), self._kept())

    def _right(self) -> np.int64:
        return np.int64(np.trace(self.matrix))  # the extra column lies outside the diagonal

    def _kept(self) -> np.int64:
        return np.int64(self.matrix[:, : self.n].sum())


def miou_of(counts: NDArray[np.int64]) -> float:
    """Return the mIoU of the counts [n, n + 1] of one picture; nan if nothing can be judged."""
    return mean_of_known(_iou(counts))


def mean_of_known(values: NDArray[np.float64]) -> float:
    """Return the mean of the values [K] that are not nan; nan, without numpy's warning, when there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def overlap(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the intersection and the union of each class, which can be added over pictures.

    Args:
        counts: [n, n + 1] made by `confusion`.

    Returns:
        [2, n]: for each class the pixels that are right, and the pixels that are of the class or are called so.
    """
    right = np.diagonal(counts)
    return np.stack([right, counts.sum(axis=1) + counts[:, : len(counts)].sum(axis=0) - right])


def quotients(
    parts: NDArray[np.int64] | NDArray[np.float64], wholes: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return parts [K] over wholes [K], element by element; nan where the whole is not above 0."""
    result = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=result, where=wholes > 0)
    return result


def _iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return quotients(*overlap(counts))


def _share(part: np.int64, whole: np.int64) -> float:
    return float(part / whole) if whole else float("nan")
