"""The documents fit the program: their command lines work, their links resolve, and they name every flag.

Each test lists all faults at once. `tests/docs/` holds the checks, and the tests of the checks.
"""

import importlib.util
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.docs.checks import (
    FOLDERS,
    command_lines,
    dead_links,
    dead_names,
    overlooked,
    undocumented,
    wrong_commands,
    wrong_python,
    wrong_settings,
)

ROOT = Path(__file__).parent.parent


def texts(*patterns: str) -> dict[str, str]:
    """Read every file that fits one of the patterns; the keys are the paths from the root."""
    paths = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


MARKDOWN = texts("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))
# The change log may name flags that are gone.
PRESENT = {name: text for name, text in MARKDOWN.items() if name != "CHANGELOG.md"}
FILES = PRESENT | texts("examples/**/*.toml", "examples/**/*.py", "examples/**/*.sh", "experiments/**/*.sh")


def none(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.fixture
def every_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every extra look as if it were installed: the documents have lines that need one."""
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return real(name, package) or ModuleSpec(name, None, origin=f"{name}.py")

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.usefixtures("every_extra")
def test_the_command_line_takes_every_line_of_the_documents() -> None:
    none(problem for name, text in FILES.items() for problem in wrong_commands(name, text))


def test_no_line_of_a_document_is_overlooked() -> None:
    none(problem for name, text in FILES.items() for problem in overlooked(name, text))


def test_the_four_lines_of_the_chain_are_among_those_that_are_checked() -> None:
    commands = [line.arguments[0] for line in command_lines("README.md", MARKDOWN["README.md"]) if line.complete]
    assert {"train", "pseudo-label", "deeplab-train", "evaluate"} <= set(commands)


def test_every_setting_in_examples_and_documents_is_one_of_its_command() -> None:
    files = PRESENT | texts("examples/**/*.toml")
    none(problem for name, text in files.items() for problem in wrong_settings(name, text))


def test_every_command_and_every_flag_is_documented() -> None:
    none(
        undocumented({name: text for name, text in PRESENT.items() if name == "README.md" or name.startswith("docs/")})
    )


def test_every_link_and_picture_leads_somewhere() -> None:
    none(problem for name, text in MARKDOWN.items() for problem in dead_links(name, text, ROOT))


def test_every_file_and_name_of_the_project_that_a_document_names_exists() -> None:
    none(problem for name, text in FILES.items() for problem in dead_names(name, text, ROOT))


def test_python_in_the_documents_compiles_and_imports_what_exists() -> None:
    none(problem for name, text in PRESENT.items() for problem in wrong_python(name, text, ROOT))
