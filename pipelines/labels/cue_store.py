"""Cues in files, one for each picture: `<label folder>/cues/<id>.npz`."""

from collections.abc import Callable, Iterable
from pathlib import Path

from pipelines.errors import InputError
from pipelines.files import copy_file
from pipelines.labels.attention import ATTENTION
from pipelines.labels.cues import PictureCues, load_cues
from pipelines.stores.paths import is_file, presence

PARTS = ("labels", "confidence", "cues")
"""Sub-folders of a label folder, in which a killed process may leave temporary files."""


def take_over(earlier: Path, folder: Path, image_ids: Iterable[str]) -> int:
    """Copy the attention network and the cues of an earlier label folder to a new one.

    Files that the new folder already has stay as they are.

    Args:
        earlier: The earlier label folder, made with the same settings, see `check_earlier`.
        folder: The new label folder.
        image_ids: Pictures whose cues are wanted.

    Returns:
        The number of these pictures that the earlier folder has cues of.
    """
    # A damaged file is not copied: its cues are found again.
    found = [name for name in map(_cue_name, image_ids) if load_cues(earlier / name) is not None]
    for name in (ATTENTION, *found):
        if is_file(earlier / name) and not is_file(folder / name):
            copy_file(earlier / name, folder / name)
    return len(found)


def _cue_name(image_id: str) -> str:
    return f"cues/{image_id}.npz"


class CueStore:
    """The cue files of a label folder, by image id.

    Attributes:
        folder: The label folder.
    """

    def __init__(self, folder: Path) -> None:
        """Name the label folder; no file is touched."""
        self.folder = folder

    def path(self, image_id: str) -> Path:
        """Return the path of a picture's cues."""
        return self.folder / _cue_name(image_id)

    def presence(self) -> Callable[[str], bool]:
        """Return a function that tells of many pictures whether there are cues now; see `presence`."""
        is_there = presence(self.folder / "cues")
        return lambda image_id: is_there(self.path(image_id))

    def save(self, image_id: str, cues: PictureCues) -> None:
        """Write the cues of a picture."""
        cues.save(self.path(image_id))

    def load(self, image_id: str, size: tuple[int, int] | None = None) -> PictureCues:
        """Read the cues of a picture.

        Args:
            image_id: Id of the picture.
            size: Expected (h, w) of the masks; None for any.

        Raises:
            InputError: The file is gone or damaged [cues-damaged].
        """
        cues = load_cues(self.path(image_id))
        if cues is None or (size is not None and cues.masks.shape[1:] != size):
            found = f"{self.path(image_id)}: missing, damaged or of another size, cues of the picture expected"
            raise InputError(f"{found}; remove the file and start the same command again", "cues-damaged")
        return cues
