"""The photographs of the scikit-image wheel: real pictures that need no download."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import MachineError


def bundled_photograph(name: str) -> NDArray[np.uint8]:
    """Return a photograph [H, W, 3] RGB, or [H, W] where it has no colours.

    Args:
        name: Name of a function in `skimage.data`. Of a stereo pair, the left picture is taken.

    Raises:
        MachineError: scikit-image is not installed [demo-missing].
    """
    try:
        from skimage import data
    except ImportError as error:
        message = "scikit-image: not installed, expected for the demo's pictures; pip install 's4-segmentation[demo]'"
        raise MachineError(message, "demo-missing") from error
    loaded: Any = getattr(data, name)()
    return np.asarray(loaded[0] if isinstance(loaded, tuple) else loaded)


def in_colour(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return [H, W, 3]: grey values [H, W] three times, and a colour picture as it is."""
    return picture if picture.ndim == 3 else np.stack([picture] * 3, axis=2)
