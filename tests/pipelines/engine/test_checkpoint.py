import os
from pathlib import Path

import pytest
import torch

from pipelines.config import DemoConfig
from pipelines.engine.checkpoint import load_checkpoint, save_checkpoint, weights_file
from pipelines.engine.run_dir import RunDir
from pipelines.errors import ConfigError, InputError


class Payload:
    """A pickle that would leave a file behind if it were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_what_is_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"model": {"w": torch.arange(3.0)}, "step": 7, "names": ["cat"]})
    content = load_checkpoint(tmp_path / "a.pt")
    assert content["step"] == 7 and content["names"] == ["cat"]
    assert torch.equal(content["model"]["w"], torch.arange(3.0))


def test_code_in_a_weights_file_never_runs(tmp_path):
    torch.save({"model": Payload(tmp_path / "owned")}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="weights-unsafe"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"text"])
def test_damaged_files_are_named(tmp_path, damage):
    save_checkpoint(tmp_path / "a.pt", {"model": {"w": torch.zeros(1000)}})
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(damage(data))
    with pytest.raises(InputError, match=r"a\.pt.*weights-(damaged|unsafe)"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_run_means_its_best_checkpoint(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match="weights-missing"):
        weights_file(tmp_path)
    (tmp_path / "checkpoints" / "last.pt").touch()
    assert weights_file(tmp_path).name == "last.pt"
    (tmp_path / "checkpoints" / "best.pt").touch()
    assert weights_file(tmp_path).name == "best.pt"
    with pytest.raises(InputError, match="weights-missing"):
        weights_file(tmp_path / "nothing.pt")


def test_a_new_run_does_not_go_on_from_a_checkpoint_that_is_not_its_own(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").write_bytes(b"of another run, whose folder was removed while it was saved")
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"last\.pt but no config\.json.*\[run-exists\]"):
            RunDir.open(tmp_path, DemoConfig(), resume)
