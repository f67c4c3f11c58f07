"""Corrected label maps: what `s4 review` writes in place of the maps that `s4 pseudo-label` made.

The maps as they were made are kept in `original/labels` and `original/confidence` of the label folder. Every reader of
a label folder finds the corrected maps under the usual names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import IGNORE, ClassList
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.record_files import RECORDS, Record, read_records
from pipelines.data.review import NOTHING, REVIEW, PictureReview, Shown, instance_key, read_reviews
from pipelines.data.rle import decode_masks
from pipelines.errors import InputError
from pipelines.files import copy_file
from pipelines.journal import Journal
from pipelines.stores.paths import is_file

_ORIGINAL = "original"
_SURE = 255  # in a confidence map: somebody looked

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Label map and confidence map [H, W] uint8, see `LabelFolder`."""


def corrected_maps(original: Maps, record: Record, review: PictureReview, classes: ClassList) -> Maps:
    """Apply to the maps of a picture what people said of it.

    1. Each instance that somebody spoke of is painted again. Among all labelled instances, the one with the higher
       score lies on top. An instance that had been left out lies above these. Background lies below all.
    2. Strokes are painted over that.
    3. Every pixel that was painted has confidence 255. In an accepted picture every labelled pixel has.
    4. A rejected picture is 255 everywhere, with confidence 0.

    Args:
        original: The maps as they were made. They are not changed.
        record: Record of the picture.
        review: What people said.
        classes: The class list.
    """
    label_map, confidence = original[0].copy(), original[1].copy()
    if review.state == "rejected":
        label_map[:] = IGNORE
    else:
        painted = _paint_instances(label_map, record["instances"], review.instances, classes)
        for shown, rle in review.strokes:
            if rle["size"] == list(label_map.shape):
                mask = decode_masks([rle], *label_map.shape)[0].astype(bool)
                label_map[mask] = _position(shown, classes)
                painted |= mask
        confidence[painted] = _SURE
    if review.state == "accepted":
        confidence[:] = _SURE
    confidence[label_map == IGNORE] = 0
    return label_map, confidence


def _paint_instances(
    label_map: NDArray[np.uint8], instances: Sequence[Record], said: Mapping[str, Shown], classes: ClassList
) -> NDArray[np.bool_]:
    """Paint the instances that somebody spoke of into a label map, and return the pixels [H, W] that were painted."""
    keys = [instance_key(instance["segmentation"]) for instance in instances]
    painted = np.zeros(label_map.shape, bool)
    if not any(key in said for key in keys):
        return painted
    before, after = np.full((2, *label_map.shape), -1, np.int32)
    by_score = sorted(range(len(keys)), key=lambda number: (instances[number]["score"], -number))
    # An instance that was left out comes last, so that the one whom somebody took in is seen.
    order = sorted(by_score, key=lambda number: not is_labelled(instances[number]))
    for number in order:
        mask = decode_masks([instances[number]["segmentation"]], *label_map.shape)[0].astype(bool)
        if is_labelled(instances[number]):
            before[mask] = number
        if keys[number] in said:
            painted |= mask
        if said.get(keys[number], instances[number]["keyword"] if is_labelled(instances[number]) else NOTHING) != "":
            after[mask] = number
    label_map[painted & (after < 0)] = 0
    for number, key in enumerate(keys):
        on_top = painted & (after == number)
        if key in said:
            label_map[on_top] = _position(said[key], classes)
        else:  # where it was on top before, other witnesses may have changed its pixels
            label_map[on_top & (before != number)] = _position(instances[number]["keyword"], classes)
    return painted


def is_labelled(instance: Record) -> bool:
    """Tell whether an instance of a record has a label, so that it was not left out."""
    return instance["keyword"] is not None and bool(instance.get("sure", True))


def _position(shown: Shown, classes: ClassList) -> int:
    """Return the label of what somebody saw; 255 for unknown, and for a class that is not in the list."""
    if shown == NOTHING:
        return 0
    return IGNORE if shown not in classes.names else classes.position(str(shown))


class OriginalMaps:
    """The maps of a label folder as `s4 pseudo-label` made them, and the corrected ones that take their place.

    Attributes:
        folder: The label folder.
    """

    def __init__(self, folder: LabelFolder) -> None:
        """Name the folder; no file is touched."""
        self.folder = folder
        self._kept = LabelFolder(folder.path / _ORIGINAL, folder.classes)

    def read(self, image_id: str) -> Maps:
        """Return the maps of a picture as they were made.

        Raises:
            InputError: A map is missing or damaged.
        """
        kept = is_file(self._kept.label_path(image_id))
        source = self._kept if kept else self.folder
        label_map = source.read_label(image_id)
        if not is_file(source.confidence_path(image_id)):
            return label_map, np.where(label_map == IGNORE, np.uint8(0), np.uint8(_SURE))
        return label_map, source.read_confidence(image_id)

    def correct(self, record: Record, review: PictureReview) -> None:
        """Write the corrected maps of a picture, and keep the original ones; put these back if nothing was said.

        Raises:
            InputError: A map is missing or damaged.
            MachineError: A map cannot be written.
        """
        image_id = record["image_id"]
        if not review:
            self._move(image_id, self._kept, self.folder)
            return
        if not is_file(self._kept.label_path(image_id)):
            self._move(image_id, self.folder, self._kept)
        label_map, confidence = corrected_maps(self.read(image_id), record, review, self.folder.classes)
        self.folder.write_confidence(image_id, confidence)
        self.folder.write_label(image_id, label_map)

    def keep(self, image_id: str, maps: Maps) -> None:
        """Write the original maps of a picture that was made anew, before the corrected ones go into the folder.

        Raises:
            MachineError: A map cannot be written.
        """
        self._kept.write_confidence(image_id, maps[1])
        self._kept.write_label(image_id, maps[0])

    @staticmethod
    def _move(image_id: str, source: LabelFolder, target: LabelFolder) -> None:
        # The label map comes last: where it is kept, the confidence map is kept too.
        for path in (LabelFolder.confidence_path, LabelFolder.label_path):
            if is_file(path(source, image_id)):
                copy_file(path(source, image_id), path(target, image_id))


@dataclass(frozen=True)
class ReviewedLabels:
    """The pictures of a label folder that people have looked at: their labels are certain.

    Attributes:
        path: The label folder.
        classes: Its class list.
        reviews: image_id -> what people said.
        records: image_id -> record, of the same pictures.
    """

    path: Path
    classes: ClassList
    reviews: Mapping[str, PictureReview]
    records: Mapping[str, Record]

    def __contains__(self, image_id: str) -> bool:
        """Tell whether somebody has looked at a picture."""
        return image_id in self.reviews

    def is_rejected(self, image_id: str) -> bool:
        """Tell whether a picture is to teach nothing."""
        return image_id in self.reviews and self.reviews[image_id].state == "rejected"

    def keywords(self, image_id: str) -> list[str]:
        """Return the keywords of a picture that somebody has looked at."""
        return self.reviews[image_id].keywords_of(self.records[image_id], self.classes)

    def maps(self, image_id: str, later: PictureReview | None = None) -> Maps:
        """Return the corrected maps of a picture that somebody has looked at.

        Args:
            image_id: Id of the picture.
            later: What people said since, which takes the place of what they had said; None for nothing else.

        Raises:
            InputError: A map is missing or damaged.
        """
        original = OriginalMaps(LabelFolder(self.path, self.classes)).read(image_id)
        review = self.reviews[image_id] if later is None else later
        return corrected_maps(original, self.records[image_id], review, self.classes)

    def carry_to(self, out: Path, image_ids: Sequence[str]) -> None:
        """Copy the journal and the original maps to a new label folder; what is there already stays.

        Args:
            out: The new label folder.
            image_ids: Its pictures.

        Raises:
            MachineError: A file cannot be read or written.
        """
        journal = out / REVIEW
        if not journal.exists():
            copy_file(self.path / REVIEW, journal)
        here, there = (LabelFolder(path / _ORIGINAL, self.classes) for path in (self.path, out))
        for image_id in image_ids:
            if image_id in self:
                for place in (LabelFolder.confidence_path, LabelFolder.label_path):
                    if is_file(place(here, image_id)) and not is_file(place(there, image_id)):
                        copy_file(place(here, image_id), place(there, image_id))


def open_reviewed(labels: Path, classes: ClassList | None = None) -> ReviewedLabels:
    """Read what people said of a label folder.

    Args:
        labels: The label folder.
        classes: Expected classes; None for any.

    Raises:
        InputError: It is no label folder, see `open_labels`; nobody has reviewed it [review-missing]; or the journal is
            damaged [journal-damaged] [review-damaged].
    """
    folder = open_labels(labels, "pseudo", classes)
    reviews = read_reviews(labels)
    if not reviews:
        message = f"{labels}: no correction in it, a {REVIEW} of s4 review expected"
        raise InputError(f"{message}; review the labels first: s4 review {labels}", "review-missing")
    records = {record["image_id"]: record for record in _label_records(labels) if record["image_id"] in reviews}
    known = {image_id: review for image_id, review in reviews.items() if image_id in records}
    return ReviewedLabels(labels, folder.classes, known, records)


def _label_records(labels: Path) -> list[dict[str, Any]]:
    return [record for record in read_records(Journal(labels / RECORDS)) if "failed" not in record]
