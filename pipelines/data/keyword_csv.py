"""Tables `image,keywords` as people and spreadsheets save them.

Columns are parted by `,`, `;` or a tab; the first line tells by which. Several keywords stand in one field, parted by
`;`, `,` or `|`, or in further fields. A keyword with such a sign in it stands in quotes of its own inside the field.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.files import read_text

_DELIMITERS = (",", ";", "\t")
_PART = re.compile(r"""[^\S\t]*"((?:[^"]|"")*)"[^\S\t]*(?=[;,|\t]|\Z)|[^;,|\t]+""")
_NEEDS_QUOTES = re.compile(r'[;,|\t"]')
_HEADER = ("image", "keywords")
_SPREADSHEET = re.compile(r"sep=.\r?\n")  # Excel's own first line


def read_keyword_csv(path: Path) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Read a table.

    Args:
        path: UTF-8, or UTF-16 as spreadsheets write it.

    Returns:
        For each line the name of a picture and its words; and what is wrong with the other lines.

    Raises:
        InputError: The file is missing [file-missing] or no text [text-damaged].
    """
    text = _SPREADSHEET.sub("", read_text(path), count=1)
    header = text.lstrip().partition("\n")[0]
    delimiter = next((d for d in _DELIMITERS if _cells(header, d) == _HEADER), None)
    if delimiter is None:
        return [], [f"first line is {header.strip()!r}, expected image,keywords"]
    rows = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter)
    next(rows)
    found, faults = [], []
    try:
        for row in rows:
            name, words = (row[0].strip() if row else ""), [word for cell in row[1:] for word in _words(cell)]
            if not any(cell.strip() for cell in row):
                continue
            if not name or len(row) < 2:
                faults.append(f"line {rows.line_num} is {delimiter.join(row)!r}, expected a picture and its keywords")
            else:
                found.append((name, words))
    except csv.Error as error:
        faults.append(f"line {rows.line_num}: {error}, expected a CSV table")
    return found, faults


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(cell.strip().casefold() for cell in next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return ()


def _words(cell: str) -> list[str]:
    parts = (
        part.group() if part.group(1) is None else part.group(1).replace('""', '"') for part in _PART.finditer(cell)
    )
    return [word.strip() for word in parts if word.strip()]


def keyword_csv(table: Mapping[str, Sequence[str]]) -> str:
    """Return the text of a table, from which `read_keyword_csv` reads the same.

    Args:
        table: Names of pictures, and the keywords of each.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_HEADER)
    rows.writerows((name, ";".join(map(_quoted, words))) for name, words in table.items())
    return text.getvalue()


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"' if _NEEDS_QUOTES.search(word) else word
