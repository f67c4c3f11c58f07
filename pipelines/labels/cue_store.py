"""The cues of a whole set of pictures, in a file for each picture: `<folder>/cues/<id>.npz`."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import InputError
from pipelines.files import copy_file
from pipelines.labels.attention import ATTENTION
from pipelines.labels.cues import PictureCues, load_cues


def take_over(earlier: Path, folder: Path, image_ids: Iterable[str]) -> int:
    """Copy what was found for an earlier label folder to another: the attention network, and the cues of pictures.

    What is there already stays as it is.

    Args:
        earlier: A label folder with the same settings, see `check_earlier`.
        folder: The other one.
        image_ids: Of the pictures.

    Returns:
        How many pictures the earlier one has cues of.
    """
    # A damaged file is none: what it held is found again.
    found = [name for name in map(_cue_name, image_ids) if load_cues(earlier / name) is not None]
    for name in (ATTENTION, *found):
        if (earlier / name).is_file() and not (folder / name).exists():
            copy_file(earlier / name, folder / name)
    return len(found)


def _cue_name(image_id: str) -> str:
    return f"cues/{image_id}.npz"


class CueStore:
    """Cues by image id.

    Attributes:
        folder: The label folder that they belong to.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is touched."""
        self.folder = folder

    def path(self, image_id: str) -> Path:
        """Return where the cues of a picture lie."""
        return self.folder / _cue_name(image_id)

    def has(self, image_id: str) -> bool:
        """Tell whether the cues of a picture are known."""
        return self.path(image_id).is_file()

    def save(self, image_id: str, cues: PictureCues) -> None:
        """Write the cues of a picture."""
        cues.save(self.path(image_id))

    def load(self, image_id: str) -> PictureCues:
        """Read the cues of a picture.

        Raises:
            InputError: The file is gone or damaged [cues-damaged].
        """
        cues = load_cues(self.path(image_id))
        if cues is None:
            message = (
                f"{self.path(image_id)}: missing or damaged, cues of a picture expected; remove it and start again"
            )
            raise InputError(message, "cues-damaged")
        return cues
