"""Names of files and classes, wherever they are shown: they are letters, and nothing obeys them."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InputError, printable
from pipelines.events import Events
from pipelines.report.charts import chart_text, loss_curves, per_class_bars
from pipelines.report.explain_figure import _Canvas, _png
from pipelines.report.html import Picture, Section, Table, render_report
from pipelines.report.markdown_text import _cell_text, code, plain_text
from pipelines.report.overlays import _fitted, _font, _legend
from pipelines.report.speed_plot import speed_plot
from s4cli.crash import exit_code_of
from s4cli.output import print_result, tell

# Formulas (also broken ones), line breaks, what terminals obey (a new title, a cleared screen, a moved cursor), text
# that runs backwards, markup, a table of Markdown, bytes that are no text, letters that a font lacks, and far too many.
NAMES = [
    "$x^$", "$$", "$\\frac{$", "a$b", "\\$x^$", "$\\alpha$", "two\nlines", "tab\tulator",
    "\r\nerror: forged [rule]",
    "\x1b]0;title\x07", "\x1b[2J\x1b[31mred", "\x9b31m", "back\b\b\bspace",
    "nul\x00", "\u202egnp.exe", "\u2028line",
    "<script>alert(1)</script>", "\"onload=x", "a|b", "`code`", "**bold**", "[x](y)", "caf\udce9", "猫", "_hidden",
    "%s {0}", "n" * 5000, "",
]  # fmt: skip
each_name = pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[1:20] for name in NAMES])
OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def test_what_a_terminal_obeys_is_spelled_out_and_nothing_else() -> None:
    assert printable("\x1b[31m\n\u202e\x7f\udce9\x9b") == r"\x1b[31m\n\u202e\x7f\udce9\x9b"
    plain = "caf\u00e9 \u732b \u00a0 \u3000 \U0001f408\u200d $x^$ <b> \\n"
    assert printable(plain) == plain
    assert printable("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


def picture(png: bytes) -> None:
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        assert image.width < 12_000


@pytest.mark.slow
def test_charts_take_all_names() -> None:
    picture(per_class_bars({"net": dict.fromkeys(NAMES, 0.5), "other": dict.fromkeys(NAMES, 0.1)}, "a", "$x^$"))
    picture(per_class_bars({name: {"cat": 0.5} for name in NAMES[:12]}, NAMES[0]))
    picture(loss_curves([{"step": step, **dict.fromkeys(NAMES[:9], 1.0 / step)} for step in (1, 2)], title="$x^$"))
    scores = {f"val_{name}": 0.5 for name in NAMES[:9]}
    picture(loss_curves([{"step": step, **scores} for step in (1, 2)], "two\nlines"))
    row = {"images_per_second": 3.0, "ratio": 1.0, "precision": "fp32", "accuracy": 0.5}
    picture(speed_plot([{**row, "name": name} for name in NAMES], NAMES[0], title="$x^$"))
    canvas = _Canvas("$x^$", "two\nlines", 1, 60)
    for column, name in enumerate(NAMES):
        canvas.panel(0, column % 3, name, name)
    picture(_png(canvas.figure))


def test_a_chart_shows_the_letters_of_a_formula() -> None:
    from matplotlib.text import Text

    for name in ("$x^$", "$x$", "\\$x$", "a$b", "$"):
        shown, is_formula = Text(0, 0, chart_text(name))._preprocess_math(chart_text(name))
        assert (shown, is_formula) == (name, False)


@each_name
def test_pictures_take_every_name(name: str) -> None:
    swatch = np.zeros((8, 8, 3), np.uint8)
    assert _legend([(name, swatch), ("cat", swatch)], 120).shape[1] == 120
    assert len(_fitted(name, 60)) < 60


@pytest.mark.parametrize("width", [1, 13, 40, 200])
def test_a_caption_is_cut_before_the_first_letter_that_does_not_fit(width: int) -> None:
    for text in ("iiiiWWWW" * 9, "Tokyo, Av. \u00e9t\u00e9 " * 5, "n" * 5000):
        cut = _fitted(text, width)
        kept = cut.removesuffix("...")
        assert text.startswith(kept) and cut == kept + "..."
        assert _font().getlength(cut) <= width or kept == ""
        assert _font().getlength(text[: len(kept) + 1] + "...") > width
    assert _fitted("cat", 200) == "cat"


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data = ""
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [key for key, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.data += data


@each_name
def test_a_page_shows_every_name(name: str, tmp_path: Path) -> None:
    pixels = Picture.from_array(np.zeros((4, 4, 3), np.uint8), name)
    pages = []
    for shown in (name, "plain"):
        section = Section(shown, shown, [Table([shown], [[shown]], shown)], [Picture(pixels.data, shown)])
        render_report(tmp_path / "page.html", shown, [section, section], shown, {shown: shown})
        text = (tmp_path / "page.html").read_text()
        assert not OBEYED.search(text.replace("\t", " "))
        page = Texts()
        page.feed(text)
        pages.append(page)
    if name:
        assert (pages[0].tags, pages[0].attributes) == (pages[1].tags, pages[1].attributes)
        assert printable(name, "\n").strip()[:40] in pages[0].data


@each_name
def test_terminal_and_log_take_every_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    events = Events(stream)
    events.attach(tmp_path / "log.txt")
    events.info(f"{name}: looked at")
    events.warn(name)
    events.record(name)
    assert stream.getvalue().count("\n") == 2 and (tmp_path / "log.txt").read_text().count("\n") == 3
    tell(name)
    print_result("evaluate", {"out": name, "per_class": {name: 0.5}, "list": [name], "rows": [{"name": name}]}, False)
    error = InputError(f"{name}: damaged, a picture expected; remove it", "image-damaged")

    def work() -> None:
        raise error

    assert exit_code_of(work) == 3
    out, err = capsys.readouterr()
    for text in (stream.getvalue(), (tmp_path / "log.txt").read_text(), out, err):
        assert not OBEYED.search(text), ascii(text)
    assert "\nerror: forged" not in err and err.count("\n") == 2


@each_name
def test_json_holds_every_name_unchanged(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_result("evaluate", {"out": name, "per_class": {name: 0.5}}, True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and not OBEYED.search(out)
    assert json.loads(out)["out"] == name and json.loads(out)["per_class"] == {name: 0.5}


@each_name
def test_a_table_of_markdown_keeps_its_cells(name: str) -> None:
    cell, quoted = _cell_text(name), code(name)
    assert "\n" not in cell and "|" not in cell.replace(r"\|", "")
    fence = re.match("`+", quoted)
    assert fence and quoted.endswith(fence[0]) and fence[0] not in quoted[len(fence[0]) : -len(fence[0])]
    assert not re.search(r"(?<!\\)[`*<>|\[\]]", re.sub(r"\\\\", "", plain_text(name)))


def test_usual_names_of_a_table_stay_as_they_are() -> None:
    assert (plain_text("efficientnet_lite0"), _cell_text("76.3 ± 0.8 [73.5, 79.1]"), code("a/b.json")) == (
        "efficientnet_lite0", "76.3 ± 0.8 [73.5, 79.1]", "`a/b.json`",
    )  # fmt: skip
