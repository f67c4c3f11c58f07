"""Instances in a text file for each picture, as YOLO-seg has them.

A line is the number of a class and the corners x y of a polygon, as shares of the picture's width and height; maybe a
score at the end. The names of the classes stand in `data.yaml`, `classes.txt` or `obj.names` of the folder or above.
As YOLO has it, a picture without a file shows no instance.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import Frame, ImageFile
from pipelines.data.instance_sources.picture_masks import PictureMasks, reject_strangers
from pipelines.data.instance_sources.yolo_names import NAME_FILES, find_names, read_names
from pipelines.data.notes import Notes
from pipelines.data.picture_names import PictureNames
from pipelines.data.rle import read_rle
from pipelines.data.working_size import working_masks
from pipelines.files import read_text

_BOX = (4, 5)  # numbers behind the class that are a box, without and with a score


class YoloFolder:
    """A source of instances, see `InstanceSource`."""

    def __init__(self, folder: Path, files: Mapping[str, Path], images: Mapping[str, ImageFile], notes: Notes) -> None:
        """Match the files with the pictures, and read the names of the classes.

        Args:
            folder: The folder.
            files: Name of each text below the folder, without suffix -> the file.
            images: image_id -> picture file.
            notes: Told what is left out or matched.

        Raises:
            InputError: The texts are those of other pictures [masks-none], or the names cannot be read [yolo-names].
        """
        texts = {name: file for name, file in files.items() if file.name not in NAME_FILES}
        matched = PictureNames(images, notes).match(texts, str(folder))
        reject_strangers(folder, matched, texts, images)
        self.path, self._notes, self._images = folder, notes, set(images)
        self._texts = {image_id: texts[name] for name, image_id in matched.items()}
        named = find_names(folder)
        self.names = [] if named is None else read_names(named)
        self.has_categories = bool(self.names)
        self.files: Sequence[Path] = [*self._texts.values(), *([] if named is None else [named])]
        for image_id in images:
            if image_id not in self._texts:
                notes.decided(f"{folder}: pictures without a text, taken for pictures without instances", image_id)

    def categories(self, image_id: str) -> Sequence[str]:
        """Return the names of the classes of a picture's instances."""
        return [self._name(number) for number, _, _ in self._lines(image_id)]

    def __call__(self, image_id: str, frame: Frame) -> PictureMasks:
        """Return the instances of a picture; see `InstanceSource`."""
        height, width = frame.shown
        rles, scores, names = [], [], []
        for number, corners, score in self._lines(image_id):
            polygon = (np.clip(corners, 0, 1) * (width, height)).ravel().tolist()
            rles.append(read_rle([polygon], height, width))
            scores.append(1.0 if score is None else score)
            names.append(self._name(number))
        masks = working_masks(rles, frame.working)
        return PictureMasks(masks, np.array(scores, np.float32), tuple(names))

    def polygons(self, image_id: str) -> Iterator[tuple[str, NDArray[np.float64], float | None]]:
        """Yield the instances of a picture.

        Each has the name of its class, or `class 3` without one; corners [P, 2] as shares of the picture; and a score.
        """
        for number, corners, score in self._lines(image_id):
            yield self._name(number) or f"class {number}", corners, score

    def _name(self, number: int) -> str:
        return self.names[number] if number < len(self.names) else ""

    def _lines(self, image_id: str) -> list[tuple[int, NDArray[np.float64], float | None]]:
        """Return class, corners [P, 2] and score of each polygon of a picture; no score is None."""
        path = self._texts.get(image_id)
        found = []
        for position, line in enumerate([] if path is None else read_text(path).splitlines(), start=1):
            where = f"{image_id}, line {position}"
            values = _numbers(line)
            if values is None:
                self._notes.left_out(f"{self.path}: lines left out, because they are no polygons of YOLO-seg", where)
            elif len(values) - 1 in _BOX:
                self._notes.left_out(f"{self.path}: lines left out, because they are boxes without a mask", where)
            elif values:
                number, *shares = values
                corners = np.reshape(shares[: len(shares) // 2 * 2], (-1, 2))
                score = shares[-1] if len(shares) % 2 else None
                if score is not None and not 0 <= score <= 1:  # a corner may lie outside, a score may not
                    self._notes.left_out(f"{self.path}: lines left out, because their score is not 0 to 1", where)
                    continue
                found.append((int(number), corners, score))
        return found


def _numbers(line: str) -> list[float] | None:
    """Return the numbers of a line, none for a blank one; None if they are no class with shares of a picture."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return None
    # Corners may lie a little outside. NaN fails as well.
    fits = all(-0.1 <= share <= 1.1 for share in values[1:]) and (len(values) > min(_BOX) or not values)
    return values if fits and (not values or (values[0].is_integer() and values[0] >= 0)) else None
