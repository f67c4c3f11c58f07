"""Instances in a list of results, as programs write it after testing.

It is `coco_instances_results.json` of detectron2, `.segm.json` of mmdetection, `predictions.json` of ultralytics.

A picture is named by its file, or by a number. A number is the one in the picture's name, as in COCO's own pictures:
`000000000139.jpg` is 139. Numbers that somebody else has given to the pictures cannot be known.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.data.coco_file import Annotation, Key, as_key
from pipelines.data.images import ImageFile
from pipelines.data.instance_sources.annotations import AnnotatedPicture, AnnotationSource
from pipelines.data.instance_sources.picture_masks import reject_strangers
from pipelines.data.notes import Notes, first_names
from pipelines.data.picture_names import PictureNames
from pipelines.errors import InputError

_MOST_DIGITS = 18  # of a name that is a number; Python refuses to read thousands of them


def open_result_list(path: Path, content: list[Any], images: Mapping[str, ImageFile], notes: Notes) -> AnnotationSource:
    """Open a list of results.

    Args:
        path: The file.
        content: What stands in it.
        images: image_id -> picture file. A picture without a result has no instances.
        notes: Told what is left out, matched, scaled or turned.

    Raises:
        InputError: The entries are no results [results-structure] or boxes alone [results-boxes], or the pictures are
            numbered in a way that cannot be known [results-numbers], or are others [masks-none].
    """
    found: dict[Key, list[Annotation]] = defaultdict(list)
    for position, item in enumerate(content):
        key = as_key(item.get("image_id")) if isinstance(item, dict) else None
        if key is None:
            raise InputError(
                f"{path}: entry {position} has no image_id, a list of {{image_id, segmentation, score}} or COCO JSON "
                "expected; check --instances",
                "results-structure",
            )
        found[key].append(Annotation(f"entry {position}", item, ""))
    if content and not any(item.get("segmentation") for item in content):
        raise InputError(
            f"{path}: none of the {len(content)} results has a segmentation, masks expected; write the masks, not the "
            "boxes",
            "results-boxes",
        )
    matched = _pictures_of(path, found, images, notes)
    results: dict[str, list[Annotation]] = {image_id: [] for image_id in images}
    for key, image_id in matched.items():  # a picture may be named in several ways
        results[image_id] += found[key]
    pictures = {image_id: AnnotatedPicture(path, None, own) for image_id, own in results.items()}
    return AnnotationSource(path, [path], pictures, images, notes)


def _pictures_of(path: Path, keys: Iterable[Key], images: Mapping[str, ImageFile], notes: Notes) -> dict[Key, str]:
    """Return the image id of each key that means a picture."""
    names = {str(key): key for key in keys}
    known = PictureNames(images, notes).match(names, str(path), spellings=True)
    matched = {names[name]: image_id for name, image_id in known.items()}
    numbered: dict[int, list[str]] = defaultdict(list)
    for image_id in images:
        stem = PurePosixPath(image_id).name
        if stem.isascii() and stem.isdigit() and len(stem) <= _MOST_DIGITS:
            numbered[int(stem)].append(image_id)
    for key in names.values():
        own = numbered.get(key, []) if isinstance(key, int) else []
        if key not in matched and len(own) == 1:
            matched[key] = own[0]
    if not matched and all(isinstance(key, int) for key in names.values()):
        raise InputError(
            f"{path}: numbers the pictures ({first_names(list(names), 3)}), names of pictures expected, such as "
            f"{first_names(list(images), 1)}; write the names as image_id, or COCO JSON that lists the pictures",
            "results-numbers",
        )
    reject_strangers(path, list(matched.values()), names, images)
    return matched
