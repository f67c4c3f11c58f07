"""Sources of instances: S4Net, a COCO JSON file of any other network, or a folder of masks.

Every source is a function of an image id and a picture. The rest of the program treats all sources alike.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.images import find_image_files, open_picture, strip_image_suffix
from pipelines.data.label_maps import read_palette_map
from pipelines.data.rle import decode_masks, read_rle
from pipelines.data.transforms import half_open_boxes
from pipelines.engine.checkpoint import weights_file
from pipelines.errors import InputError
from pipelines.files import read_json, sha256_file, sha256_lines
from pipelines.networks import load
from s4net.instances import Instances

MaskSource = Callable[[str, NDArray[np.uint8]], Instances]
"""(image_id, picture [H, W, 3]) -> instances of the picture, without classes, best first.

A source raises `InputError` for a picture of which it knows nothing usable. It may still know other pictures.
"""

_UNKNOWN = 255  # marks pixels of no instance in a map of instance numbers, as in VOC's SegmentationObject


def open_source(config: PseudoLabelConfig, images: Collection[str], min_score: float) -> MaskSource:
    """Open the source of instances that the settings name.

    Args:
        config: Names the network or the masks.
        images: Image ids that will be asked for.
        min_score: Instances with a lower score may be left out.

    Raises:
        InputError: The network or the masks cannot be used.
    """
    if config.instances is None:
        assert config.weights is not None
        find = load.load_s4net(
            config.weights,
            min_score=min_score,
            flip=config.flip,
            device=config.device,
            precision=config.precision,
        )
        return lambda _, picture: find(picture)
    kind = FolderSource if config.instances.is_dir() else CocoSource
    return kind(config.instances, images)


def source_hash(config: PseudoLabelConfig, images: Collection[str]) -> dict[str, str]:
    """Hash what the instances come from.

    Returns:
        {name: hash}; the name is `weights_sha256` for a network, `instances_sha256` for masks.

    Raises:
        InputError: The network or the masks are missing, or a folder holds masks of none of the pictures.
    """
    if config.instances is None:
        assert config.weights is not None
        return {"weights_sha256": sha256_file(weights_file(config.weights))}
    if not config.instances.is_dir():
        return {"instances_sha256": sha256_file(config.instances)}
    return {"instances_sha256": FolderSource(config.instances, images).hash()}


class CocoSource:
    """Instances in a COCO JSON file, as run lengths or polygons.

    An instance without a score has score 1. Categories are ignored, and crowds are left out.
    """

    def __init__(self, path: Path, images: Collection[str]) -> None:
        """Read the file; the masks are decoded later, picture by picture.

        Args:
            path: The file.
            images: Image ids that will be asked for.

        Raises:
            InputError: The file is no COCO JSON [json-damaged] [coco-structure], or it lists none of the pictures
                [masks-none].
        """
        self.path = path
        content = read_json(path)
        self._annotations: dict[str, list[dict[str, Any]]] = defaultdict(list)
        try:
            names = {entry["id"]: strip_image_suffix(entry["file_name"]) for entry in content["images"]}
            for name in names.values():
                self._annotations[name] = []
            for annotation in content["annotations"]:
                if not annotation.get("iscrowd"):
                    self._annotations[names[annotation["image_id"]]].append(annotation)
        except (KeyError, TypeError, AttributeError) as error:
            found = f"{type(error).__name__} {error}"
            raise InputError(
                f"{path}: {found}, COCO JSON with images and annotations expected; check --instances", "coco-structure"
            ) from error
        _reject_strangers(path, set(self._annotations), images)

    def __call__(self, image_id: str, picture: NDArray[np.uint8]) -> Instances:
        """Return the instances of a picture; see `MaskSource`."""
        if image_id not in self._annotations:
            raise _unlisted(self.path, image_id)
        height, width = picture.shape[:2]
        found = self._annotations[image_id]
        try:
            rles = [read_rle(annotation.get("segmentation"), height, width) for annotation in found]
            scores = np.array([annotation.get("score", 1) for annotation in found], np.float32)
            if not ((scores >= 0) & (scores <= 1)).all():  # NaN fails as well
                raise ValueError(f"scores are {scores.min()} to {scores.max()}")
        except (ValueError, TypeError) as error:
            expected = "masks of the picture's size and scores of 0 to 1 expected"
            raise InputError(f"{self.path}: {image_id}: {error}, {expected}; correct the file", "coco-mask") from error
        return _instances(decode_masks(rles, height, width).astype(bool), scores)


class FolderSource:
    """Instances in picture files: one map of numbers `<id>.png`, or a folder `<id>/` with one mask for each instance.

    A map of numbers holds the number of the instance at each pixel. In it 0 is background and 255 unknown, as in VOC's
    SegmentationObject. In a mask, every pixel that is not black belongs to the instance. All instances have score 1.
    """

    def __init__(self, path: Path, images: Collection[str]) -> None:
        """Look for the files.

        Args:
            path: The folder.
            images: Image ids that will be asked for.

        Raises:
            InputError: The folder has masks of none of the pictures [masks-none].
        """
        self.path = path
        files: dict[str, list[Path]] = defaultdict(list)
        wanted = set(images)
        for name, file in find_image_files(path).items():
            files[name if name in wanted else PurePosixPath(name).parent.as_posix()].append(file)
        self._files = {name: files[name] for name in sorted(files) if name in wanted}
        _reject_strangers(path, set(self._files), images)

    def hash(self) -> str:
        """Return a hash of the names and contents of the files."""
        return sha256_lines(
            f"{file.relative_to(self.path).as_posix()} {sha256_file(file)}"
            for files in self._files.values()
            for file in files
        )

    def __call__(self, image_id: str, picture: NDArray[np.uint8]) -> Instances:
        """Return the instances of a picture; see `MaskSource`."""
        if image_id not in self._files:
            raise _unlisted(self.path, image_id)
        files = self._files[image_id]
        numbered = files == [self.path / f"{image_id}{files[0].suffix}"]
        masks: list[NDArray[np.bool_]] = []
        for file in files:
            values = read_palette_map(file) if numbered else _brightness(file)
            if values.shape != picture.shape[:2]:
                found, expected = (f"{shape[1]}x{shape[0]}" for shape in (values.shape, picture.shape))
                raise InputError(
                    f"{file}: mask of {found}, {expected} as the picture expected; make the mask anew at that size",
                    "mask-size",
                )
            masks += [values == i for i in np.unique(values) if i not in (0, _UNKNOWN)] if numbered else [values > 0]
        stacked = np.stack(masks) if masks else np.zeros((0, *picture.shape[:2]), bool)
        return _instances(stacked, np.ones(len(masks), np.float32))


def _brightness(file: Path) -> NDArray[np.uint8]:
    with open_picture(file) as image:
        return np.array(image.convert("L"))


def _instances(masks: NDArray[np.bool_], scores: NDArray[np.float32]) -> Instances:
    """Return instances of masks [N, H, W] and scores [N], best first; masks without a pixel are left out."""
    order = [i for i in np.argsort(-scores, kind="stable") if masks[i].any()]
    chosen = torch.from_numpy(masks[order])
    return Instances(half_open_boxes(chosen), torch.from_numpy(scores[order]), chosen)


def _reject_strangers(path: Path, known: set[str], images: Collection[str]) -> None:
    if known.isdisjoint(images):
        first = next(iter(images), "none")
        raise InputError(
            f"{path}: masks of none of the {len(images)} pictures ({first}, ...), some expected; check --instances",
            "masks-none",
        )


def _unlisted(path: Path, image_id: str) -> InputError:
    return InputError(
        f"{path}: nothing about {image_id}, masks or an entry without masks expected; add one", "masks-missing"
    )
