import errno
import os
import tempfile
from pathlib import Path

import click
import pytest
import torch

from pipelines.errors import InputError
from s4cli.crash import exit_code_of
from s4cli.main import main


def fail_with(error: BaseException) -> int:
    def work() -> None:
        raise error

    return exit_code_of(work)


def test_success_is_zero() -> None:
    assert exit_code_of(lambda: "any result") == 0


def test_a_fault_writes_its_traceback_to_a_named_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fail_with(KeyError("lost")) == 1
    (file,) = tmp_path.iterdir()
    message = capsys.readouterr().err
    assert str(file) in message
    assert "Traceback" not in message
    assert "Traceback" in file.read_text()
    assert "KeyError: 'lost'" in file.read_text()


def test_the_crash_file_goes_elsewhere_if_the_folder_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "gone")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert fail_with(RuntimeError("x")) == 1
    assert str(next((tmp_path / "temporary").iterdir())) in capsys.readouterr().err


def test_without_any_place_for_it_the_traceback_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "gone")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone too"))
    assert fail_with(RuntimeError("x")) == 1
    assert "RuntimeError: x" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_disk_and_permission_are_the_machine(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail_with(OSError(number, os.strerror(number), "runs/a.pt")) == 6
    assert capsys.readouterr().err.startswith(f"error: runs/a.pt: {os.strerror(number)}")


def test_memory_is_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    class OutOfMemoryError(RuntimeError):
        """Stands for the GPU library's error of this name."""

    assert fail_with(MemoryError()) == 6
    assert fail_with(OutOfMemoryError("CUDA")) == 6
    assert "--batch-size" in capsys.readouterr().err


def test_a_tensor_that_no_memory_holds_is_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert fail_with(caught.value) == 6
    assert capsys.readouterr().err == (
        "error: memory: used up, more expected; lower --batch-size, the picture size or --workers [machine]\n"
    )


def test_another_os_error_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fail_with(FileNotFoundError(errno.ENOENT, "No such file", "x")) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_130(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail_with(error) == 130
    assert capsys.readouterr().err.startswith("error: interrupted")


def test_names_that_are_no_text_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A result or an error may name a file of any bytes; Python keeps such bytes as halves of characters."""

    def refuse() -> None:
        click.echo("caf\udce9")
        raise InputError("caf\udce9.jpg: damaged", "x")

    assert exit_code_of(refuse) == 3
    printed = capsys.readouterr()
    assert printed.out == "caf\\udce9\n"
    assert printed.err == "error: caf\\udce9.jpg: damaged [x]\n"


def test_a_current_folder_that_was_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for arguments in (["doctor", "--offline"], ["check"], ["predict", "x.jpg"]):
        assert main(arguments) == 6
        assert capsys.readouterr().err.endswith("change into another one [current-folder]\n")
