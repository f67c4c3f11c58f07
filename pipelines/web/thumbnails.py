"""Pictures for the page: reduced JPEG files, and label maps as transparent PNG files."""

import io
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.classes import IGNORE
from pipelines.data.decoding import rotation_of, to_rgb, turned
from pipelines.data.images import ImageFile, open_picture
from pipelines.data.label_crops import reduced_size
from pipelines.web.colours import class_colour

THUMBNAIL, LARGE = 256, 1600  # pixels of the longer side
_QUALITY = {THUMBNAIL: 78, LARGE: 88}
_MOST_KEPT = 64 * 2**20  # bytes of pictures in memory
_OPACITY = {THUMBNAIL: 120, LARGE: 130}  # of 255
_UNKNOWN = (128, 128, 128)


def reduced_picture(path: ImageFile, longest: int) -> bytes:
    """Return a picture as JPEG, reduced to `longest` pixels a side.

    Raises:
        InputError: The picture cannot be used, see `pipelines.data.images.open_image`.
    """
    with open_picture(path) as image:
        turn = rotation_of(image)
        image.draft("RGB", (longest, longest))  # a JPEG is decoded at a half, a quarter or an eighth
        pixels = turned(to_rgb(image), turn)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((longest, longest))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY[longest])
    return content.getvalue()


def overlay(label_map: NDArray[np.uint8], longest: int) -> bytes:
    """Return a label map [H, W] as PNG with transparency: clear on background, grey stripes where it is unknown."""
    height, width = label_map.shape
    rows, columns = reduced_size(height, width, longest)
    small = label_map[(np.arange(rows) * height // rows)[:, None], (np.arange(columns) * width // columns)[None]]
    table = np.zeros((256, 4), np.uint8)
    for position in range(1, int(small[small != IGNORE].max(initial=0)) + 1):
        table[position] = (*class_colour(position), _OPACITY[longest])
    table[IGNORE] = (*_UNKNOWN, _OPACITY[longest])
    pixels = table[small]
    stripe = (np.add.outer(np.arange(rows), np.arange(columns)) // max(2, longest // 200)) % 3 == 0
    pixels[(small == IGNORE) & stripe] = (255, 255, 255, _OPACITY[longest])
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


class Kept:
    """The bytes that were made last, by name; the ones that nobody asked for longest go first."""

    def __init__(self, most: int = _MOST_KEPT) -> None:
        """Hold nothing yet.

        Args:
            most: Bytes to hold.
        """
        self._most, self._held = most, 0
        self._content: OrderedDict[object, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: object) -> bytes | None:
        """Return the bytes of a name, if they are held."""
        with self._lock:
            if name in self._content:
                self._content.move_to_end(name)
            return self._content.get(name)

    def put(self, name: object, content: bytes) -> bytes:
        """Hold the bytes of a name, and return them."""
        with self._lock:
            self._held += len(content) - len(self._content.pop(name, b""))
            self._content[name] = content
            while self._held > self._most and len(self._content) > 1:
                self._held -= len(self._content.popitem(last=False)[1])
        return content
