"""The pictures with the lowest mIoU of their own, kept small while all are scored."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 48
"""Pictures that are kept."""
_SIDE = 320  # pixels of the longest side of what is kept


@dataclass(frozen=True, eq=False)
class Judged:
    """A picture with its label maps, reduced.

    Attributes:
        image_id: Id of the picture.
        miou: mIoU of this picture alone, 0..1.
        given: [h, w] uint8 label map that was scored.
        truth: [h, w] uint8 true label map.
    """

    image_id: str
    miou: float
    given: NDArray[np.uint8]
    truth: NDArray[np.uint8]


class WorstPictures:
    """Receives every picture, from several threads at once, and keeps the worst ones.

    Attributes:
        names: Names of the classes 1..n of the label maps.
    """

    def __init__(self) -> None:
        """Keep none yet."""
        self.names: tuple[str, ...] = ()
        self._kept: list[Judged] = []
        self._lock = threading.Lock()  # what is added while the list is cut short would be lost

    def reduced(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return every n-th pixel of a label map [H, W], so that no side is longer than 320 pixels."""
        step = max(1, -(-max(label_map.shape) // _SIDE))
        return label_map[::step, ::step].copy()

    def add(self, image_id: str, miou: float, given: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Take a picture.

        Args:
            image_id: Id of the picture.
            miou: mIoU of this picture alone; NaN for one that cannot be judged, which is not kept.
            given: [h, w] reduced label map that was scored.
            truth: [h, w] reduced true label map.
        """
        if np.isnan(miou):
            return
        with self._lock:
            self._kept.append(Judged(image_id, miou, given, truth))
            if len(self._kept) >= 2 * MOST:
                self._kept = self.sorted()

    def sorted(self) -> list[Judged]:
        """Return the worst pictures, the worst one first."""
        return sorted(self._kept, key=lambda each: (each.miou, each.image_id))[:MOST]
