"""Pictures with label maps: checked before the training, kept decoded, and cut to random crops."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pipelines.data.classes import IGNORE, VOC_CLASSES
from pipelines.data.images import image_size, open_image
from pipelines.data.label_folder import LabelFolder
from pipelines.errors import InputError

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # picture [H, W, 3] RGB, label map [H, W] of 0..n and 255

_CACHE_BYTES = 2**30  # a thousand pictures of 500 x 375 are three quarters of it
_FILL = (124, 116, 104)  # ImageNet's mean: about 0 for the network
_SCALES = (0.5, 1.5)
_COLOUR = (0.85, 1.15)
_SHOWN = 5


class LabelledPictures:
    """A list of pictures with their label maps.

    Attributes:
        ids: Image ids, in the order of the indices.
    """

    def __init__(
        self, ids: Sequence[str], pictures: dict[str, Path], labels: LabelFolder, longest_side: int, strict: bool = True
    ) -> None:
        """Checks that every id has a picture and a label map; `check` looks into them.

        Args:
            ids: Image ids, at least one.
            pictures: Picture of each id.
            labels: Where the label maps are.
            longest_side: Larger pictures are reduced to it in pixels.
            strict: Of VOC's classes, those outside the label folder's list are an error, instead of ignored.

        Raises:
            InputError: No picture [image-missing] or no label map [label-missing] for an id.
        """
        self.ids = list(ids)
        self._pictures, self._labels, self._longest_side = pictures, labels, longest_side
        self._table = labels.classes.to_train_table()
        permissive = labels.classes.is_voc and not strict
        self._known = np.zeros(256, bool)
        self._known[[0, IGNORE, *(range(1, len(VOC_CLASSES) + 1) if permissive else labels.classes.indices)]] = True
        self._cache: dict[int, Sample] = {}
        self._cached_bytes = 0
        without_picture = [image_id for image_id in self.ids if image_id not in pictures]
        if without_picture:
            raise InputError(
                f"{labels.path}: no picture for {_some(without_picture)}, expected one for each id; check --images",
                "image-missing",
            )
        without_label = [image_id for image_id in self.ids if not labels.label_path(image_id).is_file()]
        if without_label:
            path = labels.label_path(without_label[0])
            raise InputError(
                f"{path}: no such file, expected label maps for {_some(without_label)}; check --labels and --list",
                "label-missing",
            )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.ids)

    def check(self, workers: int = 2) -> None:
        """Reads every label map and every picture's header, so that a training cannot fail on them hours later.

        Raises:
            InputError: A file is damaged, sizes differ [label-size], a value is no class [label-value], or all pixels
                of all label maps are 255 [labels-empty].
        """
        with ThreadPoolExecutor(max(1, workers)) as pool:
            labelled = list(pool.map(self._has_labels, range(len(self))))  # all of them, also behind the first
            if not any(labelled):
                raise InputError(
                    f"{self._labels.path}: every pixel of {len(self)} label maps is {IGNORE}, expected labels; "
                    "make the labels anew",
                    "labels-empty",
                )

    def _has_labels(self, index: int) -> bool:
        path = self._labels.label_path(self.ids[index])
        label = self._labels.read_label(self.ids[index])
        height, width = image_size(self._pictures[self.ids[index]])
        if label.shape != (height, width):
            raise InputError(
                f"{path}: {label.shape[1]}x{label.shape[0]} pixels, expected {width}x{height} as in "
                f"{self._pictures[self.ids[index]]}; make both the same size",
                "label-size",
            )
        values = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
        strangers = values[~self._known[values]]
        if strangers.size:
            found, known = (", ".join(map(str, list)) for list in (strangers[:_SHOWN], np.flatnonzero(self._known)))
            raise InputError(
                f"{path}: holds the values {found}, expected {known}; check --classes",
                "label-value",
            )
        return bool((self._table[values] != IGNORE).any())

    def __getitem__(self, index: int) -> Sample:
        """Picture and label map, reduced to the longest side; do not write into them."""
        sample = self._cache.get(index)
        if sample is None:
            picture = open_image(self._pictures[self.ids[index]])
            label = self._table[self._labels.read_label(self.ids[index])]
            sample = _reduced(picture, label, self._longest_side)
            size = sample[0].nbytes + sample[1].nbytes
            if self._cached_bytes + size <= _CACHE_BYTES:
                # Two threads may decode the same picture at once; that costs a little time and nothing else.
                self._cached_bytes += size
                self._cache[index] = sample
        return sample


def reduced_size(height: int, width: int, longest_side: int) -> tuple[int, int]:
    """Height and width with the longer one at most `longest_side`, the proportion kept."""
    factor = min(1.0, longest_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def random_crop(
    picture: NDArray[np.uint8], label: NDArray[np.uint8], size: int, generator: np.random.Generator
) -> Sample:
    """Scales, crops, mirrors and recolours a picture, and its label map alike.

    Args:
        picture: [H, W, 3] RGB.
        label: [H, W], 255 = ignore.
        size: Side S of the crop in pixels, after scaling by 0.5 to 1.5.
        generator: Source of every choice.

    Returns:
        [S, S, 3] picture and [S, S] label map; outside the picture plain colour and 255.
    """
    height, width = label.shape
    side = size / generator.uniform(*_SCALES)  # of the crop, in pixels of the picture
    spans = []
    for extent in (width, height):
        start = generator.uniform(min(0.0, extent - side), max(0.0, extent - side))
        spans.append(_span(start, side, extent, size))
    (left, right, x, columns), (top, bottom, y, rows) = spans
    box, place = (left, top, right, bottom), (slice(y, y + rows), slice(x, x + columns))
    colours = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR, box=box)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        colours = enhance(colours).enhance(float(generator.uniform(*_COLOUR)))
    crop = np.full((size, size, 3), _FILL, np.uint8)
    crop[place] = np.asarray(colours)
    target = np.full((size, size), IGNORE, np.uint8)
    target[place] = np.asarray(Image.fromarray(label).resize((columns, rows), Image.Resampling.NEAREST, box=box))
    if generator.random() < 0.5:
        crop, target = crop[:, ::-1].copy(), target[:, ::-1].copy()
    return crop, target


def _span(start: float, side: float, extent: int, size: int) -> tuple[float, float, int, int]:
    """Where a crop from `start` over `side` pixels shows the picture: from, to; first pixel and pixels of the crop."""
    first, last = max(0.0, start), min(float(extent), start + side)
    place = min(size - 1, round((first - start) * size / side))
    end = min(size, round((last - start) * size / side))
    return first, last, place, max(1, end - place)


def _reduced(picture: NDArray[np.uint8], label: NDArray[np.uint8], longest_side: int) -> Sample:
    height, width = reduced_size(label.shape[0], label.shape[1], longest_side)
    if (height, width) == label.shape:
        return picture, label
    colours = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(colours), np.asarray(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
