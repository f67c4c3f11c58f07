from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.data import part_journal
from pipelines.data.part_journal import PartJournal, open_journal, remove_parts
from pipelines.errors import MachineError
from pipelines.files import write_text
from pipelines.journal import Journal
from pipelines.stores import address
from pipelines.stores.paths import to_path
from tests.pipelines.stores.store_of_tests import FlakyStore, empty_stores, files_in


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(address, "_PAUSE", 0.0)
    with empty_stores():
        yield


def add(journal: Journal, *numbers: int) -> None:
    for number in numbers:
        journal.append({"n": number})
        journal.sync()


def numbers(path: Path) -> list[int]:
    return [record["n"] for record in open_journal(path).read()]


def test_a_journal_on_disk_is_a_file(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "r.jsonl")
    assert type(journal) is Journal
    add(journal, 1)
    journal.flush()
    remove_parts(tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl").read_text() == '{"n": 1}\n'


def test_records_are_written_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_journal, "_MOST", 3)
    path = to_path("flaky://b/r.jsonl")
    journal = open_journal(path)
    assert isinstance(journal, PartJournal)
    add(journal, 1, 2, 3, 4, 5)
    assert files_in("flaky", "/b") == {"r.00000001.jsonl": b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'}
    assert [record["n"] for record in journal.read()] == [1, 2, 3, 4, 5]
    assert numbers(path) == [1, 2, 3]  # what another process sees, or this one after a kill
    journal.flush()
    journal.flush()
    assert sorted(files_in("flaky", "/b")) == ["r.00000001.jsonl", "r.00000002.jsonl"] and numbers(path) == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_records_do_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(part_journal.time, "monotonic", lambda: now[0])
    path = to_path("flaky://b/r.jsonl")
    journal = open_journal(path)
    add(journal, 1)
    now[0] += 19
    add(journal, 2)
    assert numbers(path) == []
    now[0] += 1
    add(journal, 3)
    assert numbers(path) == [1, 2, 3]
    now[0] += 100  # the clock starts with the first record that waits
    add(journal, 4)
    assert numbers(path) == [1, 2, 3]


def test_a_journal_goes_on_behind_its_parts_and_its_file() -> None:
    path = to_path("flaky://b/r.jsonl")
    write_text(path, '{"n": 0}\n')
    for number in (1, 2):
        journal = open_journal(path)
        add(journal, number)
        journal.flush()
    write_text(path.with_name("r-other.00000001.jsonl"), '{"n": 9}\n')
    write_text(path.with_name("r.txt.jsonl"), "no record")
    assert numbers(path) == [0, 1, 2]
    remove_parts(path)
    assert numbers(path) == [0] and len(files_in("flaky", "/b")) == 3


def test_records_still_wait_when_the_store_fails() -> None:
    path = to_path("flaky://b/r.jsonl")
    journal = open_journal(path)
    add(journal, 1, 2)

    def fails(question: str, key: str) -> None:
        raise ConnectionResetError("reset")

    FlakyStore.before = staticmethod(fails)
    with pytest.raises(MachineError):
        journal.flush()
    FlakyStore.before = staticmethod(lambda question, key: None)
    journal.flush()
    assert numbers(path) == [1, 2]
