"""Videos: read frame by frame, and written. PyAV does both; it is imported when the first video is opened.

A video that ends early is damaged, also if each frame before the end decodes. Some forms tell no fault there: then the
length in the header is compared with the last frame.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import MAX_PIXELS
from pipelines.errors import InputError
from pipelines.stores.paths import local_copy

if TYPE_CHECKING:
    import av

USUAL_RATE = Fraction(25)
"""Frames a second, where a video does not tell."""
_SLACK = (1.0, 0.05)  # seconds, and share of the length, by which the last frame may be early
_QUALITY = "20"  # of H.264, 0 to 51; 18 is said to be without visible loss


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame.

    Attributes:
        video: The video.
        bytes: Size of the video.
        number: Which frame of the video it is, from 0.
        pixels: [H, W, 3] uint8 RGB, turned as a player shows it.
    """

    video: Path
    bytes: int
    number: int
    pixels: NDArray[np.uint8]


class Video:
    """An open video.

    Attributes:
        path: The file.
        rate: Frames a second.
        count: Number of frames as far as the header tells; it may be wrong. 0: unknown.
    """

    def __init__(self, path: Path, container: "av.container.InputContainer", size: int) -> None:
        """Look at the header.

        Raises:
            InputError: There is no picture in the video [video-damaged], or one that is too large [image-too-large].
        """
        self.path, self._container, self._bytes = path, container, size
        if not container.streams.video:
            raise _damaged(path, "it has no pictures")
        self._stream = stream = container.streams.video[0]
        if stream.width * stream.height > MAX_PIXELS:
            raise InputError(
                f"{path}: its frames are {stream.width}x{stream.height}, limit {MAX_PIXELS / 1e6:.0f} MP; scale it "
                "down or remove it",
                "image-too-large",
            )
        rate = stream.average_rate or stream.guessed_rate
        self.rate = Fraction(rate) if rate else USUAL_RATE
        self.count = stream.frames or round((self._seconds or 0) * self.rate)

    @property
    def _seconds(self) -> float | None:
        """Length as the header tells it; None if it does not, or if it may be that of the sound."""
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        if len(self._container.streams) > 1 or not self._container.duration:
            return None
        return float(self._container.duration / 1e6)

    def frames(self, every: int = 1) -> Iterator[VideoFrame]:
        """Yield frames, one at a time.

        Args:
            every: Only each `every`-th frame, from the first on.

        Raises:
            InputError: The video is damaged [video-damaged]. All frames before the damage were yielded.
        """
        number, end = -1, 0.0
        for number, frame in enumerate(self._decoded()):
            end = max(end, (frame.time or 0.0) + float(1 / self.rate))
            if number % every == 0:
                pixels = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90 % 4)
                yield VideoFrame(self.path, self._bytes, number, np.ascontiguousarray(pixels))
        expected = self._seconds
        if number < 0:
            raise _damaged(self.path, "no frame of it decodes")
        if expected is not None and expected - end > max(_SLACK[0], _SLACK[1] * expected):
            raise _damaged(self.path, f"it ends after {end:.1f} of {expected:.1f} seconds")

    def _decoded(self) -> Iterator[Any]:
        from av.error import FFmpegError

        frames = self._container.decode(self._stream)
        while True:
            try:
                frame = next(frames, None)
            except FFmpegError as error:
                raise _damaged(self.path, error.strerror or str(error)) from error
            if frame is None:
                return
            yield frame


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Give an open video; a video at an address is copied to this machine first.

    Raises:
        InputError: It cannot be read [video-damaged].
    """
    import av

    with local_copy(path) as file:
        try:
            container = av.open(str(file))
        except (av.error.FFmpegError, OSError) as error:
            raise _damaged(path, error.strerror or str(error)) from error
        with container:
            yield Video(path, container, file.stat().st_size)


class Film:
    """An MP4 file in the making, H.264 without sound. The same frames give the same bytes on any machine."""

    def __init__(self, file: BinaryIO, rate: Fraction) -> None:
        """Write into an open file.

        Args:
            file: The file; it can be searched.
            rate: Frames a second.
        """
        import av

        self._container = av.open(file, "w", format="mp4", options={"movflags": "faststart"})
        self._rate = rate
        self._stream: av.VideoStream | None = None

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Add a frame [H, W, 3] RGB. A frame of another size than the first is scaled to that size."""
        import av

        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.height, self._stream.width = (side + side % 2 for side in pixels.shape[:2])  # even, for 4:2:0
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": _QUALITY}
            self._stream.codec_context.thread_count = 1  # bytes depend on the number of threads
            self._size = pixels.shape[:2]
        if pixels.shape[:2] != self._size:
            pixels = np.asarray(Image.fromarray(pixels).resize(self._size[::-1]))
        odd = [(0, side % 2) for side in self._size]
        frame = av.VideoFrame.from_ndarray(np.pad(pixels, [*odd, (0, 0)], mode="edge"), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Write what is left. After an error the file is of no use."""
        if self._stream is not None and error is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path}: video is damaged ({why}), one that decodes to its end expected; convert, restore or remove it",
        "video-damaged",
    )
