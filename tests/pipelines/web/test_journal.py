import json
import multiprocessing
from pathlib import Path

import pytest

from pipelines.data.review import REVIEW, read_reviews
from pipelines.errors import InputError
from pipelines.journal import Journal
from pipelines.web.journal import SharedJournal
from tests.pipelines.review_folder import action

ASKED = {"reviewer": "ann", "session": "s", "image_id": "p0", "do": "accept"}


def add(journal: SharedJournal, **more: str) -> dict[str, str]:
    with journal.turn():
        return journal.add({**ASKED, **more})


def test_actions_of_another_server_are_seen(tmp_path: Path) -> None:
    one, other = SharedJournal(tmp_path), SharedJournal(tmp_path)
    add(one)
    add(other, image_id="p1", reviewer="ben")
    one.refresh()
    assert one.order == ["p0", "p1"] and one.about("p1")[0]["reviewer"] == "ben"
    assert read_reviews(tmp_path).keys() == {"p0", "p1"}


def test_a_torn_line_is_waited_for_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    one, other = SharedJournal(tmp_path), SharedJournal(tmp_path)
    add(one)
    with (tmp_path / REVIEW).open("a") as file:
        file.write('{"id": "torn", "ti')  # a server was killed here
    other.refresh()
    assert other.order == ["p0"]
    add(other, image_id="p1")
    one.refresh()
    assert one.order == ["p0", "p1"]
    assert len(Journal(tmp_path / REVIEW).read()) == 2


def add_many(folder: Path, name: str, count: int) -> None:
    journal = SharedJournal(folder)
    for number in range(count):
        add(journal, reviewer=name, image_id=f"{name}{number}", session="x" * 20_000)


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    # Lines of 20 kB do not fit into one write of a buffer, so they would mix without turns.
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_many, args=(tmp_path, name, 30)) for name in ("ann", "ben")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = SharedJournal(tmp_path).order
    assert sorted(found) == sorted(f"{name}{number}" for name in ("ann", "ben") for number in range(30))


def test_another_file_in_its_place_is_read_anew(tmp_path: Path) -> None:
    journal = SharedJournal(tmp_path)
    add(journal)
    add(journal, image_id="p1")
    (tmp_path / REVIEW).write_text(json.dumps(action("accept", image_id="p9")) + "\n")
    journal.refresh()
    assert journal.order == ["p9"] and journal.about("p0") == []


def test_an_undo_takes_back_what_this_page_did_last(tmp_path: Path) -> None:
    journal = SharedJournal(tmp_path)
    first = add(journal, session="a")
    second = add(journal, session="b", image_id="p1")
    assert journal.last("a", "ann", "p1") == first and journal.last("b", "ann", "") == second
    add(journal, session="a", do="undo", of=first["id"])
    # The page has nothing left of its own on p1, but the person has: the page was opened anew.
    assert journal.last("a", "ann", "p1") == second
    assert journal.last("new", "ann", "p1") == second
    assert journal.last("new", "ben", "p1") is None and journal.last("new", "ann", "") is None


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    journal = SharedJournal(tmp_path)
    add(journal)
    with (tmp_path / REVIEW).open("a") as file:
        file.write("nonsense\n" + json.dumps(action("accept")) + "\n")
    with pytest.raises(InputError, match="journal-damaged"):
        journal.refresh()
    with pytest.raises(InputError, match="journal-damaged"):
        SharedJournal(tmp_path)
