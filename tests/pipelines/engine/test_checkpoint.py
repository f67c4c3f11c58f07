import os
from pathlib import Path

import pytest
import torch

from pipelines.config import DemoConfig
from pipelines.engine.checkpoint import load_checkpoint, pack_checkpoint, save_checkpoint, weights_file
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


def test_a_packed_network_comes_back_in_half_precision_with_its_facts(tmp_path: Path) -> None:
    model = {
        "conv.weight": torch.tensor([[1.0, 2.0 / 3, 1e-3]]),
        "norm.running_var": torch.tensor([123456.0]),  # beyond half precision
        "norm.num_batches_tracked": torch.tensor(7),
    }
    content = {"kind": "s4net", "config": {"preset": "modern"}, "model": model, "optimizer": {"state": [1]}, "step": 9}
    pack_checkpoint(content, tmp_path / "net.safetensors")
    loaded = load_checkpoint(tmp_path / "net.safetensors")
    assert set(loaded) == {"kind", "config", "model"}
    assert (loaded["kind"], loaded["config"]) == ("s4net", {"preset": "modern"})
    assert loaded["model"]["conv.weight"].dtype == torch.float32
    # Half precision has 11 significant bits: within 2^-11 of the number.
    torch.testing.assert_close(loaded["model"]["conv.weight"], model["conv.weight"], rtol=2**-11, atol=0)
    assert loaded["model"]["norm.running_var"].item() == 123456
    assert loaded["model"]["norm.num_batches_tracked"].item() == 7


@pytest.mark.parametrize(("content", "rule"), [(None, "weights-missing"), (b"\x08damaged", "weights-damaged")])
def test_a_packed_network_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, rule: str) -> None:
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    assert caught.value.rule == rule and str(path) in caught.value.message
