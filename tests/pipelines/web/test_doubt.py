import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.web.doubt import Doubt, doubt_of, doubts_of
from pipelines.web.paging import Ranking, RecordFile, Wanted
from tests.pipelines.review_folder import SIZE, make_folder, usual_maps, usual_record


def test_the_doubts_of_a_picture_are_counted_by_hand() -> None:
    # Two labelled instances of 900 pixels with margin 0.5; one of 200 left out. Confidence 100 of 255 everywhere.
    doubt = doubt_of(usual_record(), *usual_maps())
    assert doubt.margin == pytest.approx(0.5)
    assert doubt.confidence == pytest.approx(1 - 100 / 255)
    assert doubt.disagreement == 0
    assert doubt.open == pytest.approx(0.5 * 200 / 2000)
    assert doubt.total == pytest.approx(1 - 0.5 * (100 / 255) * 1 * 0.95)
    assert doubt.reason == "confidence"


def test_disagreement_is_the_share_of_the_foreground_that_one_side_alone_has() -> None:
    label_map, confidence = usual_maps()
    label_map[:, :30] = 0  # the witnesses took the cat away: 900 of 1800 pixels
    assert doubt_of(usual_record(), label_map, confidence).disagreement == pytest.approx(0.5)


def test_missing_keywords_and_rules_leave_a_picture_open() -> None:
    record = usual_record()
    record["instances"] = record["instances"][:2]
    record["missing"] = ["dog"]
    assert doubt_of(record, *usual_maps()).open == pytest.approx(0.25)  # one of two keywords
    record["rejected"] = "too-little-foreground"
    assert doubt_of(record, np.full(SIZE, 255, np.uint8), np.zeros(SIZE, np.uint8)) == Doubt(0.5, 1.0, 1.0, 1.0)


def test_a_picture_without_anything_is_no_division_by_zero() -> None:
    record = {**usual_record(), "instances": [], "keywords": []}
    assert doubt_of(record, np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)).total == 0


def test_doubts_are_found_once_and_again_when_the_records_change(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    asked = []

    def records() -> list[dict[str, object]]:
        asked.append(1)
        return RecordFile(folder.path).all()

    events = Events(io.StringIO())
    first = doubts_of(folder, records, events)
    assert doubts_of(folder, records, events) == first and len(asked) == 1
    os.utime(folder.path / "records.jsonl", ns=(1, 1))
    assert doubts_of(folder, records, events) == first and len(asked) == 2
    (folder.path / "doubt.json").write_text('{"stamp": 3')
    assert doubts_of(folder, records, events) == first and len(asked) == 3


def ranking() -> Ranking:
    return Ranking({name: Doubt(doubt, 0, 0, 0) for name, doubt in {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.5}.items()})


def test_the_most_doubtful_picture_comes_first() -> None:
    assert ranking().order == ["b", "c", "d", "a"]


def test_pages_show_what_was_asked_for() -> None:
    states, keywords = {"b": "accepted", "c": "corrected"}, {"a": ["cat"], "b": ["cat"], "c": ["dog"], "d": ["cat"]}

    def shown(*wanted: str) -> list[str]:
        return ranking().matching(Wanted(*wanted), states, keywords)

    assert shown() == ["b", "c", "d", "a"] and shown("open") == ["d", "a"] and shown("reviewed") == ["b", "c"]
    assert shown("accepted") == ["b"] and shown("rejected") == []
    assert shown("all", "cat") == ["b", "d", "a"] and shown("open", "cat", "D") == ["d"]


def test_the_neighbour_of_a_picture_that_left_the_page_is_the_next_in_doubt() -> None:
    states, keywords = {"c": "accepted"}, {name: ["cat"] for name in "abcd"}

    def beside(image_id: str, step: int, shown: str = "open") -> str | None:
        return ranking().neighbour(image_id, step, Wanted(shown), states, keywords)

    assert beside("c", 1) == "d" and beside("c", -1) == "b" and beside("b", 1) == "d"
    assert beside("b", 1, "all") == "c" and beside("a", 1) is None and beside("b", -1) is None


def test_records_are_read_one_at_a_time(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    records = RecordFile(folder.path)
    assert len(records) == 3 and records.failed == 1 and "broken" not in records
    assert records.read("p1")["image_id"] == "p1" and len(records.all()) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"keywords": None},
        {"keywords": [3]},
        {"height": "high"},
        {"instances": 5},
        {"instances": [{}]},
        {"instances": [{"segmentation": {"size": [1, 2, 3], "counts": ""}}]},
        {"instances": [{"segmentation": [[0, 0, 4, 0, 4, 4]]}]},
    ],
)
def test_a_damaged_record_is_told_before_anything_is_made_of_it(tmp_path: Path, change: dict[str, Any]) -> None:
    path = make_folder(tmp_path).path / "records.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps({**record, **change} if record["image_id"] == "p1" else record) for record in records]
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(InputError, match=r"records\.jsonl: damaged .*\[journal-damaged\]"):
        RecordFile(path.parent).read("p1")
