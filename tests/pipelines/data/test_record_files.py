import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.data.record_files import read_records, records_of_shards
from pipelines.errors import InputError
from pipelines.journal import Journal

RIGHT = {"image_id": "a", "keywords": ["cat"]}


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("keywords", [{}, {"keywords": []}, {"keywords": ["cat", "dog"]}])
def test_records_come_in_their_order(tmp_path: Path, keywords: dict[str, Any]) -> None:
    records = [RIGHT, {"image_id": "b", "failed": {"rule": "image-damaged"}, **keywords}]
    assert read_records(Journal(write(tmp_path / "records.jsonl", *records))) == records
    assert read_records(Journal(tmp_path / "none.jsonl")) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"image_id": None}, "names no picture"),
        ({"image_id": 3}, "names no picture"),
        ({"image_id": ["a"]}, "names no picture"),
        ({"keywords": None}, "has other keywords"),
        ({"keywords": "cat"}, "has other keywords"),
        ({"keywords": [["cat"]]}, "has other keywords"),
        ({"keywords": 8}, "has other keywords"),
    ],
)
def test_records_that_name_no_picture_or_odd_keywords_are_damaged(
    tmp_path: Path, change: dict[str, Any], found: str
) -> None:
    path = write(tmp_path / "records-1-of-2.jsonl", RIGHT, {**RIGHT, **change})
    for read in (lambda: read_records(Journal(path)), lambda: records_of_shards(tmp_path)):
        with pytest.raises(InputError, match=rf"records-1-of-2\.jsonl: record 2 {found}") as caught:
            read()
        assert caught.value.rule == "records-damaged"
