"""What windows of a picture that ImageNet's classifier has looked at say for each keyword.

`Recognizer.windows` tells how much a window looks like any animal, say, or like something that people wear. How much
that speaks for a cow, and against background, is learned from the labels that instances give to all pictures: two
numbers for each keyword, which are too few to learn by heart which cushions were labelled cat. Instances, cells and
DeepLab all stem from the same S4Net; how ImageNet names things does not, so it counts as evidence and not as one more
opinion.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.labels.enlarge import enlarge
from pipelines.labels.linear_probe import fit_probe

WINDOW_WEIGHT = 0.5
"""The power of this likelihood: between two windows that overlap by half, what they say is partly the same."""
_MOST = 8.0  # of a log-likelihood: none rules anything out
_FEWEST = 10  # windows of the keyword, and of background, that anything can be learned from


@dataclass(frozen=True, eq=False)
class WindowProbe:
    """What log-odds of windows are worth.

    Attributes:
        slopes: [1 + C] float32 by position in the class list, 0 or more; 0 for a class of which they say nothing.
        offsets: [1 + C] float32, so that slope * log-odds + offset is the logarithm of how much more probable these
            log-odds are on the class than on background.
    """

    slopes: NDArray[np.float32]
    offsets: NDArray[np.float32]

    def __call__(self, windows: NDArray[np.float32], keywords: Keywords, size: tuple[int, ...]) -> NDArray[np.float32]:
        """Return how probable what the windows show is on each class, in units of that on background.

        Args:
            windows: [K, h, w] log-odds, NaN where nothing is known.
            keywords: The picture's K keywords.
            size: (H, W).

        Returns:
            [1 + K, H, W], above 0; 1 for background and where nothing is known, interpolated between the windows.
        """
        chosen = list(keywords.positions)
        worth = self.slopes[chosen, None, None] * windows + self.offsets[chosen, None, None]
        known = np.clip(np.nan_to_num(worth, nan=0.0), -_MOST, _MOST)
        # Keywords of one kind, such as cat and dog, have the same log-odds. These cannot tell the keywords apart, so
        # such keywords share their mean. NaN equals nothing, not even itself: the diagonal is set by hand.
        alike = (windows[:, None] == windows[None]).all(axis=(2, 3)) | np.eye(len(chosen), dtype=bool)  # [K, K]
        known = np.stack([known[fellows].mean(axis=0) for fellows in alike])
        likelihood = np.ones((len(chosen) + 1, *size), np.float32)
        likelihood[1:] = np.exp(enlarge(known, size))
        return likelihood


def fit_windows(
    log_odds: NDArray[np.float32], keywords: NDArray[np.int32], labels: NDArray[np.uint8], classes: int
) -> WindowProbe | None:
    """Learn from the windows of a whole set.

    By Bayes' rule a logistic regression of keyword against background gives the likelihood ratio times the odds of the
    sample. The odds are divided out.

    Args:
        log_odds: [N] that a window is of a kind with a keyword of its picture; NaN where it is not known.
        keywords: [N] position of that keyword in the class list.
        labels: [N] position of the class that the window shows, 0 background; 255 is left out.
        classes: C, without background.

    Returns:
        What they are worth: nothing for keywords with too little to learn from, or which look less like themselves
        than background does. None if that holds for all.
    """
    slopes, offsets = np.zeros(classes + 1, np.float32), np.zeros(classes + 1, np.float32)
    for position in range(1, classes + 1):
        seen = (keywords == position) & np.isfinite(log_odds) & np.isin(labels, (0, position))
        shown = labels[seen] == position
        if min(np.count_nonzero(shown), np.count_nonzero(~shown)) < _FEWEST:
            continue
        truth = torch.from_numpy(shown[:, None].astype(np.float32))
        weight, bias = fit_probe(torch.from_numpy(log_odds[seen][:, None]), truth)
        if weight.item() > 0:
            slopes[position] = weight.item()
            offsets[position] = bias.item() - np.log(shown.mean() / (1 - shown.mean()))
    return WindowProbe(slopes, offsets) if slopes.any() else None
