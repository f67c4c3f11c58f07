"""The addresses of the page, asked without a browser."""

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import ReviewConfig
from pipelines.data.label_folder import LabelFolder
from pipelines.data.review import REVIEW, read_reviews
from pipelines.events import Events
from pipelines.journal import Journal
from pipelines.review import open_workbench
from pipelines.web.workbench import Workbench
from tests.pipelines.review_folder import CLASSES, COW, DOG, LEFT, RIGHT, SIZE, keys, make_folder, usual_record

pytest.importorskip("fastapi", reason="the extra web is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

CAT_KEY, DOG_KEY, SPOT_KEY = keys(usual_record())
BASE = "http://127.0.0.1:81/token/"


class Page:
    """One browser's page."""

    def __init__(self, client: Any, session: str) -> None:
        self.client, self.session = client, session

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(BASE + f"api/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.content

    def act(self, do: str, picture: str = "p0", expect: int = 200, **more: Any) -> Any:
        body = {"id": picture, "session": self.session, "do": do, **more}
        answer = self.client.post(BASE + "api/act", json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def undo(self, picture: str = "") -> Any:
        return self.client.post(BASE + "api/undo", json={"id": picture, "session": self.session}).json()


@pytest.fixture
def folder(tmp_path: Path) -> LabelFolder:
    return make_folder(tmp_path)


def open_bench(folder: LabelFolder, reviewer: str = "ann") -> Workbench:
    return open_workbench(ReviewConfig(labels=folder.path, reviewer=reviewer).located(), Events(io.StringIO()))


def serve(folder: LabelFolder, reviewer: str = "ann") -> Any:
    from starlette.testclient import TestClient

    from pipelines.web.app import make_app

    return TestClient(make_app(open_bench(folder, reviewer), "token", 81), base_url="http://127.0.0.1:81")


@pytest.fixture
def page(folder: LabelFolder) -> Iterator[Page]:
    with serve(folder) as client:
        yield Page(client, "one")


def test_the_grid_comes_in_pages_sorted_by_doubt(page: Page) -> None:
    answer = page.get("pictures", start=0, count=2)
    assert [one["id"] for one in answer["pictures"]] == ["p0", "p1"] and answer["total"] == 3
    assert [one["id"] for one in page.get("pictures", start=2, count=2)["pictures"]] == ["p2"]
    assert page.get("pictures", keyword="cow")["total"] == 0 and page.get("pictures", text="P2")["total"] == 1
    assert page.get("neighbour", id="p0", step=1) == {"id": "p1"}
    assert page.get("neighbour", id="p2", step=1) == {"id": None}


def test_the_files_of_the_page_are_there(page: Page) -> None:
    for name in ("", "review.css", "review.js", "canvas.js"):
        answer = page.client.get(BASE + name)
        assert answer.status_code == 200 and len(answer.content) > 500, name
    assert page.client.get(BASE + "app.py").status_code == 404
    assert page.client.get("http://127.0.0.1:81/wrong/").status_code == 403


def test_pictures_and_labels_come_reduced(page: Page) -> None:
    with Image.open(io.BytesIO(page.get("thumbnail", id="p1"))) as thumbnail:
        assert thumbnail.format == "JPEG" and thumbnail.size == (SIZE[1], SIZE[0])
    with Image.open(io.BytesIO(page.get("labels", id="p1"))) as overlay:
        pixels = np.asarray(overlay)
    assert pixels.shape == (*SIZE, 4) and (pixels[30:, :, 3] == 0).all() and (pixels[LEFT][..., 3] > 0).all()
    assert tuple(pixels[0, 0, :3]) != tuple(pixels[0, 59, :3])


def test_a_picture_names_its_instances_with_their_masks(page: Page) -> None:
    found = page.get("picture", id="p0")
    assert [one["keyword"] for one in found["instances"]] == ["cat", "dog", ""]
    assert [one["left_out"] for one in found["instances"]] == [False, False, True]
    # The cat fills the upper 30 of 40 pixels in each of 30 columns: zeros first, column by column.
    assert found["instances"][0]["runs"] == [0, *([30, 10] * 29), 30, 10 + 30 * 40]
    assert (found["height"], found["width"]) == SIZE


def test_an_action_is_on_the_disk_and_in_the_label_map_when_it_is_answered(page: Page, folder: LabelFolder) -> None:
    answer = page.act("assign", instance=CAT_KEY, keyword="cow")
    assert answer["state"] == "corrected" and answer["keywords"] == ["cat", "dog", "cow"]
    assert answer["progress"]["reviewed"] == 1
    assert (folder.read_label("p0")[LEFT] == COW).all() and (folder.read_label("p0")[RIGHT] == DOG).all()
    (line,) = Journal(folder.path / REVIEW).read()
    assert (line["reviewer"], line["session"], line["do"], line["image_id"]) == ("ann", "one", "assign", "p0")
    assert line["time"].startswith("20") and len(line["id"]) == 32


def test_everything_can_be_said_and_undone_one_by_one(page: Page, folder: LabelFolder) -> None:
    original = folder.label_path("p0").read_bytes()
    page.act("assign", instance=SPOT_KEY, keyword="dog")
    page.act("assign", instance=DOG_KEY, keyword=None)
    page.act("keyword", keyword="cow", on=True)
    page.act("paint", keyword="", points=[[0.5, 0.5]], radius=0.05)
    assert page.act("reject")["state"] == "rejected"
    assert (folder.read_label("p0") == 255).all()
    undone = [page.undo()["undone"] for _ in range(5)]
    assert undone == ["reject", "paint", "keyword", "assign", "assign"]
    assert page.undo() is None
    assert folder.label_path("p0").read_bytes() == original
    assert read_reviews(folder.path) == {} and len(Journal(folder.path / REVIEW).read()) == 10


def test_two_servers_lose_nothing_of_each_other(page: Page, folder: LabelFolder) -> None:
    with serve(folder, "ben") as client:
        other = Page(client, "two")
        now = other.get("changed", since=-1)["now"]
        page.act("assign", instance=CAT_KEY, keyword="cow")
        other.act("assign", instance=DOG_KEY, keyword="")
        other.act("accept", "p1")
        assert (folder.read_label("p0")[LEFT] == COW).all() and (folder.read_label("p0")[RIGHT] == 0).all()
        assert [one["id"] for one in other.get("changed", since=now)["pictures"]] == ["p0", "p1"]
        assert page.get("pictures", shown="accepted")["total"] == 1
        # For the same thing the last one counts; each undoes its own.
        other.act("assign", instance=CAT_KEY, keyword="dog")
        assert (folder.read_label("p0")[LEFT] == DOG).all()
        assert page.undo()["instances"][0]["keyword"] == "dog"
        assert other.undo()["instances"][0]["keyword"] == "cat"
    reviewers = [line["reviewer"] for line in Journal(folder.path / REVIEW).read()]
    assert reviewers == ["ann", "ben", "ben", "ben", "ann", "ben"]


def test_actions_of_several_threads_and_polls_stop_nobody(folder: LabelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = Journal.sync
    monkeypatch.setattr(Journal, "sync", lambda journal: (time.sleep(0.005), sync(journal)))  # a slow disk
    bench = open_bench(folder)
    heard, ended = set[str](), threading.Event()

    def act(image_id: str) -> None:
        for _ in range(3):
            bench.act(image_id, {"do": "accept", "session": image_id})
            bench.undo("", image_id)
            bench.act(image_id, {"do": "reject", "session": image_id})

    def poll() -> None:
        now = 0
        while not ended.is_set() or bench.changed(now)["pictures"]:
            answer = bench.changed(now)
            now = answer["now"]
            heard.update(one["id"] for one in answer["pictures"])
            bench.overview()

    actors = [threading.Thread(target=act, args=(each,), daemon=True) for each in ("p0", "p1", "p2")]
    polls = [threading.Thread(target=poll, daemon=True) for _ in range(3)]
    for each in [*actors, *polls]:
        each.start()
    limit = time.monotonic() + 20
    for each in [*actors, *polls]:
        each.join(max(0.0, limit - time.monotonic()))
        if not any(one.is_alive() for one in actors):
            ended.set()
    assert not any(each.is_alive() for each in [*actors, *polls])
    assert heard == {"p0", "p1", "p2"} and bench.overview()["progress"]["rejected"] == 3


def test_a_poll_misses_nothing_of_an_action_that_comes_meanwhile(
    folder: LabelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = open_bench(folder)
    look = bench._look

    def look_before_another_adds() -> int:
        now = look()
        monkeypatch.undo()
        with bench._journal.turn():
            bench._journal.add({"reviewer": "ann", "session": "one", "image_id": "p0", "do": "accept"})
        return now

    monkeypatch.setattr(bench, "_look", look_before_another_adds)
    now = bench.changed(0)["now"]
    assert [(one["id"], one["state"]) for one in bench.changed(now)["pictures"]] == [("p0", "accepted")]


def test_two_pages_of_one_server_undo_what_they_did_themselves(page: Page) -> None:
    other = Page(page.client, "two")
    page.act("accept", "p0")
    other.act("accept", "p1")
    assert page.undo()["id"] == "p0" and other.undo()["id"] == "p1"


def test_a_label_map_that_a_kill_left_behind_is_written_at_the_next_start(folder: LabelFolder) -> None:
    with serve(folder) as client:
        Page(client, "one").act("assign", instance=CAT_KEY, keyword="cow")
    corrected = folder.label_path("p0").read_bytes()
    original = (folder.path / "original/labels/p0.png").read_bytes()
    folder.label_path("p0").write_bytes(original)  # the kill came between the journal and the map
    with serve(folder) as client:
        assert folder.label_path("p0").read_bytes() == corrected
        page = Page(client, "after")
        assert page.get("picture", id="p0")["state"] == "corrected"
        assert page.undo("p0")["state"] is None
    assert folder.label_path("p0").read_bytes() == original


@pytest.mark.parametrize(
    "asked",
    [
        {"do": "dance"}, {"do": ["accept"]}, {"do": "assign", "instance": "x", "keyword": "cat"},
        {"do": "assign", "instance": CAT_KEY}, {"do": "assign", "instance": CAT_KEY, "keyword": "unicorn"},
        {"do": "assign", "instance": [CAT_KEY], "keyword": "cat"}, {"do": "assign", "instance": CAT_KEY, "keyword": 1},
        {"do": "keyword", "keyword": "unicorn", "on": True}, {"do": "keyword", "keyword": "cow"},
        {"do": "keyword", "keyword": ["cow"], "on": True}, {"do": "paint", "keyword": "cat"},
        {"do": "paint", "keyword": "cat", "points": [[5, 5]], "radius": 0.1}, {"do": "accept", "picture": "nowhere"},
        {"do": "accept", "picture": "broken"},
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_and_not_written(page: Page, folder: LabelFolder, asked: dict[str, Any]) -> None:
    assert page.act(expect=422, **asked)["error"]
    assert Journal(folder.path / REVIEW).read() == []


def test_questions_about_nothing_are_refused(page: Page) -> None:
    for path in ("picture?id=nowhere", "thumbnail?id=nowhere", "pictures?shown=x", "changed?since=x", "picture"):
        assert page.client.get(BASE + f"api/{path}").status_code == 422, path
    assert page.client.post(BASE + "api/act", content=b"nonsense").status_code == 422
    assert page.client.post(BASE + "api/act", json=[1]).status_code == 422


def test_a_picture_that_is_gone_is_an_error_of_that_picture(page: Page, tmp_path: Path) -> None:
    (tmp_path / "images" / "p1.jpg").unlink()
    answer = page.client.get(BASE + "api/thumbnail?id=p1")
    assert answer.status_code == 404 and "image-missing" in answer.json()["error"]
    assert page.get("thumbnail", id="p0")


def test_the_overview_has_a_colour_for_each_class(page: Page) -> None:
    found = page.get("overview")
    assert [one["name"] for one in found["classes"]] == list(CLASSES.names)
    assert len({one["colour"] for one in found["classes"]}) == 3
    assert found["failed"] == 1 and found["reviewer"] == "ann"


@pytest.mark.parametrize("path", ["act", "undo"])
@pytest.mark.parametrize(
    "body", [b"NaN", b"-Infinity", b"[1e999]", b"{", b"", b"null", b"[" * 3000, b'"\\ud83d"', b"\xff"]
)
def test_a_body_that_is_no_action_is_refused_in_words(page: Page, path: str, body: bytes) -> None:
    answer = page.client.post(BASE + f"api/{path}", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json().keys() & {"error", "detail"}


@pytest.mark.parametrize("more", [{"radius": 10**400}, {"points": [[10**400, 0.5]], "radius": 0.1}])
def test_a_stroke_of_numbers_that_no_float_holds_is_refused(page: Page, more: dict[str, Any]) -> None:
    assert "stroke" in page.act("paint", keyword="cat", expect=422, **{"points": [[0.5, 0.5]], **more})["error"]
