"""Labels of no meaning, to try a training before the real labels are made."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile, image_size
from pipelines.data.label_folder import LabelFolder

_MOST = 16  # pictures: enough for a few batches


def write_stand_ins(folder: Path, classes: ClassList, pictures: Mapping[str, ImageFile]) -> None:
    """Write label maps and confidence maps of some pictures: a class in the middle, background round it, all certain.

    Args:
        folder: The label folder.
        classes: Its classes; the pictures show one after the other.
        pictures: image_id -> file, of pictures that can be read.
    """
    labels = LabelFolder(folder, classes)
    for number, (image_id, file) in enumerate(list(pictures.items())[:_MOST]):
        height, width = image_size(file)
        label_map = np.zeros((height, width), np.uint8)
        label_map[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1 + number % len(classes.names)
        labels.write_label(image_id, label_map)
        labels.write_confidence(image_id, np.full((height, width), 255, np.uint8))
    labels.write_manifest()
