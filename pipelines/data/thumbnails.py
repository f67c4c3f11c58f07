"""Pictures at a small size, decoded in a fraction of the time where the format allows it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.decoding import rotation_of, to_working_rgb
from pipelines.data.images import ImageFile, open_picture


def thumbnail(path: ImageFile, longest: int) -> NDArray[np.uint8]:
    """Read a picture the way a viewer shows it, with its longest side reduced to so many pixels.

    Args:
        path: The picture, as for `pipelines.data.images.open_image`.
        longest: Longest side in pixels; a smaller picture stays as it is.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        InputError: The picture cannot be used.
    """
    with open_picture(path) as image:
        turn = rotation_of(image)
        image.draft("RGB", (longest, longest))  # JPEG alone: decodes at 1/2, 1/4 or 1/8, not below the size asked for
        pixels, _ = to_working_rgb(image, turn)  # resizing takes memory for each pixel of a side
    return reduced(np.ascontiguousarray(pixels), longest)


def reduced(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] with its longest side reduced to so many pixels; a smaller one stays as it is."""
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    how = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(size, how))
