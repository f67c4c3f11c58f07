"""The page of `s4 review` in a real browser: `make test-web`."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.label_folder import LabelFolder
from pipelines.data.review import REVIEW
from pipelines.journal import Journal
from tests.pipelines.review_folder import CAT, COW, DOG, LEFT, RIGHT, SPOT, make_folder

pytestmark = [pytest.mark.web, pytest.mark.filterwarnings("ignore")]  # Playwright's own

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Server:
    """`s4 review` in a process of its own."""

    def __init__(self, folder: LabelFolder, reviewer: str = "ann") -> None:
        command = [sys.executable, "-m", "s4cli", "review", str(folder.path), "--reviewer", reviewer]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if "http://" in line:
                self.address = line[line.index("http://") :].strip()
                return
        raise AssertionError("".join(lines))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def folder(tmp_path: Path) -> LabelFolder:
    return make_folder(tmp_path, 5)


@pytest.fixture
def serve(folder: LabelFolder) -> Iterator[Callable[..., Server]]:
    servers = []

    def start(reviewer: str = "ann") -> Server:
        servers.append(Server(folder, reviewer))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    faults: list[str] = []
    contexts = []

    def opened(address: str, **more: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1100, "height": 800}, **more))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [fault for fault in faults if "ERR_CONNECTION" not in fault] == []


def says(page: Any, text: str) -> None:
    page.wait_for_function("text => document.getElementById('says').textContent.includes(text)", arg=text)


def actions(folder: LabelFolder) -> list[str]:
    return [line["do"] for line in Journal(folder.path / REVIEW).read()]


def test_a_picture_is_corrected_by_keyboard_alone(
    folder: LabelFolder, serve: Callable[..., Server], visit: Callable[..., Any]
) -> None:
    page = visit(serve().address)
    assert [card.get_attribute("data-id") for card in page.query_selector_all(".card")] == [
        "p0",
        "p1",
        "p2",
        "p3",
        "p4",
    ]
    page.keyboard.press("ArrowRight")  # into the grid
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('name').textContent === 'p1'")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("2")  # the cat is a dog
    says(page, "Instance 1: dog")
    assert (folder.read_label("p1")[LEFT] == DOG).all()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("t")  # the spot that was left out is taken in
    says(page, "Taken in: cat")
    assert (folder.read_label("p1")[SPOT] == CAT).all()
    page.keyboard.press("k")
    page.keyboard.type("co")
    page.keyboard.press("Enter")  # any class of the list
    says(page, "Instance 3: cow")
    assert (folder.read_label("p1")[SPOT] == COW).all()
    page.keyboard.press("0")
    says(page, "Instance 3: unknown")
    assert (folder.read_label("p1")[SPOT] == 255).all()
    page.keyboard.press("u")
    says(page, "Undone on p1: assign")
    assert (folder.read_label("p1")[SPOT] == COW).all()
    page.keyboard.press("a")
    page.wait_for_function("() => document.getElementById('name').textContent === 'p2'")  # on to the next
    page.keyboard.press("r")
    page.wait_for_function("() => document.getElementById('name').textContent === 'p3'")
    assert (folder.read_label("p2") == 255).all()
    page.keyboard.press("Escape")
    page.wait_for_selector("#grid-view:not([hidden])")
    assert page.inner_text("#counts").startswith("2 of 5")
    assert page.inner_text('[data-id="p1"] .badge') == "accepted"
    page.keyboard.press("Control+z")
    says(page, "Undone on p2: reject")
    assert (folder.read_label("p2")[LEFT] == CAT).all()


def test_brush_and_eraser_paint_with_pointer_and_with_keys(
    folder: LabelFolder, serve: Callable[..., Server], visit: Callable[..., Any]
) -> None:
    page = visit(serve().address)
    page.click('[data-id="p0"]')
    page.wait_for_selector("#picture-view:not([hidden])")
    box = page.locator("#stage").bounding_box()

    def place(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.keyboard.press("b")
    page.mouse.move(*place(0.2, 0.9))
    page.mouse.down()
    page.mouse.move(*place(0.5, 0.9), steps=4)
    page.mouse.up()
    says(page, "Painted: cat")
    label_map = folder.read_label("p0")
    assert label_map[36, 12] == CAT and label_map[36, 29] == CAT and label_map[36, 50] == 0
    page.keyboard.press("e")
    page.mouse.click(*place(0.25, 0.4))
    says(page, "Erased")
    assert folder.read_label("p0")[16, 15] == 0 and folder.read_label("p0")[0, 0] == CAT
    page.keyboard.press("b")
    page.keyboard.press("2")
    says(page, "The brush paints dog")
    for key in (" ", "ArrowDown", "ArrowDown", " "):
        page.keyboard.press(key)
    says(page, "Painted: dog")
    assert folder.read_label("p0")[16, 15] == DOG
    assert actions(folder) == ["paint"] * 3
    page.keyboard.press("Escape")
    page.mouse.click(*place(0.6, 0.37))  # the spot lies over the dog there: the smaller one, and it was left out
    says(page, "Taken in: cat")
    assert folder.read_label("p0")[14, 36] == CAT


def test_everything_survives_a_kill_of_the_server(
    folder: LabelFolder, serve: Callable[..., Server], visit: Callable[..., Any]
) -> None:
    original = folder.label_path("p0").read_bytes()
    server = serve()
    page = visit(server.address)
    page.click('[data-id="p0"]')
    page.wait_for_selector("#picture-view:not([hidden])")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    says(page, "background")
    page.reload()
    page.wait_for_function("() => document.getElementById('badge').textContent === 'corrected'")
    server.kill()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("2")
    says(page, "does not answer")
    page = visit(serve().address)
    page.click('[data-id="p0"]')
    page.wait_for_function("() => document.getElementById('badge').textContent === 'corrected'")
    assert (folder.read_label("p0")[LEFT] == 0).all() and actions(folder) == ["assign"]
    page.keyboard.press("u")
    says(page, "Undone on p0: assign")
    assert folder.label_path("p0").read_bytes() == original


def test_two_browsers_on_two_servers_see_and_keep_each_others_work(
    folder: LabelFolder, serve: Callable[..., Server], visit: Callable[..., Any]
) -> None:
    ann, ben = visit(serve("ann").address), visit(serve("ben").address)
    for page in (ann, ben):
        page.click('[data-id="p0"]')
        page.wait_for_selector("#picture-view:not([hidden])")
        page.keyboard.press("ArrowDown")
    ann.keyboard.press("2")
    says(ann, "Instance 1: dog")
    ben.keyboard.press("ArrowDown")
    ben.keyboard.press("1")
    says(ben, "Instance 2: cat")
    label_map = folder.read_label("p0")
    assert (label_map[LEFT] == DOG).all() and (label_map[RIGHT] == CAT).all()
    # Ann sees Ben's work without doing anything.
    ann.wait_for_function("() => document.querySelectorAll('#instances .grow')[1].textContent.startsWith('cat')")
    ben.keyboard.press("Escape")
    ben.wait_for_selector("#grid-view:not([hidden])")
    ann.keyboard.press("r")
    ben.wait_for_function("() => document.querySelector('[data-id=p0] .badge').textContent === 'rejected'")
    reviewers = {line["reviewer"] for line in Journal(folder.path / REVIEW).read()}
    assert reviewers == {"ann", "ben"} and np.all(folder.read_label("p0") == 255)


def test_the_page_is_labelled_for_screen_readers_and_helps(
    folder: LabelFolder, serve: Callable[..., Server], visit: Callable[..., Any]
) -> None:
    page = visit(serve().address, color_scheme="dark")
    names = [card.get_attribute("aria-label") for card in page.query_selector_all(".card")]
    assert all("cat, dog" in name and "not reviewed" in name and "doubt" in name for name in names)
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    page.click('[data-id="p0"]')
    page.wait_for_selector("#picture-view:not([hidden])")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, [role=application]')].filter("
        "one => !(one.textContent.trim()"
        " || one.getAttribute('aria-label') || one.closest('label'))).map(one => one.outerHTML)"
    )
    assert unnamed == []
    assert page.get_attribute("#says", "aria-live") == "polite"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 26)"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert page.evaluate("document.activeElement.id") == "stage" and outline is not None


def test_a_phone_shows_everything_within_its_width(
    folder: LabelFolder, serve: Callable[..., Server], visit: Callable[..., Any]
) -> None:
    page = visit(serve().address)
    page.set_viewport_size({"width": 360, "height": 740})
    wide = "document.documentElement.scrollWidth <= 360"
    assert page.evaluate(wide)
    page.click('[data-id="p0"]')
    page.wait_for_selector("#picture-view:not([hidden])")
    assert page.evaluate(wide) and page.locator("#accept").is_visible()
    page.click("#accept")
    page.wait_for_function("() => document.getElementById('name').textContent === 'p1'")
    assert actions(folder) == ["accept"]
