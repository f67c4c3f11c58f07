"""Checks of pictures and label maps before a long job starts: a damaged file should cost a minute, not a night."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.data.images import ImageFile, image_size, open_image
from pipelines.errors import InputError


def check_pictures(paths: Sequence[Path], workers: int) -> None:
    """Decode every picture once.

    Args:
        paths: Files of the pictures.
        workers: Threads.

    Raises:
        InputError: The first picture that cannot be used, and how many others there are.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        errors = [error for error in pool.map(_problem, paths) if error is not None]
    if errors:
        others = f" ({len(errors) - 1} other pictures cannot be used either)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0].message}{others}", errors[0].rule)


def require_same_size(
    file: ImageFile, found: Sequence[int], other: ImageFile, expected: Sequence[int], what: str = "label map"
) -> None:
    """Refuse a label map that has another size than its picture or its truth.

    Args:
        file: The label map.
        found: Its (height, width) in pixels.
        other: The picture, or the label map, that it belongs to.
        expected: (height, width) of the other file.
        what: What the file is, for the message.

    Raises:
        InputError: The sizes differ [label-size].
    """
    if tuple(found) != tuple(expected):
        sizes = [f"{width}x{height}" for height, width in (found, expected)]
        message = f"{file}: {what} is {sizes[0]}, expected {sizes[1]} as in {other}; make both the same size"
        raise InputError(message, "label-size")


class Headers:
    """The sizes of pictures and label maps; each file is read once, however often it is asked for.

    Headers tell the sizes. On request every file is decoded as well: only that finds a file that was cut off.

    Several threads read at once, because a disk far away makes each of them wait.
    """

    def __init__(self, threads: int = 8, whole: bool = False) -> None:
        """Start empty.

        Args:
            threads: Number of files that are read at once.
            whole: Whether files are decoded, and not only their headers read.
        """
        self._threads, self._whole = threads, whole
        self._known: dict[ImageFile, tuple[int, int] | InputError] = {}

    def read(self, paths: Iterable[ImageFile]) -> dict[ImageFile, tuple[int, int] | InputError]:
        """Return the (height, width) of each file, or what is wrong with it."""
        paths = list(dict.fromkeys(paths))
        new = [path for path in paths if path not in self._known]
        with ThreadPoolExecutor(self._threads) as pool:
            self._known.update(zip(new, pool.map(self._size, new, chunksize=64), strict=True))
        return {path: self._known[path] for path in paths}

    def _size(self, path: ImageFile) -> tuple[int, int] | InputError:
        try:
            if not self._whole:
                return image_size(path)
            height, width, _ = open_image(path).shape
            return height, width
        except InputError as error:
            return error


def _problem(path: Path) -> InputError | None:
    try:
        open_image(path)
    except InputError as error:
        return error
    return None
