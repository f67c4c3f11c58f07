"""Part of stage `s4 convert`: label maps as the archive that the PASCAL VOC test server takes.

The server reads PNG files in a fixed tree, and shows no more than a score: a wrong palette, for one, scores about 0. So
everything is checked here, before it is sent.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import ConvertConfig
from pipelines.data.classes import VOC_CLASSES, voc_palette
from pipelines.data.images import find_image_files, image_size, open_picture
from pipelines.data.voc import encode_label_map, read_label_map, read_split
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import atomic_write, sha256_file, sha256_lines
from pipelines.scoring.files import list_pictures, require_files

_SPLIT = "test"
_SHOWN = 5
_PALETTE = np.array(voc_palette(), np.uint8).reshape(256, 3)


def pack_for_server(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Writes the archive: `results/VOC2012/Segmentation/comp6_test_cls/<id>.png`, the pictures of the list exactly.

    The same label maps give the same bytes.

    Args:
        config: With `predictions` and `voc`.
        events: Receives progress.

    Returns:
        images: in the archive; extra: label maps of the folder that are not on the list; reencoded: those that were not
        of mode P with the VOC palette; competition, split, list_sha256, sha256 of the archive, out.

    Raises:
        InputError: Label maps are missing [predictions-missing], of another size than the picture [label-size], hold
            anything but the classes [label-value], have a palette that contradicts their indices [label-palette], or
            the rules of `read_label_map`.
    """
    folder, voc = config.predictions, config.voc
    assert folder is not None and voc is not None
    split = config.split or _SPLIT
    ids = read_split(voc, split)
    found = find_image_files(folder)
    files = {image_id: folder / f"{image_id}.png" for image_id in ids}
    require_files(files, f"predictions of the list {split}", "run `s4 predict --voc` with it", "predictions-missing")
    pictures = list_pictures(voc, ids)
    reencoded = 0

    def entries() -> Iterable[tuple[str, bytes]]:
        nonlocal reencoded
        with ThreadPoolExecutor(max(1, config.workers)) as pool, events.progress(len(ids), "label maps") as progress:
            names = sorted(ids)
            for name, (content, changed) in zip(
                names, pool.map(lambda name: _checked(files[name], pictures[name]), names), strict=True
            ):
                reencoded += changed
                yield f"results/VOC2012/Segmentation/{config.competition}_test_cls/{name}.png", content
                progress.advance()

    atomic_write(config.out, lambda file: _write_archive(file, entries()))
    return {
        "images": len(ids),
        "extra": len(set(found) - set(ids)),
        "reencoded": reencoded,
        "competition": config.competition,
        "split": split,
        "list_sha256": sha256_lines(ids),
        "sha256": sha256_file(config.out),
        "out": str(config.out),
    }


def _checked(path: Path, picture: Path) -> tuple[bytes, bool]:
    """The PNG of a label map for the server, and whether it was stored otherwise."""
    label_map = read_label_map(path)
    with open_picture(path) as image:
        as_expected = image.mode == "P" and _agrees(path, image, label_map)
    strangers = np.unique(label_map[label_map > len(VOC_CLASSES)])
    if strangers.size:
        values = ", ".join(map(str, strangers[:_SHOWN]))
        raise InputError(
            f"{path}: holds the values {values}, expected 0 to {len(VOC_CLASSES)}; the server knows no 255, so take "
            "predictions of a network, not pseudo labels",
            "label-value",
        )
    height, width = image_size(picture)
    if label_map.shape != (height, width):
        raise InputError(
            f"{path}: label map is {label_map.shape[1]}x{label_map.shape[0]}, expected {width}x{height} as in "
            f"{picture}; write label maps at picture size",
            "label-size",
        )
    return encode_label_map(label_map), not as_expected


def _agrees(path: Path, image: Image.Image, label_map: NDArray[np.uint8]) -> bool:
    """Whether the palette is VOC's for all indices in use.

    Raises:
        InputError: All of them have colours of VOC classes, but not their own: the indices are no class indices.
    """
    palette = np.zeros((256, 3), np.uint8)
    given = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(given)] = given
    used = np.unique(label_map)
    if (palette[used] == _PALETTE[used]).all():
        return True
    classes = {tuple(colour): index for index, colour in enumerate(_PALETTE[: len(VOC_CLASSES) + 1].tolist())}
    meant = [classes.get(tuple(colour)) for colour in palette[used].tolist()]
    if len(set(meant)) == len(meant) and None not in meant:
        index, class_index = next((i, m) for i, m in zip(used.tolist(), meant, strict=True) if i != m)
        raise InputError(
            f"{path}: index {index} has the colour of class {class_index}, expected class indices; save the label map "
            "with VOC's own palette, not an adaptive one",
            "label-palette",
        )
    return False


def _write_archive(file: BinaryIO, entries: Iterable[tuple[str, bytes]]) -> None:
    """A tar.gz that depends on nothing but its entries: no time, no user, no name of its own."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o644, 0
            archive.addfile(info, io.BytesIO(content))
