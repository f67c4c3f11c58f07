"""A part of something longer, as a file of its own that can only be read."""

import io
from abc import abstractmethod


class PartOfFile(io.RawIOBase):
    """Bytes from one place on, as a file without any bytes outside of them. A subclass knows where they are."""

    def __init__(self, start: int, size: int) -> None:
        """Name the part: `size` bytes from `start` on. Nothing is read yet."""
        self._start, self._size, self._place = start, size, 0

    @abstractmethod
    def read_at(self, place: int, buffer: "memoryview[int]") -> int:
        """Read from a place of the whole into a buffer, and return how many bytes came."""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place of the part, as `io.IOBase.seek` does."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError("a place before the beginning")
        self._place = origin + offset
        return self._place

    def readinto(self, buffer: "memoryview[int] | bytearray") -> int:  # type: ignore[override]
        """Read into a buffer up to the end of the part, and return how many bytes came."""
        wanted = min(len(buffer), max(0, self._size - self._place))
        count = self.read_at(self._start + self._place, memoryview(buffer)[:wanted]) if wanted else 0
        self._place += count
        return count
