"""The pictures of a label folder in the order of their doubt, in pages; 50,000 fit into memory without their masks."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.data.record_files import RECORDS, Record
from pipelines.data.review import instance_key
from pipelines.data.rle import read_rle
from pipelines.errors import InputError
from pipelines.file_errors import read_error
from pipelines.regular_files import open_regular
from pipelines.web.doubt import Doubt

SHOWN = ("all", "open", "reviewed", "accepted", "rejected")
"""Words for what a page shows."""


class RecordFile:
    """The records of a label folder, read from the disk one at a time.

    Attributes:
        failed: Number of pictures that could not be labelled.
        keywords: image_id -> keywords of every picture that has labels.
    """

    def __init__(self, labels: Path) -> None:
        """Remember where each record begins.

        Args:
            labels: The label folder.

        Raises:
            InputError: The file is missing [file-missing] or damaged [journal-damaged].
        """
        self._path = labels / RECORDS
        self._starts: dict[str, int] = {}
        self.failed = 0
        self.keywords: dict[str, tuple[str, ...]] = {}
        for start, record in self._lines():
            if "failed" in record:
                self.failed += 1
                continue
            words = record.get("keywords")
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise self._damaged()
            self._starts[record["image_id"]] = start
            self.keywords[record["image_id"]] = tuple(words)

    def __contains__(self, image_id: str) -> bool:
        """Tell whether a picture has labels."""
        return image_id in self._starts

    def __len__(self) -> int:
        """Return the number of pictures that have labels."""
        return len(self._starts)

    def all(self) -> list[Record]:
        """Return all records of pictures that have labels."""
        return [record for _, record in self._lines() if "failed" not in record]

    def read(self, image_id: str) -> Record:
        """Return the record of a picture that has labels.

        Raises:
            InputError: The file changed since it was opened, or an instance has no mask [journal-damaged].
        """
        try:
            with open_regular(self._path) as file:
                file.seek(self._starts[image_id])
                record = self._parsed(file.readline())
        except OSError as error:
            raise read_error(self._path, error) from error
        if record.get("image_id") != image_id:
            raise self._damaged()
        try:
            for instance in record["instances"]:
                read_rle(instance["segmentation"], record["height"], record["width"])
                instance_key(instance["segmentation"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged() from error
        return record

    def _lines(self) -> Iterator[tuple[int, Record]]:
        try:
            with open_regular(self._path) as file:
                start = 0
                for line in file:
                    yield start, self._parsed(line)
                    start += len(line)
        except FileNotFoundError as error:
            message = f"{self._path}: no such file, the records of s4 pseudo-label expected"
            raise InputError(f"{message}; let that command finish first", "file-missing") from error
        except OSError as error:
            raise read_error(self._path, error) from error

    def _parsed(self, line: bytes) -> Record:
        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged() from error
        if not isinstance(record, dict) or not isinstance(record.get("image_id"), str):
            raise self._damaged()
        return record

    def _damaged(self) -> InputError:
        found = f"{self._path}: damaged or replaced while it was read, one JSON record a line expected"
        return InputError(f"{found}; start s4 review again, or restore the file", "journal-damaged")


@dataclass(frozen=True)
class Wanted:
    """Which pictures a page shows.

    Attributes:
        shown: One of `SHOWN`.
        keyword: Pictures with this keyword alone; empty for all.
        text: Pictures whose id holds this text alone; empty for all.
    """

    shown: str = "all"
    keyword: str = ""
    text: str = ""


class Ranking:
    """All pictures, the most doubtful first; of equal doubts, in the order of their ids."""

    def __init__(self, doubts: Mapping[str, Doubt]) -> None:
        """Sort the pictures."""
        self.doubts = doubts
        self.order = sorted(doubts, key=lambda image_id: (-doubts[image_id].total, image_id))
        self._rank = {image_id: rank for rank, image_id in enumerate(self.order)}

    def matching(self, wanted: Wanted, states: Mapping[str, str], keywords: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the pictures that a page shows, in order.

        Args:
            wanted: What to show.
            states: image_id -> `accepted`, `rejected` or `corrected`, of the pictures that somebody has looked at.
            keywords: image_id -> keywords, of every picture.
        """
        if wanted == Wanted():
            return self.order
        shows = _test(wanted, states, keywords)
        return [image_id for image_id in self.order if shows(image_id)]

    def neighbour(
        self,
        image_id: str,
        step: int,
        wanted: Wanted,
        states: Mapping[str, str],
        keywords: Mapping[str, Sequence[str]],
    ) -> str | None:
        """Return the next picture of a page in the order of doubt; None behind the last one.

        Args:
            image_id: The picture to leave; it need not be on the page any more.
            step: 1 for the next one, -1 for the one before.
            wanted: What the page shows.
            states: As in `matching`.
            keywords: As in `matching`.
        """
        shows = _test(wanted, states, keywords)
        own = self._rank[image_id]
        ranks = range(own + 1, len(self.order)) if step > 0 else range(own - 1, -1, -1)
        return next((self.order[rank] for rank in ranks if shows(self.order[rank])), None)


def _test(wanted: Wanted, states: Mapping[str, str], keywords: Mapping[str, Sequence[str]]) -> Callable[[str], bool]:
    """Return the function that tells whether a page shows a picture."""
    text, keyword, shown = wanted.text.lower(), wanted.keyword, wanted.shown

    def state_fits(image_id: str) -> bool:
        state = states.get(image_id)
        if shown in ("open", "reviewed"):
            return (state is None) == (shown == "open")
        return shown in ("all", state)

    def shows(image_id: str) -> bool:
        named = not keyword or keyword in keywords[image_id]
        return named and (not text or text in image_id.lower()) and state_fits(image_id)

    return shows
