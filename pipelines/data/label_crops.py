"""Pictures with label maps to train on: checked before the training, kept in memory, and cut to random crops."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pipelines.data.checking import require_same_size
from pipelines.data.classes import IGNORE, VOC_CLASSES
from pipelines.data.counting import value_counts
from pipelines.data.images import ImageFile, image_size, open_working_picture
from pipelines.data.label_folder import LabelFolder
from pipelines.data.shown_classes import no_class_shown
from pipelines.errors import InputError, raise_all
from pipelines.stores.paths import presence

_CACHE_BYTES = 2**30  # a thousand pictures of 500 x 375 fill three quarters
FILL = (124, 116, 104)
"""Colour outside a picture: ImageNet's mean, which normalisation turns into about 0."""
_SCALES = (0.5, 1.5)  # least and largest
_COLOUR = (0.85, 1.15)  # least and largest factor of brightness, contrast and colour
_SHOWN = 5  # ids or values that a message names


class Sample(NamedTuple):
    """A picture or a crop of one.

    Attributes:
        picture: [H, W, 3] RGB.
        label: [H, W] positions in the class list, or 255.
        confidence: [H, W], 255 = certain; None if not asked for.
        in_picture: [C] bool, the classes that the whole picture shows, without background; empty if not known.
    """

    picture: NDArray[np.uint8]
    label: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None = None
    in_picture: NDArray[np.bool_] = np.zeros(0, bool)


class _Checked(NamedTuple):
    """What the label map of a picture holds.

    Attributes:
        shown: [C] the classes that it shows, without background.
        values: The palette indices in the file.
        unknown: Number of pixels without a label, or with one that is not sure enough.
        pixels: Number of all pixels.
    """

    shown: NDArray[np.bool_]
    values: list[int]
    unknown: int
    pixels: int


class LabelledPictures:
    """A list of pictures with their label maps.

    Attributes:
        ids: Image ids, in the order of the indices.
    """

    def __init__(
        self,
        ids: Sequence[str],
        pictures: dict[str, ImageFile],
        labels: LabelFolder,
        longest_side: int,
        strict: bool = True,
        confidence: bool = False,
        least_confidence: float = 0.0,
    ) -> None:
        """Check that every id has a picture and a label map; `check` reads the files.

        Args:
            ids: Image ids, at least one.
            pictures: image_id -> picture file.
            labels: The folder of the label maps.
            longest_side: In pixels; larger pictures are reduced to it.
            strict: Whether VOC classes outside the folder's class list are an error, as in pseudo labels. In ground
                truth their pixels become 255, and a folder that shows no class is an error.
            confidence: Whether samples have the confidence map of the label folder.
            least_confidence: 0..1; class labels of a lower confidence become 255, background labels stay.

        Raises:
            InputError: An id has no picture [image-missing], no label map [label-missing], or no confidence map though
                one is needed [confidence-missing].
        """
        self.ids = list(ids)
        self._pictures, self._labels, self._longest_side = pictures, labels, longest_side
        self._confidence, self._least_confidence = confidence, round(255 * least_confidence)
        self._reads_confidence = confidence or self._least_confidence > 0
        self._is_truth = not strict
        permissive = labels.classes.is_voc and not strict
        self._known = np.zeros(256, bool)
        self._known[[0, IGNORE, *(range(1, len(VOC_CLASSES) + 1) if permissive else labels.classes.indices)]] = True
        self._cache: dict[int, Sample] = {}
        self._shown: NDArray[np.bool_] | None = None
        self._unknown = float("nan")
        self._cached_bytes = 0
        without_picture = [image_id for image_id in self.ids if image_id not in pictures]
        if without_picture:
            raise InputError(
                f"{labels.path}: no picture for {_some(without_picture)}, expected one for each id; check --images",
                "image-missing",
            )
        is_there = presence(labels.path)
        without_label = [image_id for image_id in self.ids if not is_there(labels.label_path(image_id))]
        if without_label:
            path = labels.label_path(without_label[0])
            raise InputError(
                f"{path}: no such file, expected label maps for {_some(without_label)}; check --labels and --list",
                "label-missing",
            )
        unsure = [image_id for image_id in self.ids if not is_there(labels.confidence_path(image_id))]
        if unsure and self._reads_confidence:
            path = labels.confidence_path(unsure[0])
            flags = "--confidence and --loss soft" if confidence else "--least-confidence"
            raise InputError(
                f"{path}: no such file, expected confidence maps for {_some(unsure)}; leave out {flags}",
                "confidence-missing",
            )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.ids)

    def check(self, workers: int = 2) -> None:
        """Read every map and the header of every picture, so that a training does not fail on them hours later.

        Args:
            workers: Number of threads.

        Raises:
            InputError: A file is damaged, sizes differ [label-size], a value is no class [label-value], every pixel of
                every label map is 255 [labels-empty], or ground truth shows no class, but 255 [truth-binary]. The error
                tells the faults of all pictures.
        """
        with ThreadPoolExecutor(max(1, workers)) as pool:
            looked = list(pool.map(self._check, range(len(self))))
            raise_all([fault for fault in looked if isinstance(fault, InputError)])
            seen = [one for one in looked if not isinstance(one, InputError)]
            self._shown = np.stack([each.shown for each in seen])
            self._unknown = sum(each.unknown for each in seen) / sum(each.pixels for each in seen)
            if self._unknown == 1:
                unsure = " or unsure" if self._least_confidence else ""
                remedy = "lower --least-confidence, or make the labels anew" if unsure else "make the labels anew"
                raise InputError(
                    f"{self._labels.path}: every pixel of {len(self)} label maps is {IGNORE}{unsure}, expected labels; "
                    f"{remedy}",
                    "labels-empty",
                )
            values = {value for each in seen for value in each.values}
            shown = self._labels.classes.from_palette(np.array(sorted(values), np.uint8))
            if self._is_truth and IGNORE in shown and not ((shown != 0) & (shown != IGNORE)).any():
                raise no_class_shown(self._labels.path, len(self), values, self._labels.classes, "truth-binary")

    def classes_shown(self) -> NDArray[np.bool_]:
        """Return [N, C], the classes that each picture shows, without background; known after `check`.

        A picture in which nothing is labelled shows none here.
        """
        assert self._shown is not None, "check() comes first"
        return self._shown

    def unknown_share(self) -> float:
        """Return the share 0..1 of all pixels that have no label, or a label that is not sure enough.

        It is known after `check`.
        """
        assert self._shown is not None, "check() comes first"
        return self._unknown

    def _check(self, index: int) -> _Checked | InputError:
        """Check the files of a picture; return what is wrong with them, or as `_check_one`."""
        try:
            return self._check_one(index)
        except InputError as error:
            return error

    def _check_one(self, index: int) -> _Checked:
        path = self._labels.label_path(self.ids[index])
        palette_map = self._labels.read_palette_map(self.ids[index])
        sizes = {path: palette_map.shape}
        confidence = self._labels.read_confidence(self.ids[index]) if self._reads_confidence else None
        if confidence is not None:
            sizes[self._labels.confidence_path(self.ids[index])] = confidence.shape
        picture = self._pictures[self.ids[index]]
        expected = image_size(picture)
        for file, size in sizes.items():
            require_same_size(file, size, picture, expected, "label map" if file == path else "confidence map")
        values = np.flatnonzero(value_counts(palette_map))
        strangers = values[~self._known[values]]
        if strangers.size:
            found, known = (", ".join(map(str, list)) for list in (strangers[:_SHOWN], np.flatnonzero(self._known)))
            raise InputError(
                f"{path}: holds the values {found}, expected {known}; check --classes",
                "label-value",
            )
        label = self._labels.classes.from_palette(palette_map)
        unknown = np.count_nonzero(self._sure(label, confidence) == IGNORE)
        return _Checked(self._classes_in(label), values.tolist(), int(unknown), label.size)

    def _sure(self, label: NDArray[np.uint8], confidence: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        if confidence is None or not self._least_confidence:
            return label
        # Unsure background stays, since it is right more often than not. A network that sees only sure background takes
        # everything beside an object for part of the object.
        return np.where((confidence < self._least_confidence) & (label != 0), np.uint8(IGNORE), label)

    def _classes_in(self, label: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark the classes [C] that a label map shows, also unsure ones."""
        shown: NDArray[np.bool_] = value_counts(label)[1 : self._labels.classes.n_outputs] > 0
        return shown

    def __getitem__(self, index: int) -> Sample:
        """Return a picture with label map and confidence, reduced to the longest side.

        The arrays may be cached, so nothing may be written into them.
        """
        sample = self._cache.get(index)
        if sample is None:
            picture, working = open_working_picture(self._pictures[self.ids[index]])
            label = working.sample(self._labels.read_label(self.ids[index]))
            confidence = (
                working.sample(self._labels.read_confidence(self.ids[index])) if self._reads_confidence else None
            )
            # If nothing was found, that does not mean that nothing is there: then the picture may show any class.
            in_picture = self._classes_in(label) | (label == IGNORE).all()
            label = self._sure(label, confidence)
            sample = Sample(picture, label, confidence if self._confidence else None, in_picture)
            sample = _reduced(sample, self._longest_side)
            size = sum(part.nbytes for part in sample if part is not None)
            if self._cached_bytes + size <= _CACHE_BYTES:
                # Two threads may decode the same picture at once; that costs a little time and nothing else.
                self._cached_bytes += size
                self._cache[index] = sample
        return sample


def reduced_size(height: int, width: int, longest_side: int) -> tuple[int, int]:
    """Return height and width, in proportion, with the longer one reduced to at most `longest_side`."""
    factor = min(1.0, longest_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def random_crop(
    sample: Sample, size: int, generator: np.random.Generator, scales: Sequence[float] = (), recolour: bool = True
) -> Sample:
    """Cut a random crop out of a picture, scaled, mirrored and recoloured, and out of its maps alike.

    Args:
        sample: A picture with its label map.
        size: Side S of the crop in pixels, after scaling.
        generator: Source of all random choices.
        scales: Scales to choose from; if empty, any from 0.5 to 1.5.
        recolour: Whether to change brightness, contrast and colour by up to 15 %.

    Returns:
        [S, S, 3] picture, [S, S] label map and confidence. Pixels outside the picture have ImageNet's mean colour,
        label 255 and confidence 0.
    """
    height, width = sample.label.shape
    scale = scales[int(generator.integers(len(scales)))] if scales else generator.uniform(*_SCALES)
    side = size / scale  # of the crop, in pixels of the picture
    spans = []
    for extent in (width, height):
        start = generator.uniform(min(0.0, extent - side), max(0.0, extent - side))
        spans.append(_span(start, side, extent, size))
    (left, right, x, columns), (top, bottom, y, rows) = spans
    box, place = (left, top, right, bottom), (slice(y, y + rows), slice(x, x + columns))

    def cut(plane: NDArray[np.uint8], outside: int) -> NDArray[np.uint8]:
        result = np.full((size, size), outside, np.uint8)
        result[place] = np.asarray(Image.fromarray(plane).resize((columns, rows), Image.Resampling.NEAREST, box=box))
        return result

    colours = Image.fromarray(sample.picture).resize((columns, rows), Image.Resampling.BILINEAR, box=box)
    crop = np.full((size, size, 3), FILL, np.uint8)
    crop[place] = np.asarray(_recoloured(colours, generator) if recolour else colours)
    confidence = None if sample.confidence is None else cut(sample.confidence, 0)
    result = Sample(crop, cut(sample.label, IGNORE), confidence, sample.in_picture)
    return _mirrored(result) if generator.random() < 0.5 else result


def _recoloured(picture: Image.Image, generator: np.random.Generator) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(float(generator.uniform(*_COLOUR)))
    return picture


def _mirrored(sample: Sample) -> Sample:
    confidence = None if sample.confidence is None else sample.confidence[:, ::-1].copy()
    return sample._replace(
        picture=sample.picture[:, ::-1].copy(), label=sample.label[:, ::-1].copy(), confidence=confidence
    )


def _span(start: float, side: float, extent: int, size: int) -> tuple[float, float, int, int]:
    """Return which span of a picture a crop shows along one side, and where in the crop.

    Args:
        start: First pixel of the crop in the picture; may lie outside.
        side: Pixels of the picture that the crop spans.
        extent: Pixels of the picture along this side.
        size: Pixels of the crop.

    Returns:
        first, last: The span, in pixels of the picture.
        place, count: First pixel of the span in the crop, and how many pixels it fills.
    """
    first, last = max(0.0, start), min(float(extent), start + side)
    place = min(size - 1, round((first - start) * size / side))
    end = min(size, round((last - start) * size / side))
    return first, last, place, max(1, end - place)


def _reduced(sample: Sample, longest_side: int) -> Sample:
    height, width = reduced_size(sample.label.shape[0], sample.label.shape[1], longest_side)
    if (height, width) == sample.label.shape:
        return sample

    def resized(plane: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(plane).resize((width, height), how))

    confidence = None if sample.confidence is None else resized(sample.confidence, Image.Resampling.NEAREST)
    return sample._replace(
        picture=resized(sample.picture, Image.Resampling.BILINEAR),
        label=resized(sample.label, Image.Resampling.NEAREST),
        confidence=confidence,
    )


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
