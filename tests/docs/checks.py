"""What can go out of date in the documents: command lines, settings, flags, links, names and paths.

A check takes the name and the text of a document, and returns its faults. A fault has two lines: the first holds the
document, the line number and the line, the second what is wrong.
"""

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import click

from pipelines.config import STAGES
from pipelines.config.setting import checked, settings_of
from pipelines.errors import ConfigError
from s4cli.main import s4
from tests.docs.arguments import wrong_usage
from tests.docs.markdown import Code, Markdown
from tests.docs.shell import Shell

SHELLS = {"", "sh", "bash", "shell", "console"}
"""Languages of the blocks that hold commands; blocks without a language do too."""
PACKAGES = ("s4cli", "s4net", "deeplab", "pipelines")
FOLDERS = (*PACKAGES, "benchmarks", "docs", "examples", "experiments", "tests")

_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_NAMED = re.compile(r"(?<![\w./-])s4((?: [a-z][a-z-]*)*)")
_BEGINS = re.compile(r"""\s*(?:\$ )?(?:s4|"?\$\{?S4\}?"?) [a-z]""")
_EVERY = re.compile(r"\b(?:every command|each command|each takes)\b", re.IGNORECASE)
_NOTE = re.compile(r"\s*#?\s{2,}((?:\w+=\S+ )*s4 [a-z].*?)(?:\s{2,}.*)?")
_MARKED_OUT = re.compile(r"#\s?(\[[\w-]+\]|[a-z]\w* = .*)")
_PATH = re.compile(rf"(?<![\w./${{}}\"<>-])(?:{'|'.join(FOLDERS)})/[\w./-]*\.(?:py|md|sh|toml|png|jpg)\b")
_FOLDER = re.compile(rf"(?:{'|'.join(FOLDERS)})/(?:[\w-]+/)*")
_DOTTED = re.compile(rf"({'|'.join(PACKAGES)})((?:\.(?!(?:md|py|sh|toml)\b)\w+)+)(?:\(.*\))?")


@dataclass(frozen=True)
class Line:
    """A command line of `s4` in a document.

    Attributes:
        line: Number of its first line in the document.
        arguments: The words behind `s4`.
        complete: True for a line to be run, which needs every required flag; False for a mention in a sentence.
    """

    line: int
    arguments: tuple[str, ...]
    complete: bool


def fault(place: str, line: int, text: str, problem: str) -> str:
    """Return a fault in the form that all checks share."""
    return f"{place}:{line}: {text.strip()}\n    {problem}"


def command_lines(name: str, text: str) -> list[Line]:
    """Find the command lines of `s4` in a Markdown document, a shell script, or the comments of another file."""
    if name.endswith(".md"):
        found = _lines_of_markdown(Markdown(text))
    elif name.endswith(".sh"):
        found = _lines_of_code(Code(text, 1, "sh"), Shell())
    else:
        found = _lines_of_notes(text)
    return list(dict.fromkeys(found))


def _lines_of_markdown(document: Markdown) -> Iterator[Line]:
    shell = Shell()  # what one block sets, a later one uses
    for block in document.blocks:
        if block.language in SHELLS:
            yield from _lines_of_code(block, shell)
    for span in document.spans:
        first, *others = span.text.split(" ")
        is_bare = first in s4.commands and others and others[0].startswith("-")
        yield from _lines_of_code(Code(f"s4 {span.text}", span.line, None) if is_bare else span, Shell())


def _lines_of_code(code: Code, shell: Shell) -> Iterator[Line]:
    text = re.sub(r"^(\s*)\$ ", r"\1", code.text, flags=re.MULTILINE)  # the prompt
    for command in shell.read(text, code.line):
        place = next((i for i, word in enumerate(command.words) if word == "s4" or word.endswith("/bin/s4")), None)
        if place is not None:
            yield Line(command.line, command.words[place + 1 :], code.language is not None)


def _lines_of_notes(text: str) -> Iterator[Line]:
    """Read the indented command lines and the spans of code. Two spaces end an indented command line."""
    for number, line in enumerate(text.split("\n"), 1):
        note = _NOTE.fullmatch(line)
        spans = [Code(span, number, None) for span in re.findall("`([^`]+)`", line)]
        for code in [Code(note[1], number, "sh")] if note else spans:
            yield from _lines_of_code(code, Shell())


def wrong_commands(name: str, text: str) -> list[str]:
    """Find command lines that `s4` refuses: unknown commands and flags, wrong values, missing required flags.

    A flag alone in a sentence, `--flag` or `--flag value`, must suit at least one command.
    """
    told: dict[tuple[int, str], str] = {}  # once for all values of a loop
    for line in command_lines(name, text):
        problem = wrong_usage(line.arguments, line.complete)
        if problem:
            told.setdefault((line.line, problem), fault(name, line.line, " ".join(("s4", *line.arguments)), problem))
    faults = list(told.values())
    for span in Markdown(text).spans if name.endswith(".md") else ():
        words = span.text.split(" ")
        commands = [[], *([command] for command in s4.commands)]
        if words[0].startswith("--") and all(wrong_usage([*command, *words], False) for command in commands):
            faults.append(fault(name, span.line, span.text, "no command takes this"))
    return faults


def overlooked(name: str, text: str) -> list[str]:
    """Find lines of code that begin with `s4` and that no other check sees, for example behind an open quote."""
    is_markdown = name.endswith(".md")
    blocks = Markdown(text).blocks if is_markdown else [Code(text, 1, "sh")] if name.endswith(".sh") else []
    shell, faults = Shell(), []
    for block in blocks:
        if block.language in SHELLS:
            list(_lines_of_code(block, shell))
        for number, line in enumerate(block.text.split("\n"), block.line):
            if _BEGINS.match(line) and number not in shell.lines:
                problem = "no check reads this: close the quote above, or mark the block as sh"
                faults.append(fault(name, number, line, problem))
    return faults


def wrong_settings(name: str, text: str) -> list[str]:
    """Find wrong tables, keys and values in a TOML file, or in the `toml` blocks of a Markdown document.

    The check includes settings that are comments, such as `# seed = 1`.
    """
    if name.endswith(".md"):
        blocks = [block for block in Markdown(text).blocks if block.language == "toml"]
    else:
        blocks = [Code(text, 1, "toml")]
    return [problem for block in blocks for problem in _wrong_settings(name, block)]


def _wrong_settings(name: str, block: Code) -> Iterator[str]:
    try:
        tomllib.loads(block.text)
    except tomllib.TOMLDecodeError as error:
        yield fault(name, block.line, block.text.split("\n")[0], str(error))
        return
    table: str | None = None
    for number, line, values in _settings(block):
        for key, value in values.items():
            if isinstance(value, dict):
                table = key.replace("_", "-")
                problem = None if table in STAGES else f"no command has a table [{key}]"
            else:
                problem = _wrong_setting(table, key, value)
            if problem:
                yield fault(name, number, line, problem)


def _settings(block: Code) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield line number, line and content of every table head and every setting, comments included."""
    start, pending = block.line, ""
    for number, line in enumerate(block.text.split("\n"), block.line):
        marked_out = _MARKED_OUT.fullmatch(line.strip())
        start = start if pending else number
        try:
            values = tomllib.loads(marked_out[1] if marked_out else pending + line)
        except tomllib.TOMLDecodeError:
            # The value goes on in the next line, or the comment is a sentence.
            pending += "" if marked_out else f"{line}\n"
        else:
            pending = pending if marked_out else ""
            yield start, line, values


def _wrong_setting(table: str | None, key: str, value: object) -> str | None:
    """Say what is wrong with a setting. A setting outside tables must suit at least one command."""
    problem = f"no command has a setting {key}" if table is None else f"[{table}] has no setting {key}"
    if table is not None and table not in STAGES:
        return None  # a fault of the table head
    for stage in STAGES.values() if table is None else [STAGES[table]]:
        setting = settings_of(stage).get(key.replace("-", "_"))
        if setting is not None:
            try:
                checked(setting, value, key)
                return None
            except ConfigError as error:
                problem = error.message
    return problem


def undocumented(documents: dict[str, str], root: click.Group = s4) -> list[str]:
    """Find commands that no document names, and flags that no document has near the name of their command.

    A flag counts as documented where it is code, and where `s4 COMMAND` stands in the heading of the section, in the
    same line, or in the same command line. For a flag of all commands, the words "every command", "each command" or
    "each takes" count as the name.

    Args:
        documents: Text of each Markdown document by its name.
        root: The command line.
    """
    commands = dict(_commands(root, "s4"))
    documented: dict[str, set[str]] = {name: set() for name in [*commands, "every command"]}
    named: set[str] = set()
    for document in map(Markdown, documents.values()):
        for code in [*document.spans, *document.blocks]:
            line = document.lines[code.line - 1] if code.language is None else ""
            near = _named("\n".join([*document.headings_above(code.line), line]), commands)
            named |= near | _named(code.text, commands)
            for name in near:
                documented[name] |= set(_FLAG.findall(code.text))
        for command_line in _lines_of_markdown(document):
            for name in _named(" ".join(("s4", *command_line.arguments)), commands):
                documented[name] |= {word.partition("=")[0] for word in command_line.arguments}
    faults = []
    for name, command in commands.items():
        if name not in named and not isinstance(command, click.Group):
            faults.append(f"{name}: no document names this command")
        for option in (param for param in command.params if isinstance(param, click.Option) and not param.hidden):
            flag = max(option.opts, key=len)
            if flag not in documented[name] | documented["every command"]:
                faults.append(f"{name} {flag}: no document has this flag as code near `{name}`")
    return faults


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command and every group of commands with its full name."""
    yield name, command
    for key, child in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _commands(child, f"{name} {key}")


def _named(text: str, commands: dict[str, click.Command]) -> set[str]:
    """Return the full names of the commands in a text. `s4` alone is the name of the group of all commands."""
    names = {"every command"} if _EVERY.search(text) else set()
    for found in _NAMED.finditer(text):
        words = ["s4", *found[1].split()]
        names.add(next(name for n in range(len(words), 0, -1) if (name := " ".join(words[:n])) in commands))
    return names


def dead_links(name: str, text: str, root: Path) -> list[str]:
    """Find links and pictures of a Markdown document whose file or heading does not exist in the project."""
    document = Markdown(text)
    faults = []
    for line, target in document.links():
        if not re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
            problem = _dead_link(root, root / name, document, unquote(target))
            if problem:
                faults.append(fault(name, line, document.lines[line - 1], f"{problem}: {target}"))
    return faults


def _dead_link(root: Path, source: Path, document: Markdown, target: str) -> str | None:
    if target.startswith("["):
        return "no such name is defined in the document"
    path, _, anchor = re.sub(r"\?[^#]*", "", target).partition("#")  # `?raw=true` is for the server
    file = Path(root, path.lstrip("/")) if path.startswith("/") else source.parent / path
    if not target or not file.exists():
        return "no such file"
    if not file.resolve().is_relative_to(root.resolve()):
        return "leads out of the project"
    if not anchor or (path and file.suffix != ".md"):
        return None
    there = Markdown(file.read_text()) if path else document
    return None if anchor in there.anchors else f"no heading has the anchor #{anchor}"


def dead_names(name: str, text: str, root: Path) -> list[str]:
    """Find names of files, folders, modules and functions of the project that do not exist.

    A file may be named from the root or from the folder of the document.
    """
    lines = text.split("\n")
    near = (root, (root / name).parent)
    faults = [
        fault(name, number, line, f"no such file: {path}")
        for number, line in enumerate(lines, 1)
        for path in dict.fromkeys(_PATH.findall(line))
        if not any((folder / path).exists() for folder in near)
    ]
    for span in Markdown(text).spans if name.endswith(".md") else ():
        dotted = _DOTTED.fullmatch(span.text)
        if _FOLDER.fullmatch(span.text) and not any((folder / span.text).exists() for folder in near):
            faults.append(fault(name, span.line, lines[span.line - 1], f"no such folder: {span.text}"))
        elif dotted and not has_name(root, dotted[1], dotted[2].split(".")[1:]):
            faults.append(fault(name, span.line, lines[span.line - 1], f"no such name: {span.text}"))
    return faults


def has_name(root: Path, module: str, names: list[str]) -> bool:
    """Tell from the source alone whether a module has a name; only the first name within a module is looked up.

    A module offers its sub-modules and the names in `__all__`. Without `__all__`, it offers what it defines or imports.
    """
    if not names:
        return True
    place = root.joinpath(*module.split("."))
    if (place / names[0]).is_dir() or (place / f"{names[0]}.py").exists():
        return has_name(root, f"{module}.{names[0]}", names[1:])
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return file.exists() and names[0] in _names_in(ast.parse(file.read_text()))


def _names_in(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = {
                ast.unparse(target) for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            }
            if "__all__" in targets and node.value:
                return set(ast.literal_eval(node.value))
            names |= targets
    return names


def wrong_python(name: str, text: str, root: Path) -> list[str]:
    """Find blocks of Python that do not compile, or that import unknown names from the packages of the project."""
    faults = []
    for block in Markdown(text).blocks:
        if block.language not in ("python", "py"):
            continue
        source = textwrap.dedent(block.text)
        lines = source.split("\n")
        try:
            tree = ast.parse(source)
            compile(tree, name, "exec")
        except SyntaxError as error:
            number = error.lineno or 1
            faults.append(fault(name, block.line + number - 1, lines[number - 1], error.msg))
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                number = block.line + node.lineno - 1
                missing = ", ".join(_missing(node, root))
                faults += [fault(name, number, lines[node.lineno - 1], f"no such name: {missing}")] if missing else []
    return faults


def _missing(node: ast.Import | ast.ImportFrom, root: Path) -> Iterator[str]:
    """Yield the names that an import expects of the project and that do not exist."""
    base = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        package, *names = f"{base}{alias.name}".split(".")
        if package in PACKAGES and not has_name(root, package, names):
            yield f"{base}{alias.name}"
