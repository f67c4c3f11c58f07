"""The files of each view of a picture.

`write_views` is all that writes them, for `s4 predict` and for instances in Python. A view has a folder of its own
below the folder of the results. Its files are named after the picture: `overlays/cat/1.jpg`, `cutouts/cat/1-2.png`.
"""

import base64
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import write_png
from pipelines.data.output_names import require_short_name
from pipelines.files import atomic_write, write_text
from pipelines.formats.coco import coco_text
from pipelines.formats.labelme import labelme_text
from pipelines.stores.paths import is_address
from pipelines.views.drawing import overlay
from pipelines.views.picture_result import PicturePixels, PictureResult

PICTURE_VIEWS = ("overlay", "masks", "coco", "labelme", "cutout")
"""Views of one picture."""
_QUALITY = 90  # of JPEG


def view_paths(folder: Path, views: Iterable[str], result: PictureResult) -> list[Path]:
    """Return the files that the views of a picture have.

    Args:
        folder: The folder of the results.
        views: Words of `--what`.
        result: The result of the picture.
    """
    named = {
        "overlay": lambda: [f"overlays/{result.image_id}.jpg"],
        "labelme": lambda: [f"labelme/{result.image_id}.json"],
        "masks": lambda: [] if result.label_map is not None else _numbered("masks", result),
        "cutout": lambda: _numbered("cutouts", result),
    }
    return [folder / name for view in views if view in named for name in named[view]()]


def write_views(folder: Path, views: Iterable[str], result: PictureResult, picture: PicturePixels) -> None:
    """Write the views of one picture; words that stand for no file of a picture write nothing.

    Args:
        folder: The folder of the results.
        views: Words of `--what`.
        result: The result of the picture.
        picture: The picture.

    Raises:
        InputError: A name would be too long [name-too-long].
        MachineError: A file cannot be written.
    """
    for view in views:
        write = _WRITERS.get(view)
        if write is not None:
            paths = view_paths(folder, [view], result)
            for path in paths:
                require_short_name(path)
            write(paths, result, picture)


def write_coco(path: Path, results: Iterable[PictureResult], names: Sequence[str]) -> None:
    """Write the instances of pictures as one COCO file; each connected region of a class is an instance.

    Args:
        path: The file.
        results: The results of the pictures.
        names: Names of the classes; their ids count from 1.

    Raises:
        MachineError: The file cannot be written.
    """
    write_text(path, coco_text((result.annotated() for result in results), names, as_polygons=False))


def _numbered(folder: str, result: PictureResult) -> list[str]:
    # A number has no `-`, and the ending of a class none either: so no two pictures share a name.
    return [f"{folder}/{result.image_id}-{ending}.png" for ending in result.endings]


def _overlay(paths: Sequence[Path], result: PictureResult, picture: PicturePixels) -> None:
    content = jpeg(overlay(result, picture))
    atomic_write(paths[0], lambda file: file.write(content))


def _masks(paths: Sequence[Path], result: PictureResult, picture: PicturePixels) -> None:
    if result.label_map is None:  # a label map is the mask of every class, and lies in the folder
        for path, mask in zip(paths, result.masks(), strict=True):
            write_png(path, np.where(mask, np.uint8(255), np.uint8(0)))


def _cutouts(paths: Sequence[Path], result: PictureResult, picture: PicturePixels) -> None:
    if not paths:
        return
    pixels = picture.whole()
    for path, mask in zip(paths, result.masks(), strict=True):
        write_png(path, _cut_out(pixels, mask))


def _cut_out(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return [H, W, 4] RGBA: alpha is 255 inside the mask; outside all is 0, which takes no room in a PNG."""
    result: NDArray[np.uint8] = np.zeros((*mask.shape, 4), np.uint8)
    result[mask, :3] = pixels[mask]
    result[mask, 3] = 255
    return result


def _labelme(paths: Sequence[Path], result: PictureResult, picture: PicturePixels) -> None:
    (path,) = paths
    file = result.file
    if isinstance(file, Path) and not is_address(file) and not is_address(path):
        place, content = os.path.relpath(os.path.realpath(file), os.path.realpath(path.parent)), None
    else:  # labelme finds no frame of a video, no member of a tar and no object of a store
        place, content = path.with_suffix(".jpg").name, base64.b64encode(jpeg(picture.whole())).decode()
    write_text(path, labelme_text(result.annotated(), place, False, content))


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return the bytes of a picture [H, W, 3] RGB as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


_Writer = Callable[[Sequence[Path], PictureResult, PicturePixels], None]
_WRITERS: dict[str, _Writer] = {"overlay": _overlay, "masks": _masks, "labelme": _labelme, "cutout": _cutouts}
