import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.report.charts import loss_curves
from pipelines.report.html import Picture, Section, Table, render_report

VOID = {"meta", "img", "link", "br"}


class Outline(HTMLParser):
    """Collects texts by tag and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())


def outline(path: Path) -> Outline:
    parser = Outline()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


def photograph() -> Picture:
    return Picture.from_array(np.full((8, 12, 3), (200, 30, 30), np.uint8), "a red field")


def test_page_holds_title_figures_text_tables_and_pictures_in_order(tmp_path: Path) -> None:
    sections = [
        Section("Training", "First.\n\nSecond.", pictures=[Picture(loss_curves([]), "losses")]),
        Section("Scores", tables=[Table(["class", "IoU"], [["cat", "61.0"], ["dog", "-"]], "in %")]),
    ]
    render_report(tmp_path / "report.html", "s4 demo", sections, "All in one.", {"mIoU": "70.1"})
    page = outline(tmp_path / "report.html")
    assert page.texts["h1"] == ["s4 demo"]
    assert page.texts["h2"] == ["Training", "Scores"]
    assert page.texts["p"] == ["All in one.", "First.", "Second."]
    assert (page.texts["dt"], page.texts["dd"]) == (["mIoU"], ["70.1"])
    assert page.texts["th"] == ["class", "IoU", "cat", "dog"]
    assert page.texts["td"] == ["61.0", "-"]
    assert page.texts["figcaption"] == ["losses"]
    targets = [attributes["href"] for tag, attributes in page.attributes if tag == "a"]
    assert targets == [f"#{attributes['id']}" for tag, attributes in page.attributes if tag == "section"]


def test_page_needs_nothing_outside_of_itself(tmp_path: Path) -> None:
    render_report(tmp_path / "report.html", "t", [Section("a", pictures=[photograph()]), Section("b")])
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', text))


def test_embedded_picture_is_the_picture(tmp_path: Path) -> None:
    render_report(tmp_path / "report.html", "t", [Section("a", pictures=[photograph()])])
    found = re.search(r'src="data:image/jpeg;base64,([^"]+)"', (tmp_path / "report.html").read_text())
    assert found
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        assert image.size == (12, 8)
        assert np.abs(np.asarray(image).astype(int) - (200, 30, 30)).max() <= 3


def test_text_of_the_user_is_never_markup(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script> & more'
    sections = [Section(evil, evil, [Table([evil, evil], [[evil, evil]], evil)], [Picture(photograph().data, evil)])]
    render_report(tmp_path / "report.html", evil, sections, evil, {evil: evil})
    assert "<script" not in (tmp_path / "report.html").read_text()
    page = outline(tmp_path / "report.html")
    for tag in ("title", "h1", "h2", "p", "td", "th", "caption", "figcaption", "dt", "dd"):
        assert evil in page.texts[tag]


def test_page_replaces_an_older_one_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    render_report(path, "old", [])
    render_report(path, "new", [])
    assert outline(path).texts["h1"] == ["new"]
    assert list(path.parent.iterdir()) == [path]


def test_uneven_table_and_unknown_picture_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 1 cells, expected 2"):
        Table(["a", "b"], [["only one"]])
    with pytest.raises(ValueError, match="expected PNG or JPEG"):
        render_report(tmp_path / "report.html", "t", [Section("a", pictures=[Picture(b"GIF89a", "x")])])
    assert not (tmp_path / "report.html").exists()
