"""The pictures of a step, and the random numbers of their augmentation: pure functions of seed and position.

Nothing here has a state. So a resumed training goes on exactly, and neither the number of loader threads nor the moment
of a kill changes anything.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n_items: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(n_items)


def batch_indices(
    step: int, n_items: int, batch_size: int, seed: int, rank: int = 0, world: int = 1
) -> list[tuple[int, int]]:
    """Return the (epoch, index) pairs of one step. Each epoch shuffles the data set anew; batches run across epochs.

    Args:
        step: Optimiser step from 0.
        n_items: Size of the data set, at least 1.
        batch_size: Items per process.
        seed: Seed of the run.
        rank: Number of this process. All processes together see each item once an epoch.
        world: Number of processes.
    """
    first = (step * world + rank) * batch_size
    positions = (divmod(first + i, n_items) for i in range(batch_size))
    return [(epoch, int(_permutation(seed, epoch, n_items)[offset])) for epoch, offset in positions]


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator for the augmentation of item `index` in `epoch`."""
    return np.random.default_rng((seed, epoch, index, 1))
