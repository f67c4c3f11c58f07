"""A share of a set of pictures, for several processes or machines that work at the same time."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class Shard(NamedTuple):
    """One share of the work.

    Attributes:
        number: Which share this is, from 1 to `of`.
        of: How many shares there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`, two whole numbers."""
        number, of = text.split("/")
        return cls(int(number), int(of))

    def own(self, items: Sequence[Item]) -> list[Item]:
        """Return the items of this share: every `of`-th item, from number `number` on."""
        return list(items[self.number - 1 :: self.of])
