"""One HTML page that contains all it shows, to open from disk or to send."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

from pipelines.errors import InputError, printable
from pipelines.files import plain, read_text, write_text

_FACTS = "s4-facts"  # id of the element that holds the facts
_PLACE = "<!-- links -->"  # where `add_link` adds a link
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        data: A PNG or JPEG file.
        caption: Text below.
        alt: Alternative text for those who do not see the picture; empty for the caption.
    """

    data: bytes
    caption: str = ""
    alt: str = ""

    @classmethod
    def from_array(cls, pixels: NDArray[np.uint8], caption: str = "", alt: str = "") -> "Picture":
        """Make a picture of uint8 [H, W, 3] RGB, stored as JPEG, which has a tenth of the size of PNG."""
        buffer = io.BytesIO()
        # Full colour resolution: thin outlines in pure colours would smear without it.
        Image.fromarray(pixels).save(buffer, format="JPEG", quality=88, subsampling=0)
        return cls(buffer.getvalue(), caption, alt)

    @property
    def is_chart(self) -> bool:
        """Whether the picture is a chart, whose white ground the page inverts in the dark: charts are PNG files."""
        return self.data.startswith(b"\x89PNG")

    @property
    def source(self) -> Markup:
        """The address of the picture: a `data:` URL that contains it."""
        kind = next((media for start, media in _MEDIA_TYPES.items() if self.data.startswith(start)), None)
        if kind is None:
            raise ValueError(f"picture {self.caption!r} starts with {self.data[:4]!r}, expected PNG or JPEG")
        # Letters of base64 and a media type of `_MEDIA_TYPES`: nothing that a page could take for a tag.
        return Markup(f"data:{kind};base64,{base64.b64encode(self.data).decode()}")  # nosec B704


@dataclass(frozen=True)
class Table:
    """A table of the page; numbers and None should come as finished texts.

    Attributes:
        columns: Headings. The first column names the row and is set left, the others right.
        rows: Rows with one text for each column.
        caption: Text above.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse a row with more or fewer cells than there are columns."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {list(row)} has {len(row)} cells, expected {len(self.columns)}")


@dataclass(frozen=True)
class Link:
    """A link to another page, such as that of the stage before.

    Attributes:
        words: What the reader clicks on.
        target: Where the link leads, relative to the page.
        kind: `before`, `after` or `part`.
    """

    words: str
    target: str
    kind: str = "before"

    @property
    def address(self) -> str:
        """The target as an address: relative, so that a name with a colon is no scheme."""
        return "./" + quote(self.target)


@dataclass(frozen=True)
class Row:
    """Pictures of the same thing beside each other.

    Attributes:
        heading: What they show.
        pictures: The pictures.
    """

    heading: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Section:
    """A part of the page: heading, text, tables, legend, pictures, rows, in this order.

    Attributes:
        heading: Heading of the part, and its entry in the contents.
        text: Plain text; an empty line starts a paragraph.
        tables: Tables, shown one below the other.
        pictures: Pictures, shown in rows as wide as the window allows.
        legend: (name, colour as `#rrggbb`) of each colour of the pictures.
        rows: Pictures to compare, a row for each thing.
    """

    heading: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    legend: Sequence[tuple[str, str]] = ()
    rows: Sequence[Row] = ()


def render_report(
    path: Path,
    title: str,
    sections: Sequence[Section],
    summary: str = "",
    headline: Mapping[str, str] | None = None,
    links: Sequence[Link] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the page atomically.

    Args:
        path: The HTML file.
        title: Heading of the page.
        sections: Parts of the page.
        summary: A sentence or two below the title.
        headline: The few figures that matter most, finished texts by their names.
        links: Pages of the stages before and after.
        facts: What `read_facts` gives back to those who read the page again; no reader sees it.

    Raises:
        MachineError: The file cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=title,
        sections=sections,
        summary=summary,
        headline=headline or {},
        links=links,
        facts=json.dumps(plain(facts)) if facts else "",
    )
    write_text(path, page)


class _Reader(HTMLParser):
    """Collects the facts and the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.facts = ""
        self.links: list[tuple[str, str]] = []
        self._words: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id") == _FACTS:
            self.facts = given.get("data-facts") or ""
        if tag == "a" and given.get("class") == "after":
            self._words = []
            self.links.append((given.get("href") or "", ""))

    def handle_data(self, data: str) -> None:
        if self._words is not None:
            self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._words is not None:
            self.links[-1] = (self.links[-1][0], "".join(self._words).strip())
            self._words = None


def read_facts(path: Path) -> tuple[dict[str, Any], list[Link]]:
    """Read the facts of a page, and its links to the stages after it.

    Raises:
        InputError: The page cannot be read, or is none of `render_report` with facts [report-page].
    """
    reader = _Reader()
    reader.feed(read_text(path))
    try:
        facts = json.loads(reader.facts)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        message = f"{path}: no report of s4 with its figures, expected one; name the result that it was made of"
        raise InputError(message, "report-page")
    links = [
        Link(words, unquote(target.removeprefix("./")), "after")
        for target, words in reader.links
        if target.startswith("./")
    ]
    return facts, links


def add_link(page: Path, link: Link) -> None:
    """Add a link to a page that `render_report` wrote; nothing happens where the page has the link, or no place for it.

    Raises:
        S4Error: The page cannot be read or written.
    """
    text = read_text(page)
    if f'href="{escape(link.address)}"' in text or _PLACE not in text:
        return
    item = f'<a class="{escape(link.kind)}" href="{escape(link.address)}">{escape(printable(link.words))}</a>'
    write_text(page, text.replace(_PLACE, f"{item}\n    {_PLACE}", 1))


def _shown(value: object) -> object:
    """Return a value as the page shows it; markup of our own stays as it is."""
    return printable(value, "\n") if isinstance(value, str) and not isinstance(value, Markup) else value
