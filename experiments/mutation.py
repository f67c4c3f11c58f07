"""Mutation test: small faults are put into a module, and the tests of that module must notice each of them.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/mutation.py [--seed 0] [--most N] [MODULE.py ...]

Without a module, all modules of `TESTS` are tested. The faults are another comparison, operator, number, truth value or
text, a negated condition, and a statement that is missing. Texts of messages and types are left as they are.

Each fault is put into a copy of the source. A process that has already imported the libraries forks a child for each
fault, and the child runs the tests until the first failure. A child that takes too long counts as failed, because the
fault was noticed. The output names each fault that no test noticed, then a table. `--json FILE` writes both.
"""

import argparse
import ast
import copy
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
METRICS, PROPERTIES = "tests/pipelines/metrics", "tests/properties"
TESTS = {
    "s4net/roi_masking.py": ["tests/s4net/test_roi_masking.py", f"{PROPERTIES}/test_roi_masking.py"],
    "pipelines/metrics/bootstrap.py": [f"{METRICS}/test_bootstrap.py"],
    "pipelines/metrics/boundary_iou.py": [f"{METRICS}/test_boundary_iou.py"],
    "pipelines/metrics/confusion.py": [f"{METRICS}/test_confusion.py", f"{PROPERTIES}/test_confusion.py"],
    "pipelines/metrics/instance_ap.py": [f"{METRICS}/test_instance_ap.py", f"{PROPERTIES}/test_instance_ap.py"],
    "pipelines/metrics/judged_pictures.py": [f"{METRICS}/test_judged_pictures.py"],
    "pipelines/metrics/label_quality.py": [f"{METRICS}/test_confusion.py"],
    "pipelines/metrics/miou_bootstrap.py": [f"{METRICS}/test_miou_bootstrap.py"],
    "pipelines/metrics/occlusion.py": [f"{METRICS}/test_occlusion.py"],
    "pipelines/metrics/plausibility.py": [f"{METRICS}/test_plausibility.py"],
    "pipelines/metrics/seed_averages.py": [f"{METRICS}/test_seed_averages.py"],
    "pipelines/files.py": ["tests/pipelines/test_files.py"],
    "pipelines/file_errors.py": ["tests/pipelines/test_file_errors.py"],
    "pipelines/journal.py": ["tests/pipelines/test_journal.py"],
    "pipelines/engine/checkpoint.py": ["tests/pipelines/engine/test_checkpoint.py"],
    "pipelines/config/shard.py": ["tests/pipelines/config/test_shard.py", f"{PROPERTIES}/test_shard.py"],
}
# pytest would warn that hypothesis, one of its plugins, was imported before.
_OPTIONS = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
LIBRARIES = ("numpy", "torch", "torchvision.ops", "pycocotools.mask", "scipy.stats", "scipy.ndimage", "PIL.Image")

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitXor: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A module with one fault.

    Attributes:
        line: Line of the fault.
        change: What was changed, in words.
        source: The whole module with the fault.
    """

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its syntax tree."""
    tree = ast.parse(source)
    for number, node in enumerate(_mutable(tree)):
        for variant in range(len(_faults(node))):
            changed = copy.deepcopy(tree)
            target = _mutable(changed)[number]
            before = ast.unparse(target).splitlines()[0]
            change = _faults(target)[variant]
            replacement = change()
            if replacement is not None:
                _Replace(target, replacement).visit(changed)
            after = ast.unparse(target if replacement is None else replacement).splitlines()[0]
            text = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutant(getattr(node, "lineno", 0), f"{before}  ->  {after}", text)


class _Replace(ast.NodeTransformer):
    """Puts another node into the place of one."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        """Return the other node for the one, and every other node with its children visited."""
        return self.new if node is self.old else super().generic_visit(node)


def _mutable(tree: ast.AST) -> list[ast.AST]:
    """Return the nodes outside of types, docstrings and messages, in a fixed order."""
    found: list[ast.AST] = []

    def walk(node: ast.AST) -> None:
        found.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    walk(child)

    walk(tree)
    return found


def _is_text(node: ast.AST) -> bool:
    """Return whether a node is a docstring, a formatted text, an import, or a name given to a type."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_type = isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and _is_capital(node.value.value)
    return is_docstring or is_type or isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _is_capital(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id[:1].isupper()


def _faults(node: ast.AST) -> list:  # type: ignore[type-arg]
    """Return a function for each fault of a node; it alters the node, or returns what takes the place of the node."""
    faults = []
    if isinstance(node, ast.Compare):
        faults += [lambda i=i: _set(node.ops, i, _COMPARISONS[type(node.ops[i])]()) for i in range(len(node.ops))]
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        faults.append(lambda: setattr(node, "op", _OPERATORS[type(node.op)]()))
    elif isinstance(node, ast.BoolOp):
        faults.append(lambda: setattr(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        faults.append(lambda: node.operand)
    elif isinstance(node, ast.Constant):
        faults += _other_constants(node)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        faults.append(lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))
    elif isinstance(node, ast.Continue | ast.Break):
        faults.append(lambda: ast.Break() if isinstance(node, ast.Continue) else ast.Continue())
    if _is_removable(node):
        faults.append(ast.Pass)
    return faults


def _other_constants(node: ast.Constant) -> list:  # type: ignore[type-arg]
    value = node.value
    if isinstance(value, bool):
        return [lambda: setattr(node, "value", not value)]
    if isinstance(value, int | float):
        return [lambda: setattr(node, "value", value + 1)]
    if isinstance(value, str) and value and not any(char.isspace() for char in value):
        return [lambda: setattr(node, "value", f"{value}x")]
    return []


def _is_removable(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute | ast.Subscript | ast.Tuple)
    return isinstance(node, ast.AugAssign | ast.Raise)


def _set(items: list[ast.cmpop], position: int, item: ast.cmpop) -> None:
    items[position] = item


def run_tests(copy_of: Path, tests: list[str], limit: float) -> tuple[bool, float]:
    """Run tests in a forked child, inside a copy of the source.

    Args:
        copy_of: Root of the copy.
        tests: Test files, relative to the root.
        limit: Seconds after which the child is killed.

    Returns:
        Whether all tests passed in time, and the seconds that this took.
    """
    begin = time.monotonic()
    child = os.fork()
    if not child:
        _child(copy_of, tests)
    while time.monotonic() - begin < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0, time.monotonic() - begin
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False, time.monotonic() - begin


def _child(copy_of: Path, tests: list[str]) -> None:
    """Run the tests; never return."""
    code = 70
    try:
        os.setsid()
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        os.chdir(copy_of)
        sys.path[:] = [str(copy_of), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
        import pytest

        code = int(pytest.main([*_OPTIONS, *tests]))
    finally:
        os._exit(code)


def test_module(copy_of: Path, module: str, most: int | None, seed: int) -> dict[str, object]:
    """Test one module with all of its mutants, or with `most` of them drawn by the seed; report to stderr."""
    tests = [name for name in TESTS[module] if (copy_of / name).exists()]
    source = (ROOT / module).read_text()
    passed, seconds = run_tests(copy_of, tests, 600)
    if not tests or not passed:
        raise SystemExit(f"{module}: its tests fail without a fault: {tests}")
    chosen = list(mutants(source))
    if most is not None and most < len(chosen):
        chosen = sorted(random.Random(seed).sample(chosen, most), key=lambda mutant: mutant.line)
    survivors = []
    for mutant in chosen:
        (copy_of / module).write_text(mutant.source)
        if run_tests(copy_of, tests, 10 + 10 * seconds)[0]:
            survivors.append({"line": mutant.line, "change": mutant.change})
            print(f"{module}:{mutant.line}: {mutant.change}", file=sys.stderr, flush=True)
    (copy_of / module).write_text(source)
    print(f"{module}: {len(chosen) - len(survivors)} of {len(chosen)}", file=sys.stderr, flush=True)
    return {"module": module, "mutants": len(chosen), "killed": len(chosen) - len(survivors), "survivors": survivors}


def main() -> None:
    """Test the modules that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS), metavar="MODULE.py")
    parser.add_argument("--most", type=int, help="mutants of a module, drawn by chance; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    for library in (*LIBRARIES, "pytest", "hypothesis"):
        __import__(library)
    with tempfile.TemporaryDirectory() as folder:
        copy_of = Path(folder) / "source"
        shutil.copytree(ROOT, copy_of, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.safetensors", "runs"))
        results = [test_module(copy_of, module, arguments.most, arguments.seed) for module in arguments.modules]
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    print("| module | mutants | killed | share |\n|---|---|---|---|")
    for result in results:
        share = int(str(result["killed"])) / int(str(result["mutants"]))
        print(f"| `{result['module']}` | {result['mutants']} | {result['killed']} | {share:.1%} |")


if __name__ == "__main__":
    main()
