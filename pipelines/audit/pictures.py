"""A look at every picture: whether it decodes, its size, and marks by which equal and similar pictures are known.

Of each picture about 350 bytes stay in memory, so that 100,000 pictures take some 35 MB. Pictures are decoded in
threads, a bounded number at a time.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import ImageFile, image_size, open_image, turn_for
from pipelines.errors import InputError

THUMB = 16
"""Side in pixels of the grey picture by which similar pictures are compared."""
_AHEAD = 4  # pictures in work or waiting for each thread
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Look:
    """What is kept of a picture.

    Attributes:
        size: (height, width) in pixels.
        pixels: A hash of 16 bytes of the size and the pixels, as they are shown.
        thumb: [16, 16] uint8, the picture in grey and small.
    """

    size: tuple[int, int]
    pixels: bytes
    thumb: NDArray[np.uint8]


def look_at_picture(file: ImageFile) -> Look | InputError:
    """Decode a picture, or return what is wrong with it."""
    try:
        height, width = image_size(file)
        with turn_for(height * width):
            rgb = open_image(file)
            digest = hashlib.blake2b(f"{rgb.shape}".encode(), digest_size=16)
            digest.update(rgb.data)
            small = Image.fromarray(rgb).reduce(_factor(rgb.shape[:2])).convert("L").resize((THUMB, THUMB))
    except InputError as error:
        return error
    return Look((height, width), digest.digest(), np.asarray(small, np.uint8))


def _factor(size: Sequence[int]) -> tuple[int, int]:
    """Return by what the (width, height) are first divided, so that the fine resize has little left to do."""
    return max(1, size[1] // (4 * THUMB)), max(1, size[0] // (4 * THUMB))


def in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """Yield the result for each item in order; only a few items are in work at a time.

    Args:
        work: Called in threads.
        items: What to work on.
        threads: Number of threads, at least 1.
    """
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * max(1, threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
