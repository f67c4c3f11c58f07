import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import journal as module
from pipelines.errors import InputError, MachineError
from pipelines.journal import Journal


def test_a_journal_gives_back_its_records_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "a.jsonl")
    assert journal.read() == []
    journal.append({"n": 1})
    journal.append({"n": 2, "text": "a\nb"})
    journal.sync()
    assert Journal(journal.path).read() == [{"n": 1}, {"n": 2, "text": "a\nb"}]


def test_a_journal_survives_a_crash_after_any_byte(tmp_path: Path) -> None:
    whole = b'{"n": 1}\n{"n": 22}\n'
    path = tmp_path / "a.jsonl"
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = whole[:length].count(b"\n")
        expected = [{"n": 1}, {"n": 22}][:kept]
        assert Journal(path).read() == expected
        Journal(path).append({"n": 3})
        assert Journal(path).read() == [*expected, {"n": 3}]


def test_repair_cuts_the_torn_tail_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for tail in (b"", b'{"n"', b"\0\0\0\n"):  # zeros are what some file systems leave after a power cut
        path.write_bytes(b'{"n": 1}\n' + tail)
        Journal(path).repair()
        assert path.read_bytes() == b'{"n": 1}\n'
    Journal(tmp_path / "none.jsonl").repair()


def test_a_damaged_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": \n{"n": 3}\n')
    with pytest.raises(InputError, match=r"line 2 .*\[journal-damaged\]"):
        Journal(path).read()


def test_records_behind_a_byte_are_read_with_the_byte_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 22}\n{"n": 333}\n{"n"')  # 9, 10 and 11 bytes, and a torn line
    assert Journal(path).read_from(0) == ([{"n": 1}, {"n": 22}, {"n": 333}], 30)
    assert Journal(path).read_from(9) == ([{"n": 22}, {"n": 333}], 30)
    assert Journal(path).read_from(30) == ([], 30)


@pytest.mark.parametrize(("start", "place"), [(0, "line 2"), (9, "line 1 behind byte 9"), (1, "line 1 behind byte 1")])
def test_a_damaged_line_is_named_by_where_it_is(tmp_path: Path, start: int, place: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n[2]\n{"n": 3}\n')
    with pytest.raises(InputError) as caught:
        Journal(path).read_from(start)
    told = f"{path}: {place} is damaged, expected one JSON record a line; restore the file"
    assert (caught.value.message, caught.value.rule) == (told, "journal-damaged")


@pytest.mark.parametrize("line", [b"[" * 100_000, b"9" * 10_000, b"\xff", b"null", b"[1]", b'"text"', b"1"])
def test_what_is_no_record_counts_as_torn(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n' + line + b"\n")
    assert Journal(path).read() == [{"n": 1}]
    Journal(path).append({"n": 2})
    assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n'


def noted(order: list[str], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, whose name is noted when it is made."""

    def wrapped(*arguments: Any) -> Any:
        order.append(name)
        return call(*arguments)

    return wrapped


def test_sync_forces_the_file_and_then_its_folder_on_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    monkeypatch.setattr(os, "fsync", noted(order, "file", os.fsync))
    monkeypatch.setattr(module, "sync_folder", noted(order, "folder", lambda folder: folder == tmp_path or 1 / 0))
    journal.sync()
    assert order == ["file", "folder"]


def test_a_journal_is_looked_through_once_and_again_after_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, order = Journal(tmp_path / "deep" / "er" / "a.jsonl"), []
    monkeypatch.setattr(journal, "repair", noted(order, "repair", journal.repair))
    journal.append({"n": 1})
    journal.append({"n": 2})
    assert order == ["repair"]
    folder, aside = journal.path.parent, tmp_path / "aside"
    folder.rename(aside)
    folder.touch()  # a file in the place of the folder
    with pytest.raises(MachineError, match=r"a\.jsonl.*write-failed"):
        journal.append({"n": 3})
    folder.unlink()
    aside.rename(folder)
    with journal.path.open("ab") as file:
        file.write(b'{"n": 3')  # what a failed write may leave
    journal.append({"n": 4})
    assert order == ["repair", "repair"]
    assert journal.read() == [{"n": 1}, {"n": 2}, {"n": 4}]


def refuse(*arguments: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("place", "name", "act", "rule"),
    [
        (os, "truncate", Journal.repair, "write-failed"),
        (os, "fsync", Journal.sync, "write-failed"),
        (module, "sync_folder", Journal.sync, "write-failed"),
        (Journal, "_bytes_from", Journal.read, "read-failed"),
    ],
)
def test_what_the_disk_refuses_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    name: str,
    act: Callable[[Journal], object],
    rule: str,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n"')
    monkeypatch.setattr(place, name, refuse)
    with pytest.raises(MachineError, match=f"a\\.jsonl: Input/output error.*{rule}"):
        act(Journal(path))


def test_below_a_file_there_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Journal(tmp_path / "file" / "a.jsonl").read() == []
