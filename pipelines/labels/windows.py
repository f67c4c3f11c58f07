"""What the windows of a picture are worth, once ImageNet's classifier has looked at them.

`Recognizer.windows` tells how much a window looks like any animal, for example, or like clothes. `fit_windows` learns
how much that speaks for a cow and against background. It learns from the labels that instances give to all pictures.
It learns two numbers for each keyword. Two are too few to learn by heart which cushions were labelled cat.

Instances, cells and DeepLab all go back to the same S4Net. ImageNet's classifier does not, so windows count as new
evidence. They are not one more opinion in the pool, see `pipelines.labels.fuse`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.data.classes import Keywords
from pipelines.labels.coarse_maps import enlarge
from pipelines.labels.linear_probe import fit_probe

WINDOW_WEIGHT = 0.5
"""Power of the likelihood of windows. Neighbouring windows show parts of one thing, so they partly say the same."""
_MOST = 8.0  # size of a log-likelihood, so that no window rules anything out
_FEWEST = 10  # windows of the keyword, and of background; from fewer, nothing is learned


@dataclass(frozen=True, eq=False)
class WindowProbe:
    """Turns the log-odds of windows into likelihoods of the classes.

    Attributes:
        slopes: [1 + C] float32 by position in the class list, 0 or more; 0 for a class that windows do not tell.
        offsets: [1 + C] float32. slope * log-odds + offset is the logarithm of a likelihood ratio: how much more
            probable these log-odds are on the class than on background.
    """

    slopes: NDArray[np.float32]
    offsets: NDArray[np.float32]

    def __call__(self, windows: NDArray[np.float32], keywords: Keywords, size: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the likelihood of each class: how probable the windows are on the class, divided by background.

        Args:
            windows: [K, h, w] log-odds, NaN for a keyword without a kind in ImageNet.
            keywords: The K keywords of the picture.
            size: (H, W) of the picture.

        Returns:
            [1 + K, H, W] float32 above 0, background first, interpolated between the windows. It is 1 for background,
            and for a keyword of which the windows tell nothing.
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
    """Learn from the windows of all pictures.

    By Bayes' rule, a logistic regression of keyword against background gives the likelihood ratio times the odds of the
    sample. The odds are divided out.

    Args:
        log_odds: [N], that a window is of a kind with a keyword of its picture; NaN if the keyword has no kind.
        keywords: [N], position of that keyword in the class list.
        labels: [N], position of the class that the window shows, 0 for background. Windows of 255 are left out.
        classes: Number C of classes, without background.

    Returns:
        The probe, or None if all slopes are 0. A keyword has slope 0 if there is too little to learn from. It also has
        slope 0 if background looks more like the keyword than the keyword itself does.
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
