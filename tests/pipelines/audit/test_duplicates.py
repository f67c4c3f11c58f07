"""Equal and similar pictures, against hand-made cases and a plain comparison of every pair."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.audit import duplicates
from pipelines.audit.duplicates import MOST_BITS, MOST_DIFFERENCE, difference_hashes, find_copies


def ramp(rising: bool = True) -> NDArray[np.uint8]:
    """[16, 16], brighter or darker from left to right."""
    row = np.arange(16, dtype=np.uint8) * 15
    return np.tile(row if rising else row[::-1], (16, 1))


def test_a_hash_has_a_bit_for_each_place_that_gets_brighter() -> None:
    rising, falling = difference_hashes(np.stack([ramp(), ramp(rising=False)]))
    assert (int(rising), int(falling)) == (2**64 - 1, 0)


def test_half_of_the_bits_are_set_where_the_upper_half_gets_brighter() -> None:
    both = np.concatenate([ramp()[:8], ramp(rising=False)[8:]])
    assert bin(int(difference_hashes(both[None])[0])).count("1") == 32


def test_equal_pictures_are_grouped_and_stand_for_one() -> None:
    thumbs = np.stack([ramp(), ramp(rising=False), ramp(), ramp()])
    copies = find_copies([b"a", b"b", b"a", b"c"], thumbs)
    assert copies.equal == [[0, 2]]
    assert copies.similar == [(0, 3)]


def test_pictures_without_contrast_are_not_compared() -> None:
    thumbs = np.full((2, 16, 16), 7, np.uint8)
    assert find_copies([b"a", b"b"], thumbs).similar == []


@pytest.mark.parametrize(("brighter", "similar"), [(4, True), (5, False)])
def test_grey_values_decide_where_hashes_agree(brighter: int, similar: bool) -> None:
    thumbs = np.stack([ramp(), ramp() + np.uint8(brighter)])
    assert bool(find_copies([b"a", b"b"], thumbs).similar) == similar


def test_no_pictures_and_one_picture_have_no_copies() -> None:
    assert find_copies([], np.zeros((0, 16, 16), np.uint8)).equal == []
    assert find_copies([b"a"], ramp()[None]).similar == []


def test_the_same_pairs_are_found_as_by_comparing_every_two() -> None:
    generator = np.random.default_rng(0)
    scenes = np.kron(generator.integers(0, 255, (20, 8, 8)), np.ones((2, 2), np.int64))
    noisy = scenes[generator.integers(0, 20, 120)] + generator.integers(-2, 3, (120, 16, 16))
    thumbs = np.clip(noisy, 0, 255).astype(np.uint8)
    hashes = [int(one) for one in difference_hashes(thumbs)]
    plain = {
        (one, other)
        for one, other in combinations(range(120), 2)
        if bin(hashes[one] ^ hashes[other]).count("1") <= MOST_BITS
        and np.abs(thumbs[one].astype(int) - thumbs[other].astype(int)).mean() <= MOST_DIFFERENCE
    }
    found = set(find_copies([bytes([number]) for number in range(120)], thumbs).similar)
    # Of pictures with one hash, only the pairs with the first of them are looked at.
    first = {value: hashes.index(value) for value in hashes}
    looked_at = {
        pair
        for pair in plain
        if (hashes[pair[0]] == hashes[pair[1]] and first[hashes[pair[0]]] == pair[0])
        or (hashes[pair[0]] != hashes[pair[1]] and all(first[hashes[one]] == one for one in pair))
    }
    assert found == looked_at
    assert len(found) > 10


def test_a_film_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 5)
    thumbs = np.stack([ramp()] * 40)
    assert len(find_copies([bytes([number]) for number in range(40)], thumbs).similar) == 5
