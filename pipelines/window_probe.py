"""What windows of a picture that ImageNet's classifier has looked at say for each keyword.

`Recognizer.windows` tells how much a window looks like any animal, say. How much that speaks for a cow, and against
background, is learned from the labels that instances give to all pictures: two numbers for each keyword, which are too
few to learn by heart which cushions were labelled cat. Other than instances, cells and DeepLab, which all stem from the
same instances, ImageNet's names for things are evidence of their own: they count as a likelihood, not as an opinion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.keywords import interpolation
from pipelines.linear_probe import fit_probe

WINDOW_WEIGHT = 0.5
"""The power of this likelihood: windows overlap by half, so each pixel is seen more than once."""
_FEWEST = 10  # windows of the keyword, and of background, that anything can be learned from


@dataclass(frozen=True, eq=False)
class WindowProbe:
    """What log-odds of windows are worth.

    Attributes:
        slopes: [C], 0 for a keyword of which they say nothing.
        offsets: [C], so that slope * log-odds + offset is the logarithm of how much more probable these log-odds are
            on the keyword than on background.
    """

    slopes: NDArray[np.float32]
    offsets: NDArray[np.float32]

    def __call__(
        self, windows: NDArray[np.float32], keywords: Sequence[int], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """How probable what the windows show is on each class, beside background.

        Args:
            windows: [K, h, w] log-odds, NaN where nothing is known.
            keywords: K positions in the class list.
            size: (H, W).

        Returns:
            [1 + K, H, W], above 0; 1 for background and where nothing is known, interpolated between the windows.
        """
        chosen = list(keywords)
        worth = self.slopes[chosen, None, None] * windows + self.offsets[chosen, None, None]
        known = np.nan_to_num(worth, nan=0.0)
        rows, columns = (interpolation(*pair) for pair in zip(size, windows.shape[1:], strict=True))
        likelihood = np.ones((len(chosen) + 1, *size), np.float32)
        likelihood[1:] = np.exp(rows @ known @ columns.T)
        return likelihood


def fit_windows(log_odds: NDArray[np.float32], labels: NDArray[np.uint8], classes: int) -> WindowProbe:
    """Learn from the windows of a whole set.

    By Bayes' rule a logistic regression of keyword against background is the likelihood ratio and the odds of the
    sample; these are taken off.

    Args:
        log_odds: [N, C] for each class that the window's picture shows, NaN for the others.
        labels: [N], 0 background, 1..C; 255 windows are left out.
        classes: C.

    Returns:
        What they are worth; nothing where there is too little to learn from, or more speaks against the keyword.
    """
    slopes, offsets = np.zeros(classes, np.float32), np.zeros(classes, np.float32)
    for number in range(classes):
        seen = np.isfinite(log_odds[:, number]) & np.isin(labels, (0, number + 1))
        shown = labels[seen] == number + 1
        if min(np.count_nonzero(shown), np.count_nonzero(~shown)) < _FEWEST:
            continue
        features = torch.from_numpy(log_odds[seen, number : number + 1])
        weight, bias = fit_probe(features, torch.from_numpy(shown[:, None].astype(np.float32)))
        if weight > 0:
            slopes[number] = weight
            offsets[number] = float(bias) - np.log(shown.mean() / (1 - shown.mean()))
    return WindowProbe(slopes, offsets)
