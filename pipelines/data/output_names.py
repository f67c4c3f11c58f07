"""Names of output files: what comes from a picture's name may be longer or deeper than a file system takes."""

import os
from pathlib import Path

from pipelines.errors import InputError

_LONGEST_PART = 255  # bytes, on nearly every file system
_LONGEST_PATH = 4095
_MOST_FOLDERS = 256  # Python makes and removes folders by calls within calls, of which it allows a thousand
_SPARE = 32  # bytes by which a temporary name may be longer than the name of its file


def require_short_name(output: Path) -> None:
    """Refuse a picture whose output file would have too long a name, or lie in too many folders.

    Members of tars and names in annotations may be of any length.

    Args:
        output: A file that is named after the picture.

    Raises:
        InputError: The name is too long, or has too many folders [name-too-long].
    """
    longest = max(output.parts, key=lambda part: len(os.fsencode(part)), default="")
    in_part, in_all = len(os.fsencode(longest)), len(os.fsencode(str(output)))
    if in_part > _LONGEST_PART:
        raise _too_long(output, f"{in_part} bytes", _LONGEST_PART)
    if in_all > _LONGEST_PATH - _SPARE:
        raise _too_long(output, f"{in_all} bytes", _LONGEST_PATH - _SPARE)
    if len(output.parts) - 1 > _MOST_FOLDERS:
        raise _too_long(output, f"{len(output.parts) - 1} folders", _MOST_FOLDERS)


def _too_long(output: Path, found: str, most: int) -> InputError:
    name = str(output)
    shown = name if len(name) <= 80 else f"{name[:50]}...{name[-20:]}"
    return InputError(
        f"{shown}: the name has {found}, at most {most} expected; give the picture a shorter one", "name-too-long"
    )
