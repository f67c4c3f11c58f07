"""How often each value occurs in an array; a piece at a time, since NumPy counts in a copy of eight times the size."""

import numpy as np
from numpy.typing import NDArray

_PIECE = 2**22  # values


def value_counts(values: NDArray[np.unsignedinteger], length: int = 256) -> NDArray[np.int64]:
    """Count the values of an array.

    Args:
        values: Unsigned integers of any shape.
        length: Length of the result; it is longer if there are larger values.

    Returns:
        [length or more], how often 0, 1, 2 and so on occur.
    """
    flat = values.ravel()
    counts = np.zeros(length, np.int64)
    for start in range(0, flat.size, _PIECE):
        found = np.bincount(flat[start : start + _PIECE], minlength=len(counts))
        if len(found) > len(counts):
            counts = np.pad(counts, (0, len(found) - len(counts)))
        counts += found
    return counts
