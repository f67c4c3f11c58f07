"""Hashes of what a step reads: files by their content, pictures by their names and their sizes in bytes."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.data.coco import listed_pictures
from pipelines.data.images import ImageFile
from pipelines.data.label_folder import LabelFolder
from pipelines.data.record_files import MANIFEST, RECORDS
from pipelines.data.review import review_sha256
from pipelines.data.tar_shards import TarMember
from pipelines.data.voc import image_path, read_split, truth_path
from pipelines.files import sha256_file, sha256_lines


def file_hash(path: Path) -> str | None:
    """Return the hash of a file's content; None where there is no file."""
    return sha256_file(path) if path.is_file() else None


def contents_hash(files: Iterable[tuple[str, Path]]) -> str:
    """Return one hash of the names and contents of files."""
    return sha256_lines(f"{name} {file_hash(path)}" for name, path in files)


def sizes_hash(files: Iterable[tuple[str, ImageFile | None]]) -> str:
    """Return one hash of the names of files and their sizes in bytes; a missing file has the size -1."""
    return sha256_lines(f"{name} {-1 if path is None else _size(path)}" for name, path in files)


def weights_hash(weights: Path | None) -> str | None:
    """Return the hash of the tensors of a file, or of the best checkpoint of a run folder; None for no weights.

    Raises:
        InputError: There are no weights in this place, or they are damaged.
    """
    if weights is None:
        return None
    from pipelines.engine.checkpoint import weights_file, weights_sha256  # brings torch

    return weights_sha256(weights_file(weights))


def labels_hashes(labels: LabelFolder, ids: list[str]) -> list[str | None]:
    """Return the hashes of label maps.

    Pseudo labels are known by their manifest and their records, which say how each label map was made, and by the
    journal of their corrections, if there are any. Masks drawn by people are known by their own content.
    """
    if labels.manifest:
        made = [file_hash(labels.path / name) for name in (MANIFEST, RECORDS)]
        corrected = review_sha256(labels.path)
        return made if corrected is None else [*made, corrected]
    return [contents_hash((image_id, labels.label_path(image_id)) for image_id in ids)]


def voc_hashes(voc: Path, split: str, pictures: bool) -> dict[str, str]:
    """Return the hashes of a VOC list and its true masks, and on request that of its pictures.

    Raises:
        InputError: The list cannot be read.
    """
    ids = read_split(voc, split)
    hashes = {"list": sha256_lines(ids), "truth": contents_hash((name, truth_path(voc, name)) for name in ids)}
    if pictures:
        hashes["pictures"] = sizes_hash((name, image_path(voc, name)) for name in ids)
    return hashes


def listed_sizes_hash(annotations: Iterable[Path], images: Path) -> str:
    """Return one hash of the names and sizes of all pictures of COCO files.

    Args:
        annotations: The COCO files.
        images: Folder of their pictures.

    Raises:
        InputError: As `listed_pictures`.
    """
    pictures = {name: path for file in annotations for name, path in listed_pictures(file, images).items()}
    return sizes_hash(sorted(pictures.items()))


def _size(path: ImageFile) -> int:
    if isinstance(path, TarMember):
        return path.size
    try:
        return path.stat().st_size
    except OSError:
        return -1
