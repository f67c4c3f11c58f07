"""Which pictures a step sees, and with which random numbers: pure functions of seed and position.

Because nothing here has a state, a resumed training continues exactly, and the number of loader threads or the moment
of a kill changes nothing.
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
    """Return the (epoch, index) pairs of one step: the data set is shuffled anew each epoch, batches run across epochs.

    Args:
        step: optimiser step from 0.
        n_items: size of the data set, at least 1.
        batch_size: items per process.
        seed: seed of the run.
        rank: number of this process; all processes together see each item once an epoch.
        world: number of processes.
    """
    first = (step * world + rank) * batch_size
    positions = (divmod(first + i, n_items) for i in range(batch_size))
    return [(epoch, int(_permutation(seed, epoch, n_items)[offset])) for epoch, offset in positions]


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator for the augmentation of item `index` in `epoch`."""
    return np.random.default_rng((seed, epoch, index, 1))
