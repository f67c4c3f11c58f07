"""Instances in a COCO JSON file with pictures and annotations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.data.coco_file import read_coco_file, reject_doubled
from pipelines.data.images import ImageFile
from pipelines.data.instance_sources.annotations import AnnotatedPicture, AnnotationSource
from pipelines.data.instance_sources.picture_masks import reject_strangers
from pipelines.data.notes import Notes
from pipelines.data.picture_names import PictureNames


def open_coco(path: Path, content: Any, images: Mapping[str, ImageFile], notes: Notes) -> AnnotationSource:
    """Open a COCO file.

    Args:
        path: The file.
        content: What stands in it.
        images: image_id -> picture file.
        notes: Told what is left out, matched, scaled or turned.

    Raises:
        InputError: The content is no COCO JSON [coco-*], it lists a picture twice [coco-image-twice], or none of the
            pictures [masks-none].
    """
    several = read_coco_file(path, notes, content)
    listed = {image.file_name: image for image in several}
    matched = PictureNames(images, notes).match(listed, str(path))
    reject_doubled(path, [(image.file_name, image.file_name) for image in several if image.file_name in matched])
    reject_strangers(path, matched, listed, images)
    pictures = {
        image_id: AnnotatedPicture(path, listed[name].size, listed[name].annotations)
        for name, image_id in matched.items()
    }
    return AnnotationSource(path, [path], pictures, images, notes, has_categories=True)
