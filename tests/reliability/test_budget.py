"""R18: what a user waits for before anything happens."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "scipy", "PIL", "torchvision", "timm", "matplotlib", "pycocotools"}
ASK = """
import sys
from s4cli.main import main
code = main({arguments!r})
print(code, *sorted({heavy!r} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["config", "show", "train"]])
def test_help_and_settings_import_nothing_heavy(arguments: list[str]) -> None:
    script = ASK.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.split() == ["0"], done.stderr
