import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pipelines
import pipelines.networks

ROOT = Path(__file__).parents[3]


def test_importing_the_settings_imports_no_array_library() -> None:
    script = "import sys, pipelines.config; sys.exit(', '.join({'torch', 'numpy', 'scipy'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_loaders_come_from_the_load_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("pipelines.networks.load")
    module.load_s4net, module.load_deeplab = object(), object()
    monkeypatch.setitem(sys.modules, "pipelines.networks.load", module)
    monkeypatch.setattr(pipelines.networks, "load", module, raising=False)
    from pipelines import load_deeplab, load_s4net

    assert (load_s4net, load_deeplab) == (module.load_s4net, module.load_deeplab)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="load_nothing"):
        _ = pipelines.load_nothing
