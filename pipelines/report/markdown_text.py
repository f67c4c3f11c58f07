"""Parts of Markdown documents in which nothing of ours is taken for markup."""

import re
from collections.abc import Sequence
from typing import Any

from pipelines.errors import printable


def table_of(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table with a heading."""
    return "\n".join(
        "| " + " | ".join(map(_cell_text, line)) + " |" for line in [header, ["---"] * len(header), *lines]
    )


def lines_of(sentences: Sequence[str]) -> str:
    """Return a list with a point for each sentence."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def plain_text(value: Any) -> str:
    """Return a value as text in which Markdown and HTML find nothing to obey."""
    return re.sub(r"([\\`*<>|\[\]])", r"\\\1", printable(str(value)))


def code(value: Any) -> str:
    """Return a path as code, between more backticks than it holds in a row."""
    text = printable(str(value))
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def _cell_text(text: str) -> str:
    """Return the text of a cell, which no `|` and no line break ends."""
    return printable(text).replace("|", r"\|")
