"""The colours of label files."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.data.working_size import tiles

_AT_ONCE = 2**21  # pixels whose codes are made at a time
_WEIGHTS = np.array([65536, 256, 1])  # red, green and blue in one number


def voc_palette() -> list[int]:
    """Return the colours of the VOC development kit in one list: 256 x (red, green, blue), 0..255.

    The bits of an index go to the three channels in turn, the lowest bits first. Each channel fills from its highest
    bit, so that neighbouring indices have very different colours.
    """
    return list(_voc_colours())


def indices_of_colours(
    rgb: NDArray[np.integer], colours: NDArray[np.integer] | None = None
) -> NDArray[np.unsignedinteger] | tuple[int, int]:
    """Turn colours into their places in a table.

    Args:
        rgb: [H, W, 3] colours.
        colours: [N, 3] table; None for the VOC palette.

    Returns:
        [H, W] places in the table. If a colour is not in the table, (row, column) of its first pixel.
    """
    if colours is not None and not len(colours):
        return 0, 0  # in a table without colours the first pixel is the first that is not found
    places = np.empty(rgb.shape[:2], np.min_scalar_type(255 if colours is None else max(255, len(colours))))
    for rows, columns in tiles((rgb.shape[0], rgb.shape[1]), _AT_ONCE):
        found = _places(rgb[rows, columns], colours)
        if isinstance(found, tuple):
            return rows.start + found[0], columns.start + found[1]
        places[rows, columns] = found
    return places


def _places(rgb: NDArray[np.integer], colours: NDArray[np.integer] | None) -> NDArray[np.int64] | tuple[int, int]:
    known = _voc_codes() if colours is None else np.asarray(colours, np.int64) @ _WEIGHTS
    order = np.argsort(known, kind="stable")
    codes = rgb.astype(np.int64) @ _WEIGHTS
    places = order[np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)]
    foreign = known[places] != codes
    if foreign.any():
        row, column = np.argwhere(foreign)[0].tolist()
        return row, column
    return np.asarray(places, np.int64)


@cache
def _voc_colours() -> tuple[int, ...]:
    return tuple(
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for index in range(256)
        for channel in range(3)
    )


@cache
def _voc_codes() -> NDArray[np.int64]:
    return np.asarray(np.reshape(voc_palette(), (256, 3)) @ _WEIGHTS, np.int64)
