"""The pictures of a step, and the random numbers of their augmentation: pure functions of seed and position.

Nothing here has a state that matters. So a resumed training goes on exactly, and neither the number of loader threads
nor the moment of a kill changes anything.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Draw(NamedTuple):
    """One item of a batch.

    Attributes:
        epoch: Number of the epoch, from 0.
        item: Number of the item in the data set.
        copy: How often the item came before in this epoch.
    """

    epoch: int
    item: int
    copy: int = 0


class Epochs:
    """The order in which the items of a data set come, epoch by epoch; each epoch shuffles them anew."""

    def __init__(self, n_items: int, seed: int, repeats: NDArray[np.float64] | None = None) -> None:
        """Take what the order depends on.

        Args:
            n_items: Size of the data set, at least 1.
            seed: Seed of the run.
            repeats: [n_items] how often each item comes in an epoch, 1 or more, see `repeat_factors`. The fraction of a
                factor is the share of epochs with one more copy. None: every item comes once.
        """
        self.n_items, self.seed, self.repeats = n_items, seed, repeats
        self.length = n_items if repeats is None else round(float(repeats.sum()))
        self._orders: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> list[Draw]:
        """Return the items of one step; batches run across epochs.

        Args:
            step: Optimiser step from 0.
            batch_size: Items per process.
            rank: Number of this process. All processes together see an epoch once.
            world: Number of processes.
        """
        first = (step * world + rank) * batch_size
        draws = []
        for position in range(first, first + batch_size):
            epoch, offset = divmod(position, self.length)
            items, copies = self._order(epoch)
            draws.append(Draw(epoch, int(items[offset]), int(copies[offset])))
        return draws

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the items of an epoch in order, and which copy of its item each one is."""
        order = self._orders.get(epoch)
        if order is None:
            if len(self._orders) > 2:  # batches of two epochs are prepared at a time
                self._orders.clear()
            # Loader threads may compute the same order at once; that costs a little time and nothing else.
            order = self._orders[epoch] = self._shuffled(np.random.default_rng((self.seed, epoch)))
        return order

    def _shuffled(self, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self.repeats is None:
            return generator.permutation(self.n_items), np.zeros(self.n_items, np.int64)
        # Systematic sampling: marks at equal distances on a line on which each item takes its factor. So an item comes
        # as often as its factor says, rounded down or up, and every epoch has the same length.
        ends = np.cumsum(self.repeats) * (self.length / self.repeats.sum())
        items = np.minimum(
            np.searchsorted(ends, np.arange(self.length) + generator.random(), "right"), self.n_items - 1
        )
        copies = np.arange(self.length) - np.searchsorted(items, items)
        order = generator.permutation(self.length)
        return items[order], copies[order]


def repeat_factors(shown: NDArray[np.bool_], power: float = 0.5) -> NDArray[np.float64] | None:
    """Return how often each item is to come, so that rare classes are learned.

    After Gupta, Dollar and Girshick, "LVIS" (CVPR 2019): a class that a share f of the items shows has the factor
    max(1, (t / f)^power), there with power 1/2. An item has the largest factor of its classes. In LVIS t is a fixed
    0.001, for a thousand classes. Here t is the mean share of the classes, so that nothing is to be set.

    Args:
        shown: [N, C] which classes each item shows. Classes that none shows do not count.
        power: 1 draws every class as often as one of mean share, as far as its items show no other; 0 draws all alike.

    Returns:
        [N], 1 or more; None if every factor is 1.
    """
    share = shown.mean(axis=0)
    known = share > 0
    if not known.any():
        return None
    factors = np.maximum(1.0, (share[known].mean() / share[known]) ** power)
    repeats = np.where(shown[:, known], factors, 1.0).max(axis=1)
    return None if (repeats == 1).all() else repeats


def sample_generator(seed: int, draw: Draw) -> np.random.Generator:
    """Return the generator for the augmentation of one item of a batch."""
    return np.random.default_rng((seed, draw.epoch, draw.item, 1, *([draw.copy] if draw.copy else [])))
