"""A picture with every kind of mask: with a hole, of two parts, of one pixel, at the border; and a COCO file of it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import ConvertConfig
from pipelines.convert import convert
from pipelines.data.notes import Notes
from pipelines.data.rle import encode_masks
from pipelines.events import Events
from pipelines.formats.annotated import AnnotatedPicture
from pipelines.formats.opening import open_source

SIZE = (30, 41)
Masks = dict[str, NDArray[np.bool_]]


def scene() -> Masks:
    """Return the masks by the name of their class; no two share a pixel."""
    masks = {name: np.zeros(SIZE, bool) for name in ("ring", "pair", "dot", "edge")}
    masks["ring"][2:14, 3:17] = True
    masks["ring"][5:9, 6:10] = masks["ring"][10:12, 12:15] = False  # two holes
    masks["ring"][6, 7] = True  # an island in a hole: a part of its own
    masks["pair"][16:20, 2:9] = masks["pair"][20:24, 9:14] = True  # parts that touch at a corner
    masks["pair"][27, 1::2] = True
    masks["dot"][15, 30] = True
    masks["edge"][:, 38:] = masks["edge"][29, 20:] = True
    masks["edge"][27] &= ~masks["pair"][27]
    return masks


def write_scene(root: Path, scores: bool = False) -> Path:
    """Write two pictures, and COCO JSON of the masks; the second picture has none. Returns the file."""
    (root / "pictures" / "sub").mkdir(parents=True)
    for name in ("sub/a.png", "b.jpg"):
        Image.new("RGB", SIZE[::-1], (90, 120, 30)).save(root / "pictures" / name)
    names = list(scene())
    annotations: list[dict[str, Any]] = [
        {"id": n, "image_id": 1, "category_id": n, "segmentation": encode_masks(mask[None])[0], "iscrowd": 0}
        for n, mask in enumerate(scene().values(), start=1)
    ]
    if scores:
        for annotation in annotations[:3]:
            annotation["score"] = 0.25 * annotation["id"]
        annotations[3] |= {"iscrowd": 1, "id": 900_000_000_007}
    images = [{"id": 1, "file_name": "sub/a.png"}, {"id": 2, "file_name": "b.jpg"}]
    content = {
        "images": [{**image, "height": SIZE[0], "width": SIZE[1]} for image in images],
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, start=1)],
    }
    (root / "coco.json").write_text(json.dumps(content))
    return root / "coco.json"


def run(source: Path, to: str, out: Path, **more: Any) -> tuple[dict[str, Any], str]:
    """Convert, and return the result and what was told."""
    told = io.StringIO()
    return convert(ConvertConfig(source=source, to=to, out=out, **more), Events(told)), told.getvalue()


def read(source: Path, **more: Any) -> dict[str, AnnotatedPicture]:
    """Return the pictures of a source by their ids."""
    config = ConvertConfig(source=source, to="coco", out=Path("not-written.json"), **more)
    return {picture.image_id: picture for picture in open_source(config, Notes())}


def masks_of(picture: AnnotatedPicture) -> Masks:
    """Return the masks of a picture by the name of their class, each of which shows once."""
    assert len({instance.name for instance in picture.instances}) == len(picture.instances)
    return {instance.name: instance.mask for instance in picture.instances}
