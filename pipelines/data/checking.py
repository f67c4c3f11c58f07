"""Look at every picture before a long job starts: a damaged one should cost a minute, not a night."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.data.images import open_image
from pipelines.errors import InputError


def check_pictures(paths: Sequence[Path], workers: int) -> None:
    """Decode every picture once.

    Args:
        paths: files.
        workers: threads.

    Raises:
        InputError: the first picture that cannot be used, and how many others there are.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        errors = [error for error in pool.map(_problem, paths) if error is not None]
    if errors:
        others = f" ({len(errors) - 1} other pictures cannot be used either)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0].message}{others}", errors[0].rule)


def _problem(path: Path) -> InputError | None:
    try:
        open_image(path)
    except InputError as error:
        return error
    return None
