"""The map of the project, checked on the source itself."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("s4cli", "s4net", "deeplab", "pipelines")
PRODUCT = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EVERYTHING = PRODUCT + sorted((ROOT / "tests").rglob("*.py"))

ALLOWED = {
    "s4cli": {"s4cli", "pipelines"},
    "pipelines": {"pipelines", "s4net", "deeplab"},
    "s4net": {"s4net"},
    "deeplab": {"deeplab"},
}
LEAVES = {"pipelines.config", "pipelines.config.setting", "pipelines.errors", "pipelines.files"}
SUPPORT = LEAVES | {"pipelines", "pipelines.events"}
PARTS = {f"pipelines.{part}" for part in ("data", "engine", "metrics", "report")}
JUNK_DRAWERS = {"utils", "util", "misc", "helpers", "helper", "common", "core", "tools", "lib", "stuff"}
PICTURE_READERS = {"imread", "read_image", "decode_image", "decode_jpeg", "decode_png"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Every node of a file's syntax tree; read once, as a dozen rules look at each."""
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere in it, in functions too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parent.parts
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            yield base
            # `from pipelines import evaluate` names a module as well as a package.
            yield from (f"{base}.{alias.name}" for alias in node.names if is_module(f"{base}.{alias.name}"))


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def part(module: str) -> str:
    """`pipelines.data.voc` -> `pipelines.data`; everything else keeps its name."""
    head = ".".join(module.split(".")[:2])
    return head if head in PARTS or head in LEAVES else module


def is_stage(module: str) -> bool:
    return module.startswith("pipelines.") and part(module) not in PARTS | SUPPORT


@cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call of a file with the dotted name of what is called."""
    return [(ast.unparse(node.func), node) for node in nodes(path) if isinstance(node, ast.Call)]


each_product_file = pytest.mark.parametrize("path", PRODUCT, ids=module_name)
each_file = pytest.mark.parametrize("path", EVERYTHING, ids=module_name)


@each_product_file
def test_imports_run_one_way(path: Path) -> None:
    own = module_name(path).split(".")[0]
    for name in imports(path):
        package = name.split(".")[0]
        assert package not in PACKAGES or package in ALLOWED[own], f"{name} is not for {own}"
        assert package != "click" or own == "s4cli", "only s4cli imports click"
        assert package != "tests"


@pytest.mark.parametrize("path", [p for p in PRODUCT if part(module_name(p)) in LEAVES], ids=module_name)
def test_leaves_import_the_standard_library_only(path: Path) -> None:
    for name in imports(path):
        # The empty package module is imported along with any of its children.
        assert name.split(".")[0] in sys.stdlib_module_names or part(name) in LEAVES | {"pipelines"}, name


@pytest.mark.parametrize("path", [p for p in PRODUCT if part(module_name(p)) in PARTS], ids=module_name)
def test_parts_never_import_a_stage(path: Path) -> None:
    own = part(module_name(path))
    for name in imports(path):
        assert not is_stage(name), f"{name} is a stage"
        if own in {"pipelines.data", "pipelines.metrics"}:
            assert part(name) not in {"pipelines.engine", "pipelines.report"}, name


@pytest.mark.parametrize("package", ["s4net", "deeplab"])
def test_networks_touch_no_file_and_no_process(package: str) -> None:
    found = {name.split(".")[0] for path in (ROOT / package).rglob("*.py") for name in imports(path)}
    assert not found & {"pathlib", "shutil", "tempfile", "subprocess", "multiprocessing", "PIL"}


@each_file
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@each_product_file
def test_functions_are_short(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


@each_file
def test_no_module_is_a_junk_drawer(path: Path) -> None:
    assert not set(module_name(path).split(".")) & JUNK_DRAWERS


@each_product_file
def test_pictures_are_opened_in_two_places_only(path: Path) -> None:
    if module_name(path) in {"pipelines.data.images", "pipelines.data.voc"}:
        return
    for name, _ in calls(path):
        assert not name.endswith("Image.open"), "pictures go through open_image, label maps through read_label_map"
        assert name.split(".")[-1] not in PICTURE_READERS, name


@each_product_file
def test_nothing_is_unpickled_without_restriction(path: Path) -> None:
    for name, call in calls(path):
        if name == "torch.load":
            safe = [k for k in call.keywords if k.arg == "weights_only" and ast.unparse(k.value) == "True"]
            assert safe, "torch.load needs weights_only=True"
        assert name not in {"pickle.load", "pickle.loads"}, name


@each_product_file
def test_product_code_prints_through_the_command_line_only(path: Path) -> None:
    assert "print" not in {name for name, _ in calls(path)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_modules_is_a_package(package: str) -> None:
    for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
        assert (folder / "__init__.py").exists(), folder
