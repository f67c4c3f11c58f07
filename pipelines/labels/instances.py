"""Where the instances of a picture come from: S4Net, a COCO JSON file of any other network, or a folder of masks.

A source is a function of a picture and its id, so that everything behind it is the same for all of them.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.images import find_image_files, open_picture
from pipelines.data.rle import decode_masks, read_rle
from pipelines.data.transforms import half_open_boxes
from pipelines.data.voc import read_label_map, strip_image_suffix
from pipelines.engine.checkpoint import weights_file
from pipelines.errors import InputError
from pipelines.files import read_json, sha256_file, sha256_lines
from pipelines.networks import load
from s4net.instances import Instances

MaskSource = Callable[[str, NDArray[np.uint8]], Instances]
"""image_id, picture [H, W, 3] -> its instances, class-agnostic, best first.

Raises `InputError` where nothing usable is known of this picture; others may be well.
"""

_UNKNOWN = 255  # in a map of instance numbers: no instance, as in VOC's SegmentationObject


def open_source(config: PseudoLabelConfig, images: Collection[str], min_score: float) -> MaskSource:
    """Load what finds the instances.

    Args:
        config: names the network or the masks.
        images: image ids that will be asked for.
        min_score: instances scored below may be left out.

    Raises:
        InputError: it cannot be used.
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
    """Return {name of the setting: hash of what the instances come from}.

    Raises:
        InputError: it is not there, or in a folder are masks of none of the pictures.
    """
    if config.instances is None:
        assert config.weights is not None
        return {"weights_sha256": sha256_file(weights_file(config.weights))}
    if not config.instances.is_dir():
        return {"instances_sha256": sha256_file(config.instances)}
    return {"instances_sha256": FolderSource(config.instances, images).hash()}


class CocoSource:
    """Instances in COCO JSON: run lengths or polygons, with or without scores; categories are not looked at."""

    def __init__(self, path: Path, images: Collection[str]) -> None:
        """Read the file; masks are decoded picture by picture.

        Args:
            path: the file.
            images: image ids that will be asked for.

        Raises:
            InputError: no COCO file [json-damaged] [coco-structure], or none of the pictures is in it [masks-none].
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
                raise ValueError(f"scores are {scores.min()} to {scores.max()}, 0 to 1 expected")
        except (ValueError, TypeError) as error:
            message = f"{self.path}: {image_id}: {error}, masks of the picture's size expected; correct the file"
            raise InputError(message, "coco-mask") from error
        return _instances(decode_masks(rles, height, width).astype(bool), scores)


class FolderSource:
    """Masks as PNG files: `<id>.png` with a number for each instance, or a folder `<id>/` with a picture for each.

    In a map of numbers 0 is background and 255 unknown, as in VOC's SegmentationObject; in a picture of one instance,
    what is not black belongs to it.
    """

    def __init__(self, path: Path, images: Collection[str]) -> None:
        """Look for the files.

        Args:
            path: the folder.
            images: image ids that will be asked for.

        Raises:
            InputError: none of the pictures has a mask there [masks-none].
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
            values = read_label_map(file) if numbered else _brightness(file)
            if values.shape != picture.shape[:2]:
                found, expected = (f"{shape[1]}x{shape[0]}" for shape in (values.shape, picture.shape))
                raise InputError(
                    f"{file}: mask of {found}, {expected} as the picture expected; make it anew at full size",
                    "mask-size",
                )
            masks += [values == i for i in np.unique(values) if i not in (0, _UNKNOWN)] if numbered else [values > 0]
        stacked = np.stack(masks) if masks else np.zeros((0, *picture.shape[:2]), bool)
        return _instances(stacked, np.ones(len(masks), np.float32))


def _brightness(file: Path) -> NDArray[np.uint8]:
    with open_picture(file) as image:
        return np.array(image.convert("L"))


def _instances(masks: NDArray[np.bool_], scores: NDArray[np.float32]) -> Instances:
    """Order masks [N, H, W] by their scores; those without a pixel are left out."""
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
        f"{path}: nothing about {image_id}, its masks or an entry without any expected; add it", "masks-missing"
    )
