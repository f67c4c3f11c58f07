"""A full disk: exit code 6 with path, bytes needed and bytes free; what was there before stays usable.

The disk is full in four ways: the device that is always full, a limit on the size of files in a process of its own, a
file system that says it has no room, and a small file system in memory where the test may mount one.
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.data.images import write_png
from pipelines.engine import checkpoint, loop_settings
from pipelines.engine.checkpoint import load_checkpoint, pack_checkpoint, save_checkpoint, stored_bytes
from pipelines.engine.run_dir import RunDir
from pipelines.errors import MachineError
from pipelines.events import Events
from pipelines.file_errors import free_bytes, full_disk, require_space
from pipelines.files import atomic_write, write_json, write_json_in_place
from pipelines.journal import Journal
from pipelines.labels.cues import PictureCues
from s4cli.crash import exit_code_of
from tests.pipelines.engine.test_loop import SETTINGS, batch
from tests.pipelines.engine.test_loop import train as train_small

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")  # every write to it fails as on a full disk
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
TOLD = r"{}: No space left on device, at least \d+ bytes needed, \d+ bytes free; make room .*\[disk-full\]"


def fill(path: Path) -> None:
    """Make the disk full for the next file of this name: its temporary leads to the full device."""
    path.with_name(f".{path.name}.{os.getpid()}.tmp").symlink_to(FULL)


def content(size: int) -> dict[str, Any]:
    return {"model": {"w": torch.arange(size, dtype=torch.float32)}, "step": 3}


def cues() -> PictureCues:
    return PictureCues(np.ones((1, 4, 4), bool), np.ones(1, np.float32))


WRITERS = {
    "a.pt": lambda path: save_checkpoint(path, content(1000)),
    "a.safetensors": lambda path: pack_checkpoint(content(1000), path),
    "a.json": lambda path: write_json(path, {"a": 1}),
    "a.png": lambda path: write_png(path, np.zeros((4, 4), np.uint8)),
    "a.npz": lambda path: cues().save(path),
}


@needs_full
@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_is_told_and_the_old_one_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    old = path.read_bytes()
    fill(path)
    with pytest.raises(MachineError, match=TOLD.format(re.escape(str(path)))) as caught:
        WRITERS[name](path)
    assert caught.value.exit_code == 6
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == [name]


@needs_full
def test_journals_and_logs_are_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("journal", "events"):  # devices are refused, so a full one takes the place of a file on a full disk
        monkeypatch.setattr(f"pipelines.{module}.open_to_append", lambda path: FULL.open("ab"))
    journal = Journal(tmp_path / "full")
    journal._clean = True  # reading the device would never end
    with pytest.raises(MachineError, match=TOLD.format(".*full")):
        journal.append({"step": 1})
    events = Events()
    events.attach(tmp_path / "full")
    with pytest.raises(MachineError, match=r"full: No space left on device, .*\[disk-full\]"):
        events.record("a line")


@needs_full
def test_an_error_that_a_library_swallows_is_told(tmp_path: Path) -> None:
    def swallowing(file: Any) -> None:
        try:
            file.write(b"x" * 100_000)
        except OSError:
            pass

    fill(tmp_path / "a")
    with pytest.raises(MachineError, match=r"at least 100000 bytes needed"):
        atomic_write(tmp_path / "a", swallowing)
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_writer_itself_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        atomic_write(tmp_path / "a", lambda file: 1 // 0)


def test_a_full_disk_is_found_behind_other_errors(capsys: pytest.CaptureFixture[str]) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cache/model.bin")
    try:
        try:
            raise full
        except OSError as error:
            raise RuntimeError("unexpected pos 64 vs 0") from error
    except RuntimeError as error:
        hidden = error
    assert full_disk(hidden) is full and full_disk(RuntimeError()) is None and full_disk(None) is None

    def work() -> None:
        raise hidden

    assert exit_code_of(work) == 6
    assert re.search(r"cache/model\.bin: No space left on device, .*\[disk-full\]", capsys.readouterr().err)


@pytest.mark.slow
def test_a_limit_on_files_is_told_although_torch_hides_it(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", content(10))
    old = (tmp_path / "a.pt").read_bytes()
    code = (
        "import resource, torch\nfrom pathlib import Path\nfrom pipelines.engine.checkpoint import save_checkpoint\n"
        "from pipelines.errors import MachineError\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))\n"
        "try:\n    save_checkpoint(Path('a.pt'), {'model': {'w': torch.zeros(500000)}})\n"
        "except MachineError as error:\n    print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    told = r"a\.pt: File too large, at least (\d+) bytes needed, \d+ bytes free; .* \[disk-full\]\n"
    found = re.fullmatch(told, process.stdout)
    assert found, process.stdout
    assert 1_000_000 < int(found.group(1)) <= stored_bytes({"w": torch.zeros(500_000)})
    assert (tmp_path / "a.pt").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def with_free(monkeypatch: pytest.MonkeyPatch, free: int, total: int = 10**12) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(total=total, used=0, free=free))


def test_room_is_asked_for_before_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = stored_bytes(content(1000))
    assert needed == 65536 + 1024 + 4000
    with_free(monkeypatch, needed)
    save_checkpoint(tmp_path / "a.pt", content(1000))
    assert 4000 < (tmp_path / "a.pt").stat().st_size <= needed
    with_free(monkeypatch, needed - 1)
    monkeypatch.setattr(checkpoint, "atomic_write", lambda path, write: pytest.fail("it was written"))
    with pytest.raises(MachineError, match=rf"a\.pt: .*{needed} bytes needed, {needed - 1} bytes free.*disk-full"):
        save_checkpoint(tmp_path / "a.pt", content(1000))


def test_a_file_system_that_counts_nothing_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 0, total=0)
    assert free_bytes(tmp_path / "not" / "there") is None
    require_space(tmp_path, 10**15)

    def broken(place: Path) -> None:
        raise OSError(errno.ENOSYS, "no")

    monkeypatch.setattr(shutil, "disk_usage", broken)
    require_space(tmp_path, 10**15)


def test_a_status_fits_where_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"state": "running", "step": 1000, "reason": "a long one"})
    write_json_in_place(path, {"state": "failed"})
    assert json.loads(path.read_text()) == {"state": "failed"}
    write_json_in_place(path, {"state": "failed", "reason": "x" * 200})
    assert json.loads(path.read_text())["reason"] == "x" * 200
    with pytest.raises(MachineError, match="write-failed"):
        write_json_in_place(tmp_path / "gone.json", {})


def status(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "run" / "status.json").read_text())
    return value


@needs_full
def test_a_training_on_a_full_disk_tells_it_and_can_go_on(tmp_path: Path) -> None:
    last = tmp_path / "run" / "checkpoints" / "last.pt"

    def filling(step: int) -> torch.Tensor:
        if step == 7:  # after the checkpoint of step 6
            fill(last)
            fill(tmp_path / "run" / "status.json")
        return batch(step)

    with pytest.raises(MachineError, match=r"last\.pt: No space left on device, at least \d+ bytes needed"):
        train_small(tmp_path, replace(SETTINGS, workers=0), make_batch=filling)
    assert (status(tmp_path)["state"], status(tmp_path)["step"]) == ("failed", 9)
    assert re.search(r"last\.pt: No space .*\[disk-full\]|last\.pt: No space", status(tmp_path)["reason"])
    assert load_checkpoint(last)["step"] == 6
    assert not list(tmp_path.rglob("*.tmp"))
    train_small(tmp_path, resume=True)
    train_small(tmp_path / "whole")
    assert last.read_bytes() == (tmp_path / "whole" / "run" / "checkpoints" / "last.pt").read_bytes()
    assert status(tmp_path)["state"] == "done"


def test_any_end_of_a_training_is_in_its_status(tmp_path: Path) -> None:
    def broken(step: int) -> torch.Tensor:
        if step == 4:
            raise ValueError("a fault")
        return batch(step)

    with pytest.raises(ValueError, match="a fault"):
        train_small(tmp_path, make_batch=broken)
    assert status(tmp_path)["state"] == "failed" and status(tmp_path)["reason"] == "a fault"


def test_nothing_is_begun_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = torch.nn.Linear(1000, 10)  # 10,010 numbers
    groups = [loop_settings.ParameterGroup(list(net.parameters()))]
    best = 65536 + 2 * 1024 + 40_040
    last = 65536 + 6 * 1024 + 3 * 40_040  # weights, average and momentum
    with_free(monkeypatch, 2 * last + best)
    loop_settings.require_ready(tmp_path / "run", net, groups, SETTINGS)
    with_free(monkeypatch, 2 * last + best - 1)
    with pytest.raises(MachineError, match=rf"run: too little space on the disk, {2 * last + best} bytes needed"):
        loop_settings.require_ready(tmp_path / "run", net, groups, SETTINGS)
    assert not (tmp_path / "run").exists()
    RunDir(tmp_path / "run").last.parent.mkdir(parents=True)
    RunDir(tmp_path / "run").best.write_bytes(bytes(100))  # what is there already needs no more room
    loop_settings.require_ready(tmp_path / "run", net, groups, replace(SETTINGS, ema=None))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("asked", [True, False])
def test_a_small_disk_fills_in_the_middle(asked: bool, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = small_disk / "run" / "checkpoints" / "last.pt"
    if not asked:  # as on a file system that does not tell its free space
        monkeypatch.setattr(checkpoint, "require_space", lambda path, needed: None)

    def filling(step: int) -> torch.Tensor:
        if step == 7:
            with pytest.raises(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        return batch(step)

    with pytest.raises(MachineError, match=r"last\.pt: .*\d+ bytes needed, 0 bytes free; .*\[disk-full\]") as caught:
        train_small(small_disk, replace(SETTINGS, workers=0), make_batch=filling)
    assert caught.value.exit_code == 6
    assert status(small_disk) | {"seconds": 0} == {
        "state": "failed", "step": 9, "reason": str(caught.value), "seconds": 0,
    }  # fmt: skip
    assert load_checkpoint(last)["step"] == 6
    assert sorted(path.name for path in small_disk.rglob("*.*")) == [
        "best.pt", "config.json", "environment.json", "last.pt", "metrics.jsonl", "status.json",
    ][1:]  # fmt: skip
    (small_disk / "filler").unlink()
    train_small(small_disk, resume=True)
    assert status(small_disk)["state"] == "done"
