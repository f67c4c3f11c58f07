"""The cues of a whole set of pictures in files, and the keywords that follow from all of them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.files import copy_file
from pipelines.labels.assign import UNASSIGNED, Assignment, assign_single, assigned
from pipelines.labels.assign_set import InstanceSet, assign_set
from pipelines.labels.attention import ATTENTION
from pipelines.labels.cells import CellProbe, cells_per_picture, fit_cells, labels_of_cells, some_places
from pipelines.labels.cues import PictureCues, load_cues
from pipelines.labels.graph import NOISE
from pipelines.labels.plan import LabelPlan
from pipelines.labels.windows import WindowProbe, fit_windows


def take_over(earlier: Path, folder: Path, image_ids: Iterable[str]) -> int:
    """Copy what was found for an earlier label folder to another: the attention network, and the cues of pictures.

    What is there already stays as it is.

    Args:
        earlier: A label folder with the same settings, see `check_earlier`.
        folder: The other one.
        image_ids: Of the pictures.

    Returns:
        How many pictures the earlier one has cues of.
    """
    # A damaged file is none: what it held is found again.
    found = [name for name in map(_cue_name, image_ids) if load_cues(earlier / name) is not None]
    for name in (ATTENTION, *found):
        if (earlier / name).is_file() and not (folder / name).exists():
            copy_file(earlier / name, folder / name)
    return len(found)


def _cue_name(image_id: str) -> str:
    return f"cues/{image_id}.npz"


class SetCues:
    """Cues by image id, `<folder>/cues/<id>.npz`.

    Attributes:
        folder: The label folder that they belong to.
        plan: The pictures of the set.
        numbers: image_id -> number of each picture.
    """

    def __init__(self, folder: Path, plan: LabelPlan) -> None:
        """Name the folder; nothing is touched."""
        self.folder, self.plan = folder, plan
        # As in the plan: which half of the set a picture is in does not depend on others that are missing.
        self.numbers = {image_id: number for number, image_id in enumerate(plan.images)}

    def path(self, image_id: str) -> Path:
        """Where the cues of a picture lie."""
        return self.folder / _cue_name(image_id)

    def has(self, image_id: str) -> bool:
        """Whether the cues of a picture are known."""
        return self.path(image_id).is_file()

    def save(self, image_id: str, cues: PictureCues) -> None:
        """Write the cues of a picture."""
        cues.save(self.path(image_id))

    def load(self, image_id: str) -> PictureCues:
        """Read the cues of a picture.

        Raises:
            InputError: the file is gone or damaged [cues-damaged].
        """
        cues = load_cues(self.path(image_id))
        if cues is None:
            message = (
                f"{self.path(image_id)}: missing or damaged, cues of a picture expected; remove it and start again"
            )
            raise InputError(message, "cues-damaged")
        return cues

    def assign(self) -> dict[str, Assignment]:
        """Give keywords to the instances of all pictures whose cues are known.

        Returns:
            image_id -> keywords of its instances.
        """
        image_ids = self._known()
        n_classes = len(self.plan.classes.names)
        features, log_odds, allowed, pictures = [], [], [], []
        for image_id, number in image_ids.items():
            cues = self.load(image_id)
            if cues.features is None or cues.log_odds is None:
                continue  # no instance
            own = self.plan.positions(image_id)
            of_class = np.zeros((len(cues.masks), n_classes), np.float32)
            of_class[:, own] = cues.log_odds
            features.append(cues.features)
            log_odds.append(of_class)
            allowed.append(np.tile(np.isin(np.arange(n_classes), own), (len(cues.masks), 1)))
            pictures.append(np.full(len(cues.masks), number, np.int64))
        if not features:
            return {image_id: assign_single(0, len(self.plan.keywords[image_id])) for image_id in image_ids}
        whole = InstanceSet(
            np.concatenate(features), np.concatenate(log_odds), np.concatenate(allowed), np.concatenate(pictures)
        )
        keyword, probability = assign_set(whole)
        result = {}
        for image_id, number in image_ids.items():
            own = self.plan.positions(image_id)
            rows = slice(*np.searchsorted(whole.pictures, [number, number + 1]))
            position = {NOISE: UNASSIGNED, **{k: place for place, k in enumerate(own)}}
            chosen = np.array([position[k] for k in keyword[rows].tolist()], np.int64)
            affinity = probability[rows][:, own]
            result[image_id] = assigned(chosen, affinity, "graph")
        return result

    def learn_cells(self, label: Callable[[str, PictureCues], NDArray[np.uint8]]) -> CellProbe | None:
        """Learn what the cells of all pictures whose cues are known show.

        Args:
            label: image id and cues -> label map [H, W] of palette indices.

        Returns:
            A classifier; None where there is too little to learn from.
        """
        table = self.plan.classes.to_train_table()
        features, labels, pictures = [], [], []
        for image_id, number in self._known().items():
            cues = self.load(image_id)
            if cues.cells is None or cues.maps is None:
                continue
            height, width = cues.maps.shape[1:]
            features.append(cues.cells.features)
            labels.append(table[labels_of_cells(label(image_id, cues), (height, width), cues.cells.places)])
            pictures.append(np.full(len(labels[-1]), number, np.int64))
        if not features:
            return None
        n_classes = len(self.plan.classes.names)
        return fit_cells(np.concatenate(features), np.concatenate(labels), np.concatenate(pictures), n_classes)

    def learn_windows(self, label: Callable[[str, PictureCues], NDArray[np.uint8]]) -> WindowProbe | None:
        """Learn what windows are worth that ImageNet's classifier has looked at.

        Args:
            label: as in `learn_cells`.

        Returns:
            What they are worth; None where there is too little to learn from.
        """
        table, image_ids = self.plan.classes.to_train_table(), self._known()
        log_odds, keywords, labels = [], [], []
        for image_id in image_ids:
            cues = self.load(image_id)
            if cues.windows is None or not len(cues.masks):
                continue  # without an instance, what the keywords name would be taken for background
            grid, own = cues.windows.shape[1:], self.plan.positions(image_id)
            places = some_places(grid[0] * grid[1], cells_per_picture(len(image_ids)), image_id)
            seen = table[labels_of_cells(label(image_id, cues), (grid[0], grid[1]), places)]
            log_odds.append(cues.windows.reshape(len(own), -1)[:, places].ravel())
            keywords.append(np.repeat(own, len(places)).astype(np.int32))
            labels.append(np.tile(seen, len(own)))
        if not log_odds:
            return None
        return fit_windows(
            np.concatenate(log_odds),
            np.concatenate(keywords),
            np.concatenate(labels),
            len(self.plan.classes.names),
        )

    def _known(self) -> dict[str, int]:
        """image_id -> number of every picture whose cues are known."""
        return {image_id: number for image_id, number in self.numbers.items() if self.has(image_id)}
