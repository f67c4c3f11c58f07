"""The commands in shell text, with the values of variables, loops and functions; nothing is executed.

Variables without a known value, such as `$1`, stay in the words as they are written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

_QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*\""""
_SUBSTITUTION = r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_PART = "|".join(
    (
        _QUOTED,
        _SUBSTITUTION,
        r"\$\{[^}]*\}|\$(?:\d|\w+|[@*\#?!$-])?",  # a variable
        r"`[^`]*`",
        r"\\.",
        r"(?<=\w)\|(?=\w)",  # in a usage line, `a|b` offers a choice
        r"""[^\s;&|()<>'"`\\$]""",
    )
)
_TOKEN = re.compile(
    rf"""(?P<space>[ \t]+|\\\n|\|(?=[ ]+\[?--))            # as in `[--a X | --b Y]`
    |(?P<comment>(?<![^\s;&|()])\#[^\n]*)
    |(?P<heredoc><<-?[ ]*['"]?(?P<mark>\w+)['"]?[^\n]*\n.*?\n\s*(?P=mark)(?=\n|$))
    |(?P<redirection>(?!<[a-z][\w.-]*>)(?:&>>?|\d?(?:>>|<<<|[<>]&?)))
    |(?P<function>(?:function\s+)?[\w-]+\s*\(\)\s*\{{)
    |(?P<word>\w+\+?=\((?:[^()'"]|{_QUOTED}|\([^()]*\))*\)|<[a-z][\w.-]*>|(?:{_PART})+)
    |(?P<end>[\n;&|()]+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PARTS = re.compile(_PART, re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\d|\w+|[@*])(\[[@*]\])?([^}]*)\}|(\d|[A-Za-z_]\w*|[@*]))")
_INNER = re.compile(_SUBSTITUTION, re.DOTALL)
_FOUND_ON_PATH = re.compile(r"\$\((?:which|command -v) \"?([^\s()\"]+)\"?\)")
_ASSIGNMENT = re.compile(r"(\w+)(\+?)=(.*)", re.DOTALL)
_BEFORE_A_COMMAND = {"do", "then", "else", "if", "elif", "while", "until", "!", "time", "{", "}", "exec"}
_DECLARATIONS = {"export", "local", "readonly", "declare"}

Value = tuple[str, ...]
"""The words of a variable: one for a text, any number for an array."""


@dataclass(frozen=True)
class Command:
    """A simple command: the number of its first line, and its words without quotes and redirections."""

    line: int
    words: Value


@dataclass
class Shell:
    """The state of a shell between two statements of a script.

    Attributes:
        values: The possible values of each variable; the variable of a loop has several. `@` holds the arguments.
        functions: The statements of each function.
        lines: Numbers of the first lines of all statements so far.
    """

    values: dict[str, list[Value]] = field(default_factory=lambda: {"S4": [("s4",)]})
    functions: dict[str, list[tuple[int, list[str]]]] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)

    def read(self, text: str, line: int = 1) -> Iterator[Command]:
        """Yield the commands of a script, once for each value of their variables; `line` numbers the first line."""
        function: str | None = None
        for number, raw in _statements(text, line):
            self.lines.add(number)
            if raw[0].endswith("{") and "(" in raw[0]:
                function = raw[0].removeprefix("function").split("(")[0].strip()
                self.functions[function] = []
                continue
            if function and raw[0] == "}":
                function = None
                continue
            if function:
                self.functions[function].append((number, raw))
            yield from self._statement(number, raw)

    def _statement(self, line: int, raw: list[str]) -> Iterator[Command]:
        yield from self._substitutions(line, raw)
        while raw and raw[0] in _BEFORE_A_COMMAND:
            raw = raw[1:]
        if raw[:1] == ["for"] and raw[2:3] == ["in"]:
            self.values[raw[1]] = self._looped(raw[1], raw[3:])
            return
        names = raw[1:] if raw and raw[0] in _DECLARATIONS else raw
        if all(_ASSIGNMENT.match(word) for word in names):
            for word in names:
                self._assign(word)
            return
        while _ASSIGNMENT.match(raw[0]):
            raw = raw[1:]
        for known in self._combinations(raw):
            words = tuple(text for word in raw for text in _expanded(word, known))
            if words and words[0] in self.functions and "@" not in self.values:
                yield from self._call(line, words, known)
            elif words:
                yield Command(line, words)

    def _substitutions(self, line: int, raw: list[str]) -> Iterator[Command]:
        """Yield the commands in `$(...)`, except searches for a program."""
        for inner in (found[0][2:-1] for word in raw for found in _INNER.finditer(word)):
            if not inner.startswith(("which ", "command -v ")):
                yield from self.read(inner, line)

    def _call(self, line: int, words: Value, known: Mapping[str, Value]) -> Iterator[Command]:
        """Yield the commands of a function with the line of the call. Calls within the function are not followed."""
        arguments = {str(number): (text,) for number, text in enumerate(words[1:], 1)}
        chosen = {name: [value] for name, value in {**known, **arguments, "@": words[1:]}.items()}
        inside = Shell({**self.values, **chosen}, self.functions)
        for _, raw in self.functions[words[0]]:
            yield from inside._statement(line, raw)

    def _looped(self, name: str, raw: list[str]) -> list[Value]:
        """Return the values of the variable of a loop. Patterns such as `*.png` and `{1..3}` have no known value."""
        every = [text for word in raw for known in self._combinations([word]) for text in _expanded(word, known)]
        return [(f"${name}" if re.search(r"[$*{]", text) else text,) for text in dict.fromkeys(every or ["*"])]

    def _assign(self, word: str) -> None:
        name, adds, raw = _ASSIGNMENT.fullmatch(word).groups()  # type: ignore[union-attr]
        is_array = raw.startswith("(")
        parts = [part for _, statement in _statements(raw[1:-1], 1) for part in statement] if is_array else [raw]
        new = list[Value]()
        for known in self._combinations(parts):
            words = [text for part in parts for text in _expanded(part, known)]
            new.append(tuple(words) if is_array else (" ".join(words),))
        old = self.values.get(name, [()]) if adds else [()]
        joined = [(*a, *b) if is_array else ("".join([*a, *b]),) for a in old for b in new]
        self.values[name] = list(dict.fromkeys(joined))

    def _combinations(self, raw: Sequence[str]) -> Iterator[dict[str, Value]]:
        """Yield every combination of values of the variables in the words."""
        used = {found[1] or found[4] for word in raw for found in _VARIABLE.finditer(word)}
        names = [name for name in self.values if name in used or (name == "@" and "*" in used)]
        for choice in product(*(self.values[name] for name in names)):
            yield dict(zip(names, choice, strict=True))


def _statements(text: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield first line and words of every statement, the words as they are written."""
    words, start, skip = list[str](), line, False
    for token in _TOKEN.finditer(text):
        kind, value = token.lastgroup, token[0]
        if kind == "function":
            yield line, [value]
        elif kind == "redirection":
            skip = True
        elif kind == "word":
            if not skip:
                start = start if words else line
                words.append(value)
            skip = False
        elif kind == "end":
            if words:
                yield start, words
            words, skip = [], False
        line += value.count("\n")
    if words:
        yield start, words


def _expanded(word: str, known: Mapping[str, Value]) -> list[str]:
    """Expand a word: an empty variable gives no word, an array several."""
    words = [""]
    for part in (found[0] for found in _PARTS.finditer(word)):
        if part[0] == "'":
            words[-1] += part[1:-1]
        elif part[0] == "\\":
            words[-1] += part[1:].strip("\n")
        elif part[0] == '"':
            _fill(words, re.sub(r"\\(?:\n|([\"\\]))", r"\1", part[1:-1]), known, split=False)
        else:
            _fill(words, part, known, split=not part.startswith("$("))
    if words == [""] and not re.search(r"['\"]", word):
        return []
    return [_FOUND_ON_PATH.sub(r"\1", text) for text in words]


def _fill(words: list[str], text: str, known: Mapping[str, Value], split: bool) -> None:
    """Append a text with the values of its variables to the last word; further values of a list become new words."""
    end = 0
    for found in _VARIABLE.finditer(text):
        words[-1] += text[end : found.start()]
        end = found.end()
        value = _value(found, known)
        is_list = (found[1] or found[4]) in ("@", "*") or found[2]
        more = list(value) if is_list else "".join(value[:1]).split() if split else list(value[:1])
        words[-1] += more[0] if more else ""
        words += more[1:]
    words[-1] += text[end:]


def _value(found: re.Match[str], known: Mapping[str, Value]) -> Value:
    """Return the value of a variable, or the variable as it is written where no value is known."""
    name, change = found[1] or found[4], found[3] or ""
    value = known.get("@" if name == "*" else name)
    if value is not None and name in ("@", "*") and re.fullmatch(r":\d+", change):
        return value[int(change[1:]) - 1 :]
    default = re.match(r":?[-=](.*)", change, re.DOTALL)
    if default and value is None:
        words = [""]
        _fill(words, default[1].strip("\"'"), known, split=False)
        return (words[0],)
    unchanged = not change or default or change.lstrip(":").startswith("?")
    return value if value is not None and unchanged else (found[0],)
