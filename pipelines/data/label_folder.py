"""Folders of label maps: pseudo labels of this program, which have a manifest, and flat folders of ground truth."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import find_image_files, open_picture, write_png
from pipelines.data.label_maps import read_palette_map, write_palette_map
from pipelines.data.record_files import MANIFEST
from pipelines.errors import InputError
from pipelines.files import read_json, write_json

PSEUDO = "pseudo"


class LabelFolder:
    """Label maps by image id.

    Pseudo labels lie in `labels/<id>.png`, with `confidence/<id>.png` and `manifest.json` beside them. Ground truth
    lies in `<id>.png` or another format, without confidence or manifest. Both keep the sub-folders of the pictures.

    Attributes:
        path: The folder.
        classes: Classes of the labels.
        manifest: What is known of how the labels were made; empty for ground truth.
    """

    def __init__(
        self, path: Path, classes: ClassList, manifest: dict[str, Any] | None = None, flat: bool = False
    ) -> None:
        """Name a folder to write to; `open_labels` opens one to read from.

        Args:
            path: The folder; it need not exist.
            classes: Classes of the labels.
            manifest: Manifest of the labels, if there is one.
            flat: Whether label maps lie in the folder itself, as ground truth does.
        """
        self.path = path
        self.classes = classes
        self.manifest = manifest or {}
        self._flat = flat
        self._labels = path if flat else path / "labels"

    def label_path(self, image_id: str) -> Path:
        """Return the path of a picture's label map."""
        path = self._labels / f"{image_id}.png"
        return self._found.get(image_id, path) if self._flat else path

    @cached_property
    def _found(self) -> dict[str, Path]:
        """image_id -> label map, of ground truth, which may be in any format."""
        return find_image_files(self._labels)

    def confidence_path(self, image_id: str) -> Path:
        """Return the path of a picture's confidence map, which need not exist."""
        return self.path / "confidence" / f"{image_id}.png"

    def ids(self) -> list[str]:
        """Return the image ids that have a label map, sorted.

        Raises:
            InputError: The folder of the label maps is missing [folder-missing] or holds no pictures [folder-empty].
        """
        found = self._found if self._flat else find_image_files(self._labels)
        return [image_id for image_id, path in found.items() if path == self.label_path(image_id)]

    def read_label(self, image_id: str) -> NDArray[np.uint8]:
        """Read a label map [H, W] uint8 of positions in the class list; other classes and unknown pixels are 255.

        Raises:
            InputError: The file is missing, damaged, or no label map.
        """
        return self.classes.from_palette(self.read_palette_map(image_id))

    def read_palette_map(self, image_id: str) -> NDArray[np.uint8]:
        """Read the palette indices [H, W] uint8 of a label map.

        Raises:
            InputError: The file is missing, damaged, or no label map.
        """
        return read_palette_map(self.label_path(image_id), self.classes)

    def read_confidence(self, image_id: str) -> NDArray[np.uint8]:
        """Read a confidence map [H, W] uint8, 255 = certain.

        Raises:
            InputError: The file is missing or damaged.
        """
        with open_picture(self.confidence_path(image_id)) as image:
            return np.asarray(image.convert("L"))

    def write_label(self, image_id: str, label_map: NDArray[np.uint8]) -> None:
        """Write a label map [H, W] uint8 of positions in the class list and 255, atomically.

        Raises:
            MachineError: The file cannot be written.
        """
        write_palette_map(self.label_path(image_id), self.classes.to_palette(label_map))

    def write_confidence(self, image_id: str, confidence: NDArray[np.uint8]) -> None:
        """Write a confidence map [H, W] uint8, 255 = certain, atomically.

        Raises:
            MachineError: The file cannot be written.
        """
        write_png(self.confidence_path(image_id), confidence)

    def write_manifest(self, **facts: Any) -> None:
        """Mark the folder as pseudo labels of its classes; call this last, when all labels are in place.

        Args:
            facts: More entries of the manifest, as JSON values.
        """
        self.manifest = {"kind": PSEUDO, "classes": self.classes.to_json(), **facts}
        write_json(self.path / MANIFEST, self.manifest)


def open_labels(path: Path, kind: Literal["pseudo", "ground-truth"], classes: ClassList | None) -> LabelFolder:
    """Open a folder of label maps to read from.

    The kind must be the folder's own. Otherwise a wrong path could lead to training on ground-truth masks, and the
    result would pass for weakly supervised.

    Args:
        path: The folder.
        kind: What the caller takes the labels for.
        classes: Expected classes; None for those of the manifest, or VOC's for ground truth.

    Raises:
        InputError: There is no such folder [folder-missing] or no label map in it [folder-empty], or the labels are of
            the other kind [labels-unmarked] [labels-kind] or of other classes [labels-classes].
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder, expected label maps; check the path", "folder-missing")
    marked = (path / MANIFEST).is_file()
    if kind == "ground-truth":
        if marked:
            raise InputError(
                f"{path}: {MANIFEST} says pseudo labels, expected ground truth; leave out --labels-are ground-truth",
                "labels-kind",
            )
        folder = LabelFolder(path, classes or ClassList.from_names(VOC_CLASSES), flat=True)
    else:
        if not marked:
            raise InputError(
                f"{path}: no {MANIFEST}, expected pseudo labels made by this program; name their folder, or pass "
                "--labels-are ground-truth to use masks drawn by people",
                "labels-unmarked",
            )
        manifest = _read_manifest(path / MANIFEST)
        folder = LabelFolder(path, _manifest_classes(path, manifest, classes), manifest)
    if not folder.ids():
        raise InputError(f"{path}: no label map in it, expected PNG files; check the path", "folder-empty")
    return folder


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("kind") != PSEUDO:
        raise InputError(f'{path}: kind is not "{PSEUDO}", expected pseudo labels; make them anew', "labels-kind")
    return manifest


def _manifest_classes(path: Path, manifest: dict[str, Any], expected: ClassList | None) -> ClassList:
    names = manifest.get("classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path / MANIFEST}: no list of classes, expected the names; make the labels anew", "labels-classes"
        )
    classes = ClassList.from_names(names, f"{path / MANIFEST}")
    if expected is not None and expected != classes:
        raise InputError(
            f"{path}: labels are of {_listed(names)}, expected {_listed(expected.names)}; pass the list that they were "
            "made with as --classes",
            "labels-classes",
        )
    return classes


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return f"{shown}, ... ({len(names)} classes)" if len(names) > 6 else shown
