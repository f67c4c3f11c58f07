"""The form of an entry."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule that a message may name.

    Attributes:
        meaning: What is wrong.
        example: The first part of a message of this rule.
        remedy: What to do.
    """

    meaning: str
    example: str
    remedy: str
