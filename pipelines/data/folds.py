"""Parts of a set of pictures, so that each picture can be judged by what has not learned from it."""

import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """One part of several, all of about the same size.

    Attributes:
        part: Counted from 0.
        parts: How many there are.
    """

    part: int
    parts: int

    def holds(self, image_id: str) -> bool:
        """Whether a picture is in it; that depends on its id alone, not on which others there are."""
        return zlib.crc32(image_id.encode()) % self.parts == self.part
