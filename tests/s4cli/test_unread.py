"""Outputs that nobody reads or that are full: the command ends as one of the machine, and never without a word."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import click
import pytest

from s4cli.commands import s4
from s4cli.main import main
from s4cli.unread import Program

ROOT = Path(__file__).parents[2]


FULL = Path("/dev/full")


def run(arguments: list[str], folder: Path, output: IO[str] | None = None, **streams: int) -> tuple[int, str, str]:
    """Start `s4` with pipes; those named in `streams` have no reader, or are `output`."""
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-c", "import sys; from s4cli.main import main; sys.exit(main())", *arguments]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | dict.fromkeys(streams, output or writing)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=environment, cwd=folder, text=True, timeout=60, **given)  # type: ignore[call-overload]
    os.close(writing)
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.parametrize("arguments", [["completion", "zsh"], ["--help"], ["config", "show", "train"], ["help", "run"]])
def test_stdout_without_a_reader_is_the_machine(tmp_path: Path, arguments: list[str]) -> None:
    code, _, err = run(arguments, tmp_path, stdout=1)
    assert code == 6
    assert err.startswith("error: stdout: nobody reads it any more") and err.endswith("[output-unread]\n")
    assert os.listdir(tmp_path) == []


def test_stderr_without_a_reader_hides_the_message_alone(tmp_path: Path) -> None:
    assert run(["completion", "nope"], tmp_path, stderr=1)[0] == 2
    assert run(["config", "check", "none.toml"], tmp_path, stderr=1, stdout=1)[0] == 2
    code, out, _ = run(["config", "check", "none.toml", "--json"], tmp_path, stderr=1)
    assert code == 2 and '"toml-missing"' in out
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_outputs_that_are_full_hide_no_exit_code(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        code, _, err = run(["config", "show", "train"], tmp_path, full, stdout=1)
        assert code == 6 and err.startswith("error: an output or a file: No space left") and "[disk-full]" in err
        for arguments in (["config", "check", "none.toml"], ["config", "check", "none.toml", "--json"]):
            code, _, err = run(arguments, tmp_path, full, stdout=1)
            assert code == 2 and err.startswith("error: none.toml") and err.count("\n") == 1
            code, out, _ = run(arguments, tmp_path, full, stderr=1)
            assert code == 2 and ('"toml-missing"' in out) == ("--json" in arguments)
            assert run(arguments, tmp_path, full, stdout=1, stderr=1)[0] == 2
    assert os.listdir(tmp_path) == []


def test_a_pipe_to_another_process_is_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("broken")
    def broken() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(s4.commands, "broken", broken)
    assert isinstance(s4, Program)
    assert main(["broken"]) == 1
    assert "a pipe to another process broke" in capsys.readouterr().err
    assert len(os.listdir(tmp_path)) == 1  # the crash file
