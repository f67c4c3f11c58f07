"""Part of stage `s4 convert`: label maps as the archive that the PASCAL VOC test server takes.

The server reads PNG files in a fixed tree, and shows no more than a score: a wrong palette scores about 0, for example.
So everything is checked here, before the archive is sent.
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
from pipelines.data.checking import require_same_size
from pipelines.data.classes import VOC_CLASSES
from pipelines.data.images import find_image_files, image_size, open_picture
from pipelines.data.label_maps import encode_palette_map, read_palette_map
from pipelines.data.palette import voc_palette
from pipelines.data.voc import read_split
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import atomic_write, sha256_file, sha256_lines
from pipelines.scoring.files import list_pictures, require_files

_SPLIT = "test"
_SHOWN = 5
_PALETTE = np.array(voc_palette(), np.uint8).reshape(256, 3)


def pack_for_server(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Write the archive, with `results/VOC2012/Segmentation/comp6_test_cls/<id>.png` for every picture of the list.

    The same label maps give the same bytes.

    Args:
        config: Settings, with `predictions` and `voc`.
        events: Receives progress.

    Returns:
        {images, extra, reencoded, competition, split, list_sha256, sha256, out}: `images` in the archive; `extra` label
        maps of the folder that are not on the list; `reencoded` label maps that were not of mode P with the VOC
        palette; `sha256` of the archive.

    Raises:
        InputError: Label maps are missing [predictions-missing], have another size than the picture [label-size], hold
            anything but the classes [label-value], have a palette that contradicts their indices [label-palette], or
            break a rule of `read_palette_map`.
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
    """Return the PNG of a label map for the server, and whether the file is stored otherwise."""
    label_map = read_palette_map(path)
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
    require_same_size(path, label_map.shape, picture, image_size(picture))
    return encode_palette_map(label_map), not as_expected


def _agrees(path: Path, image: Image.Image, label_map: NDArray[np.uint8]) -> bool:
    """Return whether the palette is VOC's for all indices in use.

    Raises:
        InputError: All indices have colours of VOC classes, but not their own, so they are no class indices
            [label-palette].
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
        index, class_index = next(pair for pair in zip(used.tolist(), meant, strict=True) if pair[0] != pair[1])
        raise InputError(
            f"{path}: index {index} has the colour of class {class_index}, expected class indices; save the label map "
            "with VOC's own palette, not an adaptive one",
            "label-palette",
        )
    return False


def _write_archive(file: BinaryIO, entries: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar.gz that depends on its entries alone: it has no time, no user and no name of its own."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o644, 0
            archive.addfile(info, io.BytesIO(content))
