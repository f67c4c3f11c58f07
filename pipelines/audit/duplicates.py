"""Pictures that are there more than once, as they are or nearly: within a set, and in two splits of one.

Similar pictures are found by a difference hash: the picture in grey at 9 x 8 pixels, and for each of 64 places whether
it gets brighter to the right. Pictures are similar if at most `MOST_BITS` of the 64 bits differ, and the grey pictures
of 16 x 16 differ by at most `MOST_DIFFERENCE` of 255 in the mean. So a copy in another size or JPEG quality is found. A
cut or a mirrored copy is not.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 3
"""Bits of the hash of 64 that may differ between similar pictures."""
MOST_DIFFERENCE = 4.0
"""Mean difference of grey values, of 255, up to which pictures are similar."""
MOST_PAIRS = 10_000
"""Similar pairs that are looked for; a set with more is one film."""
_FLAT = 4.0  # standard deviation of grey values under which a picture has nothing to compare
_BANDS = 4  # of 16 bits: hashes of which 3 bits differ agree in one of them
_BITS_OF_16 = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(1, np.uint8)


@dataclass(frozen=True)
class Copies:
    """Positions of pictures that show the same.

    Attributes:
        equal: Groups of two or more pictures with the same pixels.
        similar: Pairs of pictures that are similar and not equal; of equal pictures, the first stands for all.
    """

    equal: list[list[int]]
    similar: list[tuple[int, int]]


def find_copies(pixels: Sequence[bytes], thumbs: NDArray[np.uint8]) -> Copies:
    """Find equal and similar pictures.

    Args:
        pixels: A hash of the pixels of each of N pictures.
        thumbs: [N, 16, 16] uint8, each picture in grey.
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    for position, digest in enumerate(pixels):
        groups[digest].append(position)
    first = np.array([group[0] for group in groups.values()], np.int64)
    kept = first[thumbs[first].reshape(len(first), -1).std(axis=1) >= _FLAT] if len(first) else first
    pairs = _similar(thumbs[kept])
    similar = sorted((int(kept[one]), int(kept[other])) for one, other in pairs)
    return Copies([group for group in groups.values() if len(group) > 1], similar)


def difference_hashes(thumbs: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the difference hashes [N] uint64 of N >= 1 grey pictures [N, 16, 16] uint8."""
    side = thumbs.shape[1]
    left, right = np.arange(9)[:, None] * side / 9, np.arange(1, 10)[:, None] * side / 9
    cells = np.arange(side)[None]
    shares = np.clip(np.minimum(right, cells + 1) - np.maximum(left, cells), 0, 1).astype(np.float32)  # of each cell
    small = thumbs.reshape(len(thumbs), 8, -1, side).mean(axis=2, dtype=np.float32) @ shares.T
    bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(thumbs), 64)
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1)


def _similar(thumbs: NDArray[np.uint8]) -> set[tuple[int, int]]:
    if len(thumbs) < 2:
        return set()
    hashes = difference_hashes(thumbs)
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    # A picture is compared with the first one of its hash. So a thousand frames of one scene make no million pairs.
    same = ((int(first[group]), number) for number, group in enumerate(inverse.reshape(-1)) if first[group] != number)
    pairs = itertools.chain(same, _close(unique, first))
    alike = ((min(pair), max(pair)) for pair in pairs if _alike(thumbs, pair))
    return set(itertools.islice(alike, MOST_PAIRS))


def _close(hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the places of every two different hashes that differ in few bits; a pair may come several times."""
    for band in range(_BANDS):
        keys = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(keys, kind="stable")
        rows, step = np.arange(len(order)), 0
        while len(rows):  # those with the same key as the hash so many places further on
            step += 1
            rows = rows[rows + step < len(order)]
            rows = rows[keys[order[rows]] == keys[order[rows + step]]]
            near = rows[_bits(hashes[order[rows]] ^ hashes[order[rows + step]]) <= MOST_BITS]
            yield from zip(places[order[near]].tolist(), places[order[near + step]].tolist(), strict=True)


def _bits(numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bits of each number are set."""
    parts: NDArray[np.uint8] = _BITS_OF_16[numbers[..., None].view(np.uint16)]
    counts: NDArray[np.uint8] = parts.sum(axis=-1, dtype=np.uint8)
    return counts


def _alike(thumbs: NDArray[np.uint8], pair: tuple[int, int]) -> bool:
    one, other = thumbs[pair[0]].astype(np.int16), thumbs[pair[1]].astype(np.int16)
    return bool(np.abs(one - other).mean() <= MOST_DIFFERENCE)
