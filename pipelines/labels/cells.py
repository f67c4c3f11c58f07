"""A classifier of cells: tells what each cell of a picture shows, having learned from the labels of other pictures.

It is a witness beside the instances. Labels from instances are wrong in whole pieces: a cushion beside the dog is found
too, and all of it is labelled dog. A linear classifier of single cells learns what most labels say. It is too simple to
learn single pieces by heart. Its features stay as ImageNet left them.

No classifier judges a picture that it has learned from. There are two of them. Each learns from one half of the
pictures and judges the other half.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from pipelines.data.classes import IGNORE, Keywords
from pipelines.labels.attention import AttentionMaps
from pipelines.labels.coarse_maps import enlarge
from pipelines.labels.linear_probe import fit_softmax_probe

_MOST_CELLS = 400_000  # of all pictures together: half a gigabyte as float32
_PER_PICTURE = (16, 128)  # cells, at least and at most
CELL_WEIGHT = 0.5
"""Weight of this witness; instances have 1. Cells blur outlines, and a cell shows less of a thing than an instance."""
_FEWEST = 10  # cells; from fewer, a classifier learns nothing


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of a feature map [D, h, w].

    Attributes:
        features: [M, D] float16.
        places: [M] int32, row * w + column of each cell.
    """

    features: NDArray[np.float16]
    places: NDArray[np.int32]


def cells_per_picture(pictures: int) -> int:
    """Return how many cells of each picture to learn from, 16 to 128, given the number of pictures."""
    least, most = _PER_PICTURE
    return int(np.clip(_MOST_CELLS // max(1, pictures), least, most))


def sample_cells(features: NDArray[np.float32], count: int, image_id: str) -> Cells:
    """Draw some cells of a picture, none of them twice.

    Args:
        features: [D, h, w].
        count: How many; all cells are taken if there are fewer.
        image_id: Id of the picture. The same id draws the same cells again.
    """
    places = some_places(features.shape[1] * features.shape[2], count, image_id)
    return Cells(features.reshape(len(features), -1)[:, places].T.astype(np.float16), places)


def some_places(total: int, count: int, image_id: str) -> NDArray[np.int32]:
    """Draw min(count, total) of the places 0..total - 1, sorted; the same `image_id` draws the same places again."""
    generator = np.random.default_rng(zlib.crc32(image_id.encode("utf-8", "surrogateescape")))
    places: NDArray[np.int32] = np.sort(generator.permutation(total)[:count]).astype(np.int32)
    return places


def labels_of_cells(
    label_map: NDArray[np.uint8], grid: tuple[int, int], places: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """Return the label [M] of each cell: that of its pixels, or 255 if its pixels differ.

    Args:
        label_map: [H, W].
        grid: (h, w), how many cells cover the map.
        places: [M], see `Cells`.
    """
    edges = [np.arange(cells + 1) * pixels // cells for pixels, cells in zip(label_map.shape, grid, strict=True)]
    labels = np.empty(len(places), np.uint8)
    for number, place in enumerate(places.tolist()):
        row, column = divmod(place, grid[1])
        top, left = edges[0][row], edges[1][column]
        # If the picture was enlarged for the network, a cell is smaller than a pixel.
        pixels = label_map[top : max(top + 1, edges[0][row + 1]), left : max(left + 1, edges[1][column + 1])]
        labels[number] = pixels[0, 0] if (pixels == pixels[0, 0]).all() else IGNORE
    return labels


@dataclass(frozen=True, eq=False)
class CellProbe:
    """Two classifiers of cells.

    Attributes:
        weights: [2, 1 + C, D]; the first classifier judges pictures with even numbers, the second those with odd ones.
        biases: [2, 1 + C].
    """

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def __call__(
        self, features: NDArray[np.float32], number: int, keywords: Keywords, size: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Return the probabilities of background and keywords, from the classifier that has not seen the picture.

        Args:
            features: [D, h, w] of the picture.
            number: Number of the picture, as in `fit_cells`.
            keywords: The K keywords of the picture.
            size: (H, W) of the picture.

        Returns:
            [1 + K, H, W], background first, summing to 1, interpolated between the centres of the cells.
        """
        chosen = [0, *keywords.positions]
        weights, biases = self.weights[number % 2][chosen], self.biases[number % 2][chosen]
        # By torch, whose threads are set: the sums of NumPy's library depend on how many threads it takes.
        products = torch.tensor(weights) @ torch.from_numpy(features).flatten(1)
        logits = products.numpy().reshape(len(chosen), *features.shape[1:]) + biases[:, None, None]
        return enlarge(softmax(logits, axis=0), size)


def fit_cells(
    features: NDArray[np.float16], labels: NDArray[np.uint8], pictures: NDArray[np.int64], classes: int
) -> CellProbe | None:
    """Learn from the cells of all pictures.

    Args:
        features: [N, D].
        labels: [N], 0 for background, 1..C for the classes. Cells of label 255 are left out.
        pictures: [N], number of each cell's picture.
        classes: Number C of classes, without background.

    Returns:
        The classifiers; None if there is too little to learn from.
    """
    weights, biases = [], []
    for number in (0, 1):
        seen = (labels != IGNORE) & (pictures % 2 != number)
        if np.count_nonzero(seen) < _FEWEST:
            return None
        own = torch.from_numpy(features[seen].astype(np.float32))
        weight, bias = fit_softmax_probe(own, torch.from_numpy(labels[seen].astype(np.int64)), classes + 1)
        weights.append(weight.numpy())
        biases.append(bias.numpy())
    return CellProbe(np.stack(weights), np.stack(biases))


@dataclass(frozen=True, eq=False)
class CellWitness:
    """A callable: (image_id, picture, keywords) -> probabilities of background and these keywords alone.

    Attributes:
        attention: The network that computes the features of the cells.
        probe: The classifiers.
        numbers: image_id -> number of the picture, as in `fit_cells`.
    """

    attention: AttentionMaps
    probe: CellProbe
    numbers: Mapping[str, int]

    def __call__(self, image_id: str, picture: NDArray[np.uint8], keywords: Keywords) -> NDArray[np.float32]:
        """Return the probabilities [1 + K, H, W] of a picture [H, W, 3]."""
        seen = self.attention.look(picture, keywords)[1]
        return self.probe(seen, self.numbers[image_id], keywords, picture.shape[:2])
