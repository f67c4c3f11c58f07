"""The documentation site: every page has its place, the build has no warning, and nothing comes from elsewhere."""

import importlib.util
import os
import re
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


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_takes_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    pytest.importorskip("material", reason="the extra docs is not installed")
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {page.replace("README.md", "index.md").replace(".md", ".html") for page in NAVIGATION} <= {
        path.relative_to(tmp_path / "site").as_posix() for path in pages
    }
    for path in pages:
        loaded = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?(https?:[^\s\">]*)", path.read_text()
        )
        assert not loaded, f"{path.name} loads {loaded}"
    api = (tmp_path / "site" / "python.html").read_text()
    assert all(f'id="{name}"' in api for name in ("s4net.build_s4net", "pipelines.networks.load.load_deeplab"))
    assert "repository/benchmarks/README" in (tmp_path / "site" / "experiments" / "speed.html").read_text()
