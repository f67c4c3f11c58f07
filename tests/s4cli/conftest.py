import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.s4cli.stages import MODULES, Replace


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder has what `NEEDED` names: folders of pictures and labels, files of annotations and weights."""
    monkeypatch.chdir(tmp_path)
    for folder in "il":
        Path(folder).mkdir()
    for file in "atw":
        Path(file).touch()


@pytest.fixture
def replace(monkeypatch: pytest.MonkeyPatch) -> Replace:
    """Puts a function in the place of a stage."""

    def put(command: str, stage: Callable[[Any, Any], Any]) -> None:
        module = ModuleType(f"pipelines.{MODULES[command]}")
        setattr(module, MODULES[command], stage)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put
