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
COMMANDS = {
    "train", "pseudo_label", "deeplab_train", "evaluate", "run", "predict", "convert", "demo", "ablate", "explain",
    "bench", "init", "report_command", "check", "doctor", "review", "export",
}  # fmt: skip
COMPOSED = {"run", "demo", "ablate", "bench", "check"}  # commands that are made of others
FILES = {"files", "journal", "regular_files", "file_errors", "errors", "stores"}
GROUND = {*FILES, "folder_lock", "events"}
# What each part of `pipelines` may import of the others. Read from top to bottom it is the map of CONTRIBUTING.md.
PARTS = {
    "labels": {"networks", "engine", "data", "config", *GROUND},
    "scoring": {"networks", "metrics", "data", "config", *GROUND},
    "chain": {"labels", "networks", "engine", "data", "report", "pages", "config", *GROUND},
    "studies": {"networks", "engine", "data", "metrics", "report", "config", *GROUND},
    "pages": {"data", "report", "config", *GROUND},
    "training": {"networks", "engine", "data", "config", *GROUND},
    "networks": {"report", "engine", "data", "config", *GROUND},
    "formats": {"data", "config", *GROUND},
    "audit": {"survey", "networks", "engine", "data", "metrics", "rules", "config", *GROUND},
    "web": {"data", "config", *GROUND},
    "survey": {"data", "config", *GROUND},
    "machine": {"networks", "engine", "config", *GROUND},
    "report": {"data", *FILES},
    "metrics": {"data", *FILES},
    "engine": {"config", *GROUND},
    "data": {"config", *GROUND},
    "config": GROUND,
    "folder_lock": FILES,
    "events": FILES,
    "journal": {"files", "regular_files", "file_errors", "stores", "errors"},
    "files": {"regular_files", "file_errors", "stores", "errors"},
    "regular_files": {"stores", "errors"},
    "file_errors": {"stores", "errors"},
    "stores": {"errors"},
    "errors": set(),
    "rules": set(),
}
FACE = "__init__"  # `pipelines/__init__.py` hands on the loaders and the version
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
    """`pipelines.data.voc` -> `data`; the package itself is its face."""
    return module.split(".")[1] if "." in module else FACE


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


def pipelines_of(path: Path) -> set[str]:
    """The other parts of `pipelines` that a file imports; its own package module comes with any import and is none."""
    found = {part(name) for name in imports(path) if name.split(".")[0] == "pipelines"}
    return found - {part(module_name(path)), FACE}


def test_pipelines_holds_commands_parts_and_nothing_else() -> None:
    files = {path.stem for path in (ROOT / "pipelines").glob("*.py")}
    folders = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert files == COMMANDS | GROUND - {"stores"} | {FACE}
    assert folders | GROUND == set(PARTS)


@pytest.mark.parametrize("path", [p for p in PRODUCT if module_name(p).startswith("pipelines.")], ids=module_name)
def test_parts_of_pipelines_import_what_lies_below_them(path: Path) -> None:
    own = part(module_name(path))
    if own in COMMANDS:
        assert own in COMPOSED or not pipelines_of(path) & COMMANDS
    else:
        assert pipelines_of(path) <= PARTS[own], f"{own} -> {pipelines_of(path) - PARTS[own]}"


@pytest.mark.parametrize("path", [p for p in PRODUCT if part(module_name(p)) == "config"], ids=module_name)
def test_settings_import_the_standard_library_alone(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] in {*sys.stdlib_module_names, "pipelines"}, name


def test_no_module_of_the_package_takes_anything_from_its_face() -> None:
    for path in (p for p in PRODUCT if module_name(p).startswith("pipelines.")):
        for node in nodes(path):
            taken = isinstance(node, ast.ImportFrom) and node.module == "pipelines"
            assert not taken or all(is_module(f"pipelines.{alias.name}") for alias in node.names), path


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
    if module_name(path) in {"pipelines.data.images", "pipelines.data.label_maps"}:
        return
    for name, _ in calls(path):
        assert not name.endswith("Image.open"), "pictures go through open_image, label maps through read_palette_map"
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
