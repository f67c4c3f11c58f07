"""One HTML page that contains all it shows, to open from disk or to send."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipelines.errors import printable
from pipelines.files import write_text

_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        data: A PNG or JPEG file.
        caption: Text below; also the alternative text.
    """

    data: bytes
    caption: str = ""

    @classmethod
    def from_array(cls, pixels: NDArray[np.uint8], caption: str = "") -> "Picture":
        """Make a picture of uint8 [H, W, 3] RGB, stored as JPEG, which has a tenth of the size of PNG."""
        buffer = io.BytesIO()
        # Full colour resolution: thin outlines in pure colours would smear without it.
        Image.fromarray(pixels).save(buffer, format="JPEG", quality=88, subsampling=0)
        return cls(buffer.getvalue(), caption)

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
class Section:
    """A part of the page: heading, text, tables, pictures, in this order.

    Attributes:
        heading: Heading of the part, and its entry in the contents.
        text: Plain text; an empty line starts a paragraph.
        tables: Tables, shown one below the other.
        pictures: Pictures, shown in rows as wide as the window allows.
    """

    heading: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


def render_report(
    path: Path,
    title: str,
    sections: Sequence[Section],
    summary: str = "",
    headline: Mapping[str, str] | None = None,
) -> None:
    """Write the page atomically.

    Args:
        path: The HTML file.
        title: Heading of the page.
        sections: Parts of the page.
        summary: A sentence or two below the title.
        headline: The few figures that matter most, finished texts by their names.

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
        title=title, sections=sections, summary=summary, headline=headline or {}
    )
    write_text(path, page)


def _shown(value: object) -> object:
    """Return a value as the page shows it; markup of our own stays as it is."""
    return printable(value, "\n") if isinstance(value, str) and not isinstance(value, Markup) else value
