"""Shares of a set: every item in exactly one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.shard import Shard


@given(st.lists(st.text(), max_size=200), st.integers(1, 30))
def test_every_item_is_in_exactly_one_share_and_in_its_order(items: list[str], of: int) -> None:
    shares = [Shard(number, of).own(items) for number in range(1, of + 1)]
    dealt = [None] * len(items)
    for number, share in enumerate(shares):
        dealt[number::of] = share  # type: ignore[assignment]
    assert dealt == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 10**6 - 1), st.integers(1, 10**6 - 1))
def test_a_share_is_written_as_its_number_and_how_many_there_are(one: int, other: int) -> None:
    number, of = sorted((one, other))
    assert Shard.parse(f"{number}/{of}") == Shard(number, of) == (number, of)


def test_without_numbers_it_is_everything() -> None:
    assert Shard() == (1, 1)
    assert Shard().own("abc") == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["", "1", "1/2/3", "a/2", "1/b"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Shard.parse(text)
