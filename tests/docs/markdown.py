"""The code, headings and links of a Markdown document."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_FENCE = re.compile(r"\s*(?:>\s*)*(`{3,}(?=[^`]*$)|~{3,})\s*([\w+-]*)")
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d+[.)])\s")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:[^\n]|\n(?!\s*\n))+?)(?<!`)\1(?!`)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_INLINE_LINK = re.compile(
    r"""\]\(\s*(?:<([^>\n]*)>|((?:[^\s()]|\([^\s()]*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)"""  # text](target "title")
)
_DEFINITION = re.compile(r"^ {0,3}\[(?!\^)([^\]\n]+)\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE)
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[([^\[\]\n]*)\]")
_HTML_LINK = re.compile(r"""<[^<>]*\b(?:href|src)=["']([^"']*)["']""")
_HTML_ANCHOR = re.compile(r"""<[^<>]*\b(?:id|name)=["']([^"']+)["']""")


@dataclass(frozen=True)
class Code:
    """A block of code, or a span of code within a sentence.

    Attributes:
        text: Without fences and backticks.
        line: Number of the first line of the text in the document, from 1.
        language: Word behind the fence, "" without one; None for a span.
    """

    text: str
    line: int
    language: str | None


@dataclass(frozen=True)
class Heading:
    """A heading; the number of `#` is the level."""

    text: str
    line: int
    level: int


class Markdown:
    """A document in parts.

    Attributes:
        lines: The lines as written.
        blocks: Fenced blocks, and indented blocks as blocks without language.
        prose: The text with an empty line for each line of a fenced block.
    """

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.blocks: list[Code] = []
        prose, fence, start, body = [], "", 0, list[str]()
        for number, line in enumerate(self.lines, 1):
            opening = _FENCE.match(line)
            if fence:
                # A fence is closed by one of the same kind that is at least as long and has no language.
                if opening and opening[1].startswith(fence) and not opening[2]:
                    self.blocks[-1] = Code("\n".join(body), start, self.blocks[-1].language)
                    fence = ""
                else:
                    body.append(line)
            elif opening:
                fence, start, body = opening[1], number + 1, []
                self.blocks.append(Code("", start, opening[2].lower()))
            prose.append("" if fence or opening else line)
        if fence:  # never closed: GitHub closes it at the end
            self.blocks[-1] = Code("\n".join(body), start, self.blocks[-1].language)
        self.prose = "\n".join(prose)
        self.blocks += _indented(prose)

    @cached_property
    def spans(self) -> list[Code]:
        """Code within sentences; a space joins the lines of a broken span."""
        return [
            Code(" ".join(found[2].replace("\\|", "|").split()), self._line(found.start()), None)
            for found in _SPAN.finditer(self.prose)
        ]

    @cached_property
    def headings(self) -> list[Heading]:
        """All headings, in order."""
        return [Heading(found[2], self._line(found.start()), len(found[1])) for found in _HEADING.finditer(self.prose)]

    def headings_above(self, line: int) -> list[str]:
        """Return the headings of the section with this line, and of the sections around it."""
        above: list[Heading] = []
        for heading in self.headings:
            if heading.line > line:
                break
            above = [*(outer for outer in above if outer.level < heading.level), heading]
        return [heading.text for heading in above]

    @cached_property
    def anchors(self) -> set[str]:
        """The anchors that GitHub gives to the headings, and the anchors in HTML."""
        counts: dict[str, int] = {}
        for heading in self.headings:
            name = anchor = _anchor(heading.text)
            while anchor in counts:  # the rule of github-slugger: name, name-1, name-2, ...
                counts[name] += 1
                anchor = f"{name}-{counts[name]}"
            counts[anchor] = 0
        return set(counts) | set(_HTML_ANCHOR.findall(self._without_code))

    def links(self) -> Iterator[tuple[int, str]]:
        """Yield line and target of every link and picture. The target of an undefined `[text][name]` is `[name]`."""
        text = self._without_code
        for pattern, group in ((_HTML_LINK, 1), (_DEFINITION, 2)):
            yield from ((self._line(found.start()), found[group]) for found in pattern.finditer(text))
        yield from ((self._line(found.start()), found[1] or found[2] or "") for found in _INLINE_LINK.finditer(text))
        defined = {found[1].lower() for found in _DEFINITION.finditer(text)}
        for found in _REFERENCE.finditer(text):
            name = found[2] or found[1]
            if name.lower() not in defined:
                yield self._line(found.start()), f"[{name}]"

    @cached_property
    def _without_code(self) -> str:
        return _SPAN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.prose)

    def _line(self, offset: int) -> int:
        return self.prose.count("\n", 0, offset) + 1


def _indented(prose: list[str]) -> Iterator[Code]:
    """Yield the blocks that four spaces indent behind an empty line, except paragraphs of a list."""
    start, body, in_list, after_empty = 0, list[str](), False, True
    for number, line in enumerate([*prose, "end"], 1):
        if line.startswith("    ") and line.strip() and not in_list and (body or after_empty):
            start = start or number
            body.append(line)
        elif body:
            yield Code("\n".join(body), start, "")
            start, body = 0, []
        if line[:1].strip() or _LIST_ITEM.match(line):
            in_list = bool(_LIST_ITEM.match(line))
        after_empty = not line.strip()


def _anchor(heading: str) -> str:
    """Return GitHub's anchor of a heading: its visible text in lower case, without punctuation, with `-` for spaces."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]*>", r"\1", heading)
    pieces = text.split("`")  # every second piece is code, whose underscores are no emphasis
    pieces[::2] = [re.sub(r"(?<!\w)_+(?=\w)|(?<=[^\W_])_+(?!\w)", "", piece) for piece in pieces[::2]]
    return re.sub(r"[^\w\- ]", "", "".join(pieces).strip().lower()).replace(" ", "-")
