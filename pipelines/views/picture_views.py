"""The views that a folder of predictions is to have, of whatever picture in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile, open_image, open_working_picture
from pipelines.data.label_maps import read_palette_map
from pipelines.data.record_files import Record
from pipelines.views.files import view_paths, write_views
from pipelines.views.picture_result import PicturePixels, PictureResult


@dataclass(frozen=True)
class PictureViews:
    """What is written for each picture beside its record.

    Attributes:
        out: The folder of the predictions.
        words: Words of `--what`.
        classes: Classes of the label maps; None for instances of an S4Net.
    """

    out: Path
    words: tuple[str, ...] = ()
    classes: ClassList | None = None

    def result(
        self, image_id: str, record: Record, palette_map: NDArray[np.uint8] | None = None, file: ImageFile | None = None
    ) -> PictureResult:
        """Return the result of a picture.

        Args:
            image_id: Its id.
            record: Its record.
            palette_map: [H, W] palette indices; None: that of the folder, if this is a folder of label maps.
            file: The picture, if it is a file.

        Raises:
            InputError: The label map of the folder cannot be read.
        """
        if self.classes is None:
            return PictureResult.of_record(image_id, record, file=file)
        if palette_map is None:
            palette_map = read_palette_map(self.out / f"{image_id}.png")
        label_map = self.classes.from_palette(palette_map)
        return PictureResult.of_record(image_id, record, label_map, self.classes.names, file)

    def write(self, result: PictureResult, picture: PicturePixels) -> None:
        """Write the views of a picture.

        Raises:
            InputError: A name would be too long [name-too-long].
            MachineError: A file cannot be written.
        """
        write_views(self.out, self.words, result, picture)

    def are_there(self, image_id: str, record: Record, is_there: Callable[[Path], bool]) -> bool:
        """Return whether a picture with a record has all of its views."""
        if not self.words:
            return True
        # The label map is read only where the names of files depend on what is in it.
        has_names = self.classes is None or "cutout" in self.words
        result = self.result(image_id, record, None if has_names else np.zeros((1, 1), np.uint8))
        return all(map(is_there, view_paths(self.out, self.words, result)))


class DrawingWork:
    """Draws pictures that were predicted before, in whatever process; no network is opened."""

    def __init__(self, views: PictureViews) -> None:
        """Take what is to be drawn."""
        self.views = views

    def open(self) -> None:
        """Open nothing."""

    def told(self) -> None:
        """Return nothing: nothing is noted for the user."""

    def hear(self, told: Any) -> None:
        """Take nothing."""

    def draw(self, image_id: str, given: tuple[ImageFile, Record]) -> None:
        """Write the views of a picture.

        Args:
            image_id: Its id.
            given: The picture, and its record.

        Raises:
            InputError: The picture cannot be used any more.
        """
        file, record = given
        self.views.write(self.views.result(image_id, record, file=file), read_pixels(file))


def read_pixels(file: ImageFile) -> PicturePixels:
    """Read a picture to draw on; it is read once more where its full size is needed.

    Raises:
        InputError: The picture cannot be used.
    """
    working, size = open_working_picture(file)
    return PicturePixels(working, size, lambda: open_image(file) if size.is_reduced else working)
