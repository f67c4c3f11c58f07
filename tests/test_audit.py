"""What pip-audit and bandit say of the source."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert _spec is not None and _spec.loader is not None
audit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(audit)

SOUND = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([SOUND, UNKNOWN], 0, "no known vulnerability in 1 of 2 packages"),
        ([SOUND, BAD, UNKNOWN], 1, "b 2: CVE-1; b 2: CVE-2"),
        ([UNKNOWN, UNKNOWN], 0, "left out, because the service knows none of 2 packages"),
    ],
)
def test_a_vulnerability_fails_and_a_silent_service_does_not(packages: list[object], code: int, line: str) -> None:
    assert audit.verdict(json.dumps({"dependencies": packages})) == (code, f"pip-audit: {line}")


@pytest.mark.parametrize("text", ["", "Traceback", "[]", "null", "{}"])
def test_without_an_answer_nothing_fails(text: str) -> None:
    assert audit.verdict(text) == (0, "pip-audit: left out, because no service answers")


@pytest.mark.slow
def test_bandit_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", "s4cli", "s4net", "deeplab", "pipelines"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
