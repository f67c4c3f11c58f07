"""The map of the project, checked on the source itself.

Each test of all files lists every breach at once, with the module that it is in.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
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
    "studies": {"labels", "scoring", "networks", "engine", "data", "metrics", "report", "config", *GROUND},
    "prediction": {"views", "networks", "engine", "data", "config", *GROUND},
    "pages": {"data", "report", "config", *GROUND},
    "training": {"networks", "engine", "data", "config", *GROUND},
    "networks": {"views", "report", "engine", "data", "config", *GROUND},
    "views": {"formats", "report", "data", "config", *GROUND},
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


def holds(rule: Callable[[Path], Iterator[str]], files: Sequence[Path]) -> None:
    """Fail with every breach of a rule in the files; a rule yields what it finds wrong in a file."""
    assert files, "a rule is held against no file at all"
    found = [f"{module_name(path)}: {fault}" for path in files for fault in rule(path)]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_every_breach_of_a_rule_is_told_with_its_module() -> None:
    breaches = {"s4cli.main": ["one", "two"], "pipelines": ["three"]}
    with pytest.raises(pytest.fail.Exception) as failure:
        holds(lambda path: iter(breaches.get(module_name(path), [])), PRODUCT)
    assert failure.value.msg == "pipelines: three\ns4cli.main: one\ns4cli.main: two"


def wrong_packages(path: Path) -> Iterator[str]:
    own = module_name(path).split(".")[0]
    for name in imports(path):
        package = name.split(".")[0]
        if package in PACKAGES and package not in ALLOWED[own]:
            yield f"{name} is not for {own}"
        if package == "click" and own != "s4cli":
            yield "only s4cli imports click"
        if package == "tests":
            yield f"{name} is for tests alone"


def test_imports_run_one_way() -> None:
    holds(wrong_packages, PRODUCT)


def pipelines_of(path: Path) -> set[str]:
    """The other parts of `pipelines` that a file imports; its own package module comes with any import and is none."""
    found = {part(name) for name in imports(path) if name.split(".")[0] == "pipelines"}
    return found - {part(module_name(path)), FACE}


def test_pipelines_holds_commands_parts_and_nothing_else() -> None:
    files = {path.stem for path in (ROOT / "pipelines").glob("*.py")}
    folders = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert files == COMMANDS | GROUND - {"stores"} | {FACE}
    assert folders | GROUND == set(PARTS)


def wrong_parts(path: Path) -> Iterator[str]:
    own, taken = part(module_name(path)), pipelines_of(path)
    if own not in COMMANDS:
        yield from (f"{own} -> {name}" for name in sorted(taken - PARTS[own]))
    elif own not in COMPOSED:
        yield from (f"the command {own} -> the command {name}" for name in sorted(taken & COMMANDS))


def test_parts_of_pipelines_import_what_lies_below_them() -> None:
    holds(wrong_parts, [path for path in PRODUCT if module_name(path).startswith("pipelines.")])


def not_of_the_standard_library(path: Path) -> Iterator[str]:
    return (name for name in imports(path) if name.split(".")[0] not in {*sys.stdlib_module_names, "pipelines"})


def test_settings_import_the_standard_library_alone() -> None:
    holds(not_of_the_standard_library, [path for path in PRODUCT if part(module_name(path)) == "config"])


def test_no_module_of_the_package_takes_anything_from_its_face() -> None:
    for path in (p for p in PRODUCT if module_name(p).startswith("pipelines.")):
        for node in nodes(path):
            taken = isinstance(node, ast.ImportFrom) and node.module == "pipelines"
            assert not taken or all(is_module(f"pipelines.{alias.name}") for alias in node.names), path


@pytest.mark.parametrize("package", ["s4net", "deeplab"])
def test_networks_touch_no_file_and_no_process(package: str) -> None:
    found = {name.split(".")[0] for path in (ROOT / package).rglob("*.py") for name in imports(path)}
    assert not found & {"pathlib", "shutil", "tempfile", "subprocess", "multiprocessing", "PIL"}


def too_many_lines(path: Path) -> Iterator[str]:
    lines = len(path.read_text().splitlines())
    if lines > 400:
        yield f"{lines} lines"


def test_modules_are_short() -> None:
    holds(too_many_lines, EVERYTHING)


def long_functions(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
            yield node.name


def test_functions_are_short() -> None:
    holds(long_functions, PRODUCT)


def junk_drawers(path: Path) -> Iterator[str]:
    return iter(set(module_name(path).split(".")) & JUNK_DRAWERS)


def test_no_module_is_a_junk_drawer() -> None:
    holds(junk_drawers, EVERYTHING)


def opened_pictures(path: Path) -> Iterator[str]:
    for name, _ in calls(path):
        if name.endswith("Image.open"):
            yield "pictures go through open_image, label maps through read_palette_map"
        if name.split(".")[-1] in PICTURE_READERS:
            yield name


def test_pictures_are_opened_in_two_places_only() -> None:
    openers = {"pipelines.data.images", "pipelines.data.label_maps"}
    holds(opened_pictures, [path for path in PRODUCT if module_name(path) not in openers])


def free_unpickling(path: Path) -> Iterator[str]:
    for name, call in calls(path):
        safe = [k for k in call.keywords if k.arg == "weights_only" and ast.unparse(k.value) == "True"]
        if name == "torch.load" and not safe:
            yield "torch.load needs weights_only=True"
        if name in {"pickle.load", "pickle.loads"}:
            yield name


def test_nothing_is_unpickled_without_restriction() -> None:
    holds(free_unpickling, PRODUCT)


def prints(path: Path) -> Iterator[str]:
    return (f"line {call.lineno}" for name, call in calls(path) if name == "print")


def test_product_code_prints_through_the_command_line_only() -> None:
    holds(prints, PRODUCT)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_modules_is_a_package(package: str) -> None:
    for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
        assert (folder / "__init__.py").exists(), folder


def of_any_name(function: ast.FunctionDef) -> str:
    """What a function does, without its docstring, with its own names replaced by numbers."""
    own = [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    own += [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    numbers = {name: f"own{number}" for number, name in enumerate(dict.fromkeys(own))}
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return re.sub(r"\w+", lambda found: numbers.get(found[0], found[0]), "\n".join(map(ast.unparse, body)))


def test_no_function_and_no_table_is_written_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in PRODUCT:
        for node in nodes(path)[0].body:  # type: ignore[attr-defined]
            # A function of one line, or a single value, may be the same by chance.
            if isinstance(node, ast.FunctionDef) and len(node.body) > 1 + bool(ast.get_docstring(node)):
                places.setdefault(of_any_name(node), []).append(f"{module_name(path)}.{node.name}")
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.Dict | ast.Set):
                places.setdefault(ast.unparse(node.value), []).append(f"{module_name(path)}:{node.lineno}")
    assert [names for names in places.values() if len(names) > 1] == []
