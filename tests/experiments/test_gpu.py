"""`experiments/gpu.sh` on a processor, with tiny sizes: every part runs, and leaves what it promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_part_runs_without_a_gpu(tmp_path: Path) -> None:
    s4, main = tmp_path / "s4", "import sys; from s4cli.main import main; sys.exit(main())"
    s4.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{main}" "$@"\n')
    s4.chmod(0o755)
    environment = {"SMALL": "1", "DEVICE": "cpu", "S4": str(s4), "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    command = ["bash", str(ROOT / "experiments" / "gpu.sh"), "out"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    times = (tmp_path / "out" / "times.txt").read_text().splitlines()
    assert [line.split(" ")[0] for line in times] == ["bench", "scenes", "train", "labels"]
    assert all(line.endswith("exit code 0") for line in times)
    assert json.loads((tmp_path / "out" / "train.json").read_text())["steps"] == 2
    assert json.loads((tmp_path / "out" / "labels.json").read_text())["images"] == 8
    assert (tmp_path / "out" / "branch.json").exists()


def test_it_needs_a_place_for_its_results() -> None:
    done = subprocess.run(["bash", str(ROOT / "experiments" / "gpu.sh")], capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr
