"""Instances in a JSON file for each picture, as Segment Anything's `amg.py` and its data set SA-1B have them.

The file is a list of masks, or an object with such a list as `annotations`. A mask has run lengths in `segmentation`,
and its own estimate of its quality in `predicted_iou`, which becomes its score.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.data.coco_file import Annotation
from pipelines.data.images import ImageFile
from pipelines.data.instance_sources.annotations import AnnotatedPicture, AnnotationSource
from pipelines.data.instance_sources.picture_masks import reject_strangers
from pipelines.data.notes import Notes
from pipelines.data.picture_names import PictureNames
from pipelines.errors import InputError
from pipelines.files import read_json


def open_sam_folder(
    folder: Path, files: Mapping[str, Path], images: Mapping[str, ImageFile], notes: Notes
) -> AnnotationSource:
    """Open a folder of JSON files.

    Args:
        folder: The folder.
        files: Name of each JSON file below the folder, without suffix -> the file.
        images: image_id -> picture file.
        notes: Told what is left out, matched, scaled or turned.

    Raises:
        InputError: A file is damaged or holds something else [sam-structure], or the pictures are others [masks-none].
    """
    matched = PictureNames(images, notes).match(files, str(folder))
    reject_strangers(folder, matched, files, images)
    by_id = {image_id: files[name] for name, image_id in matched.items()}
    return AnnotationSource(folder, list(by_id.values()), _Files(by_id), images, notes)


class _Files(Mapping[str, AnnotatedPicture]):
    """image_id -> annotations, read from the file of the picture at every access: all at once may fill the memory."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def __getitem__(self, image_id: str) -> AnnotatedPicture:
        return AnnotatedPicture(self._files[image_id], None, _read(self._files[image_id]))

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _read(path: Path) -> list[Annotation]:
    content = read_json(path)
    items = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(items, list) or not all(isinstance(item, dict) and "segmentation" in item for item in items):
        raise InputError(
            f"{path}: no list of masks with a segmentation, expected what Segment Anything writes for a picture; name "
            "a COCO file itself as --instances, not its folder",
            "sam-structure",
        )
    return [Annotation(f"mask {number}", _scored(item), "") for number, item in enumerate(items)]


def _scored(item: dict[str, Any]) -> dict[str, Any]:
    quality = item.get("predicted_iou")
    # The estimate of an IoU is not bounded, and is often a little above 1.
    return {**item, "score": min(1.0, max(0.0, quality))} if isinstance(quality, int | float) else item
