"""The documentation site: every page has its place, the build has no warning, and nothing comes from elsewhere."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "mkdocs.yml").read_text()
NAVIGATION = re.findall(r"[\w/-]+\.md", SETTINGS.partition("\nnav:")[2])
ELSEWHERE = {"package-page.md"}  # for a package index


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation_once() -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(NAVIGATION) == sorted(pages - ELSEWHERE)


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("guide.md", "labels.md", "labels.md"),
        ("experiments/README.md", "../results.md", "../results.md"),
        ("guide.md", "../examples", "repository/examples/files.md"),
        ("paper.md", "../examples/animals.toml", "repository/examples/animals.toml"),
        ("experiments/speed.md", "../../benchmarks/README.md", "../repository/benchmarks/README.md"),
        # A copy links as its original does.
        ("repository/benchmarks/README.md", "../docs/labels.md", "../../labels.md"),
        ("repository/benchmarks/README.md", "crf.py", "crf.py"),
        ("guide.md", "https://arxiv.org/abs/1711.07618", "https://arxiv.org/abs/1711.07618"),
        ("guide.md", "../no-such-file", "../no-such-file"),  # for the build to complain
    ],
)
def test_a_link_leads_to_the_same_text_on_the_site(hooks: ModuleType, page: str, link: str, target: str) -> None:
    assert hooks.site_link(page, link) == target


def test_first_lines_of_files_are_told_without_marks(hooks: ModuleType, tmp_path: Path) -> None:
    for content, said in (
        ('"""What it does.\n\nMore."""\n', "What it does."),
        ("#!/bin/sh\n# a | b\n", "a \\| b"),
        ("", ""),
    ):
        (tmp_path / "file").write_text(content)
        assert hooks.first_line(tmp_path / "file") == said
    (tmp_path / "file").write_bytes(b"\xff\xd8")
    assert hooks.first_line(tmp_path / "file") == ""


def test_lists_nest_by_two_spaces(hooks: ModuleType) -> None:
    markdown = pytest.importorskip("markdown")
    text = "- a\n  - b\n\nc\n\n    code\n"
    html = markdown.Markdown(extensions=[hooks.TwoSpaces(), "sane_lists"]).convert(text)
    assert re.sub(
        r"\s", "", html
    ) == "<ul><li>a<ul><li>b</li></ul></li></ul><p>c</p><pre><code>code</code></pre>".replace(
        "<code>code", "<code>code"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning is an error."""
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name, reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_the_site_has_every_page_and_takes_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob("*.html")}
    assert {page.replace("README.md", "index.md").replace(".md", ".html") for page in NAVIGATION} <= set(pages)
    for name, text in pages.items():
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?(https?:[^\s\">]*)", text)
        assert not loaded, f"{name} loads {loaded}"
        assert 'file_worker.js"' in text
    assert all(f'id="{name}"' in pages["python.html"] for name in ("s4net.build_s4net", "deeplab.build_deeplab"))
    assert 'href="../repository/benchmarks/index.html"' in pages["experiments/speed.html"]
    assert "<li>Pictures with another keyword" in re.sub(r"</li>\s*<li>", "</li><li>", pages["labels.html"])


@pytest.mark.web
@pytest.mark.slow
def test_the_search_works_from_files(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "experiments" / "ring.html").as_uri())
        page.focus("input.md-search__input")
        page.keyboard.type("cushion")
        page.wait_for_selector(".md-search-result__link", state="attached", timeout=60_000)
        found = page.eval_on_selector_all(".md-search-result__link", "links => links.map(link => link.href)")
        browser.close()
    assert any("labels.html" in address for address in found)
    assert all(address.startswith(("file:", "data:", "blob:")) for address in asked), asked
