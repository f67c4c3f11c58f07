"""Where instances come from: S4Net, or masks of another program (`pipelines.data.instance_sources`).

Every source is a function of an image id and a picture. The rest of the program treats all sources alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PseudoLabelConfig
from pipelines.data.class_names import NameMatcher
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.images import ImageFile, picture_frame
from pipelines.data.instance_sources.background import background_masks
from pipelines.data.instance_sources.picture_masks import InstanceSource, PictureMasks
from pipelines.data.notes import Notes
from pipelines.engine.checkpoint import weights_file, weights_sha256
from pipelines.files import sha256_file, sha256_lines
from pipelines.networks import load


@dataclass(frozen=True, eq=False)
class FoundInstances:
    """The N instances of a picture, best first.

    Attributes:
        masks: [N, H, W] bool; each has a pixel.
        scores: [N] float32 in 0..1.
        named: [N] int64, position of the keyword that the source itself gives to the instance; 0 for none.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    named: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of instances N."""
        return len(self.scores)

    def at(self, chosen: NDArray[np.integer]) -> "FoundInstances":
        """Return the instances at these places."""
        return FoundInstances(self.masks[chosen], self.scores[chosen], self.named[chosen])


MaskSource = Callable[[str, NDArray[np.uint8]], FoundInstances]
"""(image_id, picture [H, W, 3]) -> instances of the picture.

A source raises `InputError` for a picture of which it knows nothing usable. It may still know other pictures.
"""


def open_source(
    config: PseudoLabelConfig,
    masks: InstanceSource | None,
    images: Mapping[str, ImageFile],
    keywords: Mapping[str, Keywords],
    classes: ClassList,
    min_score: float,
    notes: Notes,
) -> MaskSource:
    """Open the source of instances that the settings name.

    Args:
        config: Names the network.
        masks: Masks of another program; None to take the network.
        images: image_id -> picture file.
        keywords: image_id -> keywords of the picture.
        classes: Classes in use.
        min_score: Instances with a lower score may be left out.
        notes: Told of masks of the background, which are left out, and of the use of categories.

    Raises:
        InputError: The network cannot be used.
    """
    if masks is not None:
        return BroughtMasks(masks, images, keywords, classes, notes)
    assert config.weights is not None
    find = load.load_s4net(
        config.weights, min_score=min_score, flip=config.flip, device=config.device, precision=config.precision
    )

    def run(image_id: str, picture: NDArray[np.uint8]) -> FoundInstances:
        found = find(picture)
        masks, scores = found.masks.cpu().numpy(), found.scores.float().cpu().numpy()
        return FoundInstances(masks, scores, np.zeros(len(scores), np.int64))

    return run


def source_hash(config: PseudoLabelConfig, masks: InstanceSource | None) -> dict[str, str]:
    """Hash what the instances come from.

    Returns:
        {name: hash}; the name is `weights_sha256` for a network, `instances_sha256` for masks.

    Raises:
        InputError: The network is missing or damaged.
    """
    if masks is None:
        assert config.weights is not None
        return {"weights_sha256": weights_sha256(weights_file(config.weights))}
    if masks.path.is_file():
        return {"instances_sha256": sha256_file(masks.path)}
    # Names below the folder, so that a folder that was moved has the same hash. Files above it count by their name.
    lines = (f"{_inside(masks, number)} {sha256_file(file)}" for number, file in enumerate(masks.files))
    return {"instances_sha256": sha256_lines(lines)}


def named_by_source(masks: InstanceSource | None, keywords: Mapping[str, Keywords], classes: ClassList) -> set[str]:
    """Return the image ids for which masks of another program name a keyword of the picture for each instance."""
    if masks is None or not masks.has_categories:
        return set()
    matcher = NameMatcher(classes.names)
    return {
        image_id
        for image_id, own in keywords.items()
        if all(matcher.find(category) in own.names for category in masks.categories(image_id))
    }


class BroughtMasks:
    """A `MaskSource` from masks of another program."""

    def __init__(
        self,
        masks: InstanceSource,
        images: Mapping[str, ImageFile],
        keywords: Mapping[str, Keywords],
        classes: ClassList,
        notes: Notes,
    ) -> None:
        """Take the masks; see `open_source`."""
        self._masks, self._images, self._keywords, self._notes = masks, images, keywords, notes
        self._classes = NameMatcher(classes.names)

    def __call__(self, image_id: str, picture: NDArray[np.uint8]) -> FoundInstances:
        """Return the instances of a picture; see `MaskSource`."""
        brought = self._masks(image_id, picture_frame(self._images[image_id]))
        named = self._named(image_id, brought)
        order = np.argsort(-brought.scores, kind="stable")
        found = FoundInstances(brought.masks, brought.scores, named).at(order)
        found = found.at(np.flatnonzero(found.masks.any(axis=(1, 2))))
        behind = background_masks(found.masks) & (found.named == 0)
        if behind.any():
            what = f"{self._masks.path}: pictures of which a mask of the background is left out"
            self._notes.left_out(what, image_id)
        return found.at(np.flatnonzero(~behind))

    def _named(self, image_id: str, brought: PictureMasks) -> NDArray[np.int64]:
        """Return the positions [N] of the keywords that the source names; 0 where it names none of the picture."""
        keywords = self._keywords[image_id]
        position = dict(zip(keywords.names, keywords.positions, strict=True))
        classes = [self._classes.find(category) for category in brought.categories]
        named = np.array([0 if name is None else position.get(name, 0) for name in classes], np.int64)
        if named.any():
            self._notes.decided(f"{self._masks.path}: pictures whose instances have their keyword from there", image_id)
        if any(name is not None and name not in position for name in classes):
            what = f"{self._masks.path}: pictures with instances of a class that is no keyword of the picture"
            self._notes.left_out(f"{what}; their class is not used", image_id)
        return named


def _inside(masks: InstanceSource, number: int) -> str:
    file = masks.files[number]
    return file.relative_to(masks.path).as_posix() if file.is_relative_to(masks.path) else file.name
