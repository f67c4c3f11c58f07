"""Dense CRF: mean field with Gaussian kernels on a permutohedral lattice (Krahenbuhl and Koltun, NIPS 2011).

There are two kernels over all pairs of pixels, as everywhere in the field. The kernel of position alone removes specks.
The kernel of position and colour moves outlines to where the colour changes. Kernels are normalised symmetrically, and
the lattice is that of Adams et al. (2010), as in the code of the CRF's authors. Labels are those of that code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST = 1e-8  # of a probability, before its logarithm
_TOGETHER = 8  # classes that are filtered at a time; there may be six vertices for each pixel, each with its classes


@dataclass(frozen=True, kw_only=True)
class CrfSettings:
    """Kernels and number of rounds.

    Attributes:
        position_sigma: Standard deviation of the position kernel, in pixels.
        position_weight: Weight of the position kernel.
        bilateral_sigma: Standard deviation over positions of the position-and-colour kernel, in pixels.
        colour_sigma: Standard deviation of the same kernel over colours, in steps of 0..255.
        bilateral_weight: Weight of the position-and-colour kernel.
        iterations: Rounds of mean field.
    """

    position_sigma: float
    position_weight: float
    bilateral_sigma: float
    colour_sigma: float
    bilateral_weight: float
    iterations: int = 10


CRF_PRESETS: Mapping[str, CrfSettings] = MappingProxyType(
    {
        "deeplab": CrfSettings(
            position_sigma=1, position_weight=3, bilateral_sigma=67, colour_sigma=3, bilateral_weight=4
        ),
        "psa": CrfSettings(
            position_sigma=3, position_weight=3, bilateral_sigma=80, colour_sigma=13, bilateral_weight=10
        ),
        "irn-label": CrfSettings(
            position_sigma=3, position_weight=3, bilateral_sigma=50, colour_sigma=5, bilateral_weight=10
        ),
        "mct-seg": CrfSettings(
            position_sigma=4, position_weight=3, bilateral_sigma=83, colour_sigma=5, bilateral_weight=3
        ),
    }
)
"""The settings of DeepLab v2, PSA and its successors, IRN's labels, and MCTformer's segmentation network."""


class PermutohedralLattice:
    """A Gaussian filter of unit variance over N points in d dimensions, in time linear in N."""

    def __init__(self, points: Tensor) -> None:
        """Place the points.

        Args:
            points: [N, d] float, in standard deviations of the filter; N at least 1.
        """
        dimensions = points.shape[1]
        corner, rank, weights = _simplices(points.float())
        codes, neighbour_steps = _vertex_codes(corner, rank)
        vertices, inverse = torch.unique(codes.flatten(), return_inverse=True)
        self._of_point = inverse.view(-1, dimensions + 1)
        self._weights = weights
        # The same pairs in the order of vertices: splatting becomes gathering, whose sum no number of threads changes.
        order = torch.argsort(inverse, stable=True)
        self._points_of_vertex = torch.div(order, dimensions + 1, rounding_mode="floor")
        self._vertex_weights = weights.flatten()[order]
        counts = torch.bincount(inverse, minlength=len(vertices))
        self._starts = counts.cumsum(0) - counts
        self._neighbours = [_positions(vertices, vertices + step) for step in neighbour_steps]
        self._neighbours_back = [_positions(vertices, vertices - step) for step in neighbour_steps]
        self._scale = 1 / (1 + 2.0**-dimensions)

    def filter(self, values: Tensor) -> Tensor:
        """Return for each point the sum of all points' values, weighted by a Gaussian of their distance.

        Args:
            values: [N, C] float32.

        Returns:
            [N, C]; each point counts for itself with a weight near 1.
        """
        return torch.cat([self._filter(some) for some in torch.split(values, _TOGETHER, dim=1)], dim=1)

    def _filter(self, values: Tensor) -> Tensor:
        lattice = F.embedding_bag(
            self._points_of_vertex, values, self._starts, mode="sum", per_sample_weights=self._vertex_weights
        )
        nothing = lattice.new_zeros(1, lattice.shape[1])
        for forward, back in zip(self._neighbours, self._neighbours_back, strict=True):
            padded = torch.cat([lattice, nothing])
            del lattice  # large: there are up to d + 1 vertices for each point
            lattice = padded[forward].add_(padded[back]).div_(2).add_(padded[:-1])
            del padded
        sliced: Tensor = F.embedding_bag(self._of_point, lattice, mode="sum", per_sample_weights=self._weights)
        return sliced * self._scale


def _simplices(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the simplex of the lattice that each point lies in.

    Args:
        points: [N, d].

    Returns:
        corner: [N, d + 1] int64, the vertex whose coordinates are multiples of d + 1.
        rank: [N, d + 1] int64, a permutation: the place of each coordinate in falling order of its distance from the
            corner. Vertex r of the simplex adds r to the first d + 1 - r coordinates and r - d - 1 to the others.
        weights: [N, d + 1] float32, barycentric, of the vertices r = 0..d.
    """
    d = points.shape[1]
    axis = torch.arange(1, d + 1, device=points.device, dtype=points.dtype)
    # Blurring has variance 2 / 3 (d + 1)^2 in lattice coordinates; the rest makes the axes orthonormal.
    scaled = points * ((2 / 3) ** 0.5 * (d + 1)) / (axis * (axis + 1)).sqrt()
    later = scaled.flip(1).cumsum(1).flip(1)  # sums over this axis and those behind it
    elevated = torch.cat([later[:, :1], F.pad(later[:, 1:], (0, 1)) - axis * scaled], dim=1)
    corner = (elevated / (d + 1)).round().long() * (d + 1)
    excess = torch.div(corner.sum(dim=1, keepdim=True), d + 1, rounding_mode="floor")
    order = (elevated - corner).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(d + 1, device=points.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places) + excess
    # Coordinates must sum to 0: those that were rounded furthest go to the next multiple.
    shift = (rank < 0).long() - (rank > d).long()
    rank, corner = rank + shift * (d + 1), corner + shift * (d + 1)
    distance = torch.empty_like(elevated).scatter_(1, rank, (elevated - corner) / (d + 1))
    falling = distance.flip(1)  # of rank d first
    first = 1 + falling[:, :1] - falling[:, -1:]
    weights = torch.cat([first, falling[:, 1:] - falling[:, :-1]], dim=1)
    return corner, rank, weights


def _vertex_codes(corner: Tensor, rank: Tensor) -> tuple[Tensor, list[int]]:
    """Give each vertex of a simplex a code, such that the codes of neighbours differ by fixed steps.

    Args:
        corner: See `_simplices`.
        rank: See `_simplices`.

    Returns:
        [N, d + 1] int64 codes of the vertices r = 0..d, and the d + 1 steps of the code to a neighbour.
    """
    d = corner.shape[1] - 1
    lowest = corner[:, :d].amin(dim=0) - 2 * (d + 1)
    sides = (corner[:, :d].amax(dim=0) + 2 * (d + 1) - lowest + 1).tolist()
    strides, total = [], 1
    for side in sides:
        strides.append(total)
        total *= side
    if total >= 2**62:
        raise ValueError(f"points reach over {sides} lattice cells, more than can be numbered; use wider kernels")
    factors = torch.tensor(strides, device=corner.device)
    base = ((corner[:, :d] - lowest) * factors).sum(dim=1)
    # Vertex r adds r to each coordinate, less d + 1 where the rank is above d - r.
    drops = factors * (d + 1)
    codes = torch.stack(
        [base + r * sum(strides) - ((rank[:, :d] > d - r) * drops).sum(dim=1) for r in range(d + 1)], dim=1
    )
    steps = [sum(strides) - (d + 1) * stride for stride in strides] + [sum(strides)]
    return codes, steps


def _positions(codes: Tensor, wanted: Tensor) -> Tensor:
    """Return where each wanted code stands in the rising codes [V]; V where it does not."""
    places = torch.searchsorted(codes, wanted)
    found = codes[places.clamp(max=len(codes) - 1)] == wanted
    return torch.where(found, places, len(codes))


@torch.no_grad()
def dense_crf(probabilities: Tensor, picture: Tensor, settings: CrfSettings) -> Tensor:
    """Refine the class probabilities of a picture by those of pixels near by and alike.

    Give only the classes that may be there: time is linear in their number, and an impossible class then cannot win.

    Args:
        probabilities: [C, H, W] float, 0..1; need not sum to 1.
        picture: [3, H, W] uint8 RGB.
        settings: See `CRF_PRESETS`.

    Returns:
        [C, H, W] float32, summing to 1 over the classes.

    Raises:
        ValueError: Probabilities and picture differ in size.
    """
    if probabilities.shape[1:] != picture.shape[1:]:
        raise ValueError(f"probabilities are {tuple(probabilities.shape[1:])}, the picture {tuple(picture.shape[1:])}")
    classes, height, width = probabilities.shape
    evidence = probabilities.float().clamp(min=_LEAST).log().reshape(classes, -1).T.contiguous()
    kernels = [
        (settings.position_weight, _normalised(_positions_of(picture) / settings.position_sigma)),
        (
            settings.bilateral_weight,
            _normalised(
                torch.cat(
                    [
                        _positions_of(picture) / settings.bilateral_sigma,
                        picture.reshape(3, -1).T.float() / settings.colour_sigma,
                    ],
                    dim=1,
                )
            ),
        ),
    ]
    belief = evidence.softmax(dim=1)
    for _ in range(settings.iterations):
        support = evidence
        for weight, (lattice, scale) in kernels:
            support = support + weight * scale * lattice.filter(scale * belief)
        belief = support.softmax(dim=1)
    return belief.T.reshape(classes, height, width)


def _positions_of(picture: Tensor) -> Tensor:
    """Return (x, y) [H * W, 2] of the pixels of a picture [3, H, W]."""
    height, width = picture.shape[1:]
    rows = torch.arange(height, device=picture.device, dtype=torch.float32)
    columns = torch.arange(width, device=picture.device, dtype=torch.float32)
    return torch.cartesian_prod(rows, columns).flip(1)


def _normalised(points: Tensor) -> tuple[PermutohedralLattice, Tensor]:
    """Return a lattice, and the factor [N, 1] that makes its kernel K symmetric-normalised: D^-1/2 K D^-1/2."""
    lattice = PermutohedralLattice(points)
    total = lattice.filter(points.new_ones(len(points), 1))
    return lattice, (total + 1e-20).rsqrt()
