"""Every rule that the program can print has an entry in `pipelines.rules`, and docs/rules.md shows all entries."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.rules.table import RULES, TOPICS

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for package in ("s4cli", "s4net", "deeplab", "pipelines")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.parent != ROOT / "pipelines" / "rules"
]
FORM = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
IN_DOCSTRING = re.compile(r"\[([a-z0-9]+(?:-[a-z0-9]+)+)\]")
# Every other text of the form of a rule. A new text of the form belongs here, or into the table of rules.
NO_RULES = {
    "deeplab-train", "pseudo-label", "config-check", "voc-server", "ground-truth", "end-to-end", "fine-tuned",
    "irn-label", "mct-seg", "v2-resnet101", "ray-data", "s4-segmentation", "scikit-image", "pillow-heif", "utf-8",
    "utf-8-sig", "utf-16", "cvat-coco", "cvat-voc", "label-studio", "yolo-seg", "s4net-pickle", "data-facts",
    "s4-facts", "latin-1", "cache-control", "no-store",
    # A row of a table.
    "attention-saliency",
    # What a format cannot express; it is counted in a result, and stands behind no message.
    "no-instance", "too-many",
    # Why a picture or an instance has no label; they stand in records, and behind no message.
    "nothing-found", "too-little-foreground", "too-much-foreground", "low-score",
}  # fmt: skip
IN_BRACKETS = re.compile(r" \[([a-z]+(?:-[a-z]+)+)\]$")
ERRORS = re.compile(r"(Error|Stopped|Failure|Faults)$")


def texts(source: str) -> set[str]:
    """Return every text in a source that has the form of a rule, and every constant rule of an error, of any form."""
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FORM.fullmatch(node.value):
            found.add(node.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(IN_BRACKETS.findall(node.value))  # of a warning
        if isinstance(node, ast.Call) and ERRORS.search(ast.unparse(node.func)) and len(node.args) == 2:
            found |= set(constants(node.args[1]))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            found |= set(IN_DOCSTRING.findall(ast.get_docstring(node) or ""))
    return found


def constants(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be: itself, or both ways of a choice."""
    if isinstance(node, ast.Constant) and re.fullmatch("[a-z0-9-]+", str(node.value)):
        yield str(node.value)
    if isinstance(node, ast.IfExp):
        yield from (*constants(node.body), *constants(node.orelse))


def used() -> dict[str, list[str]]:
    """Return every rule in the source, with the files that it is in."""
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        for rule in texts(path.read_text(encoding="utf-8")) - NO_RULES:
            found.setdefault(rule, []).append(path.relative_to(ROOT).as_posix())
    return found


def test_every_rule_in_the_source_has_an_entry() -> None:
    missing = {rule: files for rule, files in used().items() if rule not in RULES}
    assert not missing, "add an entry to pipelines/rules, and run docs/write_rules.py"


def test_every_entry_is_of_a_rule_in_the_source() -> None:
    words = {"usage", "stopped", "machine"}  # `s4cli` says these without an error class
    said = "".join((ROOT / "s4cli" / name).read_text() for name in ("crash.py", "main.py"))
    assert all(f'"{word}"' in said for word in words)
    assert set(RULES) - set(used()) - words == set()


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ('raise InputError(f"{path}: gone", "picture-gone")', "picture-gone"),
        ('raise MachineError("m", "odd" if a else "even-more")', "odd"),
        ('_KINDS = {"file": ("file", "file-gone")}', "file-gone"),
        ('events.warn(f"{path}: {told} [not-so-good]")', "not-so-good"),
        ('self.refuse(message, rule="no-such-thing")', "no-such-thing"),
        ('def f():\n    """Do.\n\n    Raises:\n        InputError: It is gone [gone-away].\n    """', "gone-away"),
    ],
)
def test_a_new_rule_is_seen_wherever_it_stands(source: str, rule: str) -> None:
    assert rule in texts(source)


def test_no_rule_is_in_two_topics_and_every_entry_says_something() -> None:
    assert sum(map(len, TOPICS.values())) == len(RULES)
    for name, rule in RULES.items():
        assert rule.meaning.endswith(".") and rule.example and rule.remedy, name
        assert len(rule.meaning.split()) <= 45, name


def test_the_page_shows_every_entry() -> None:
    written = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "write_rules.py"))["page"]() == written, "run docs/write_rules.py"
    assert all(f"\n### {name}\n" in written for name in RULES)
