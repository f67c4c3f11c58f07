"""`-v` and `-q` of every command, and the commands `completion` and `config check`."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from pipelines.events import Events, Loudness, speaking, tells
from s4cli.commands import s4
from s4cli.main import main
from tests.s4cli.stages import NEEDED, Replace

ROOT = Path(__file__).parent.parent.parent


def commands(group: click.Group) -> dict[str, click.Command]:
    found = {}
    for name, command in group.commands.items():
        inner = commands(command) if isinstance(command, click.Group) else {"": command}
        found |= {f"{name} {rest}".strip(): one for rest, one in inner.items()}
    return found


@pytest.mark.parametrize("name", [name for name in commands(s4) if name != "help"])
def test_every_command_has_both_flags(name: str) -> None:
    flags = {flag for option in commands(s4)[name].params for flag in option.opts}
    assert {"-v", "--verbose", "-q", "--quiet", "--json"} <= flags


def stage(config: Any, events: Events) -> dict[str, Any]:
    events.info("a remark")
    events.warn("a warning")
    with events.progress(2, "pictures") as progress:
        progress.advance(2)
    config.out.mkdir()
    (config.out / "a.png").write_bytes(b"12345")
    return {"out": str(config.out)}


def said(capsys: pytest.CaptureFixture[str], replace: Replace, *flags: str) -> tuple[str, str]:
    replace("pseudo-label", stage)
    assert main(["pseudo-label", *NEEDED["pseudo-label"], *flags]) == 0
    shown = capsys.readouterr()
    return shown.out, shown.err


@pytest.mark.usefixtures("here")
def test_quiet_tells_the_result_alone(capsys: pytest.CaptureFixture[str], replace: Replace) -> None:
    out, err = said(capsys, replace, "-q")
    assert (out, err) == ("out  o\n", "")


@pytest.mark.usefixtures("here")
def test_without_a_flag_remarks_are_told(capsys: pytest.CaptureFixture[str], replace: Replace) -> None:
    out, err = said(capsys, replace)
    assert out == "out  o\n"
    assert err.startswith("a remark\nwarning: a warning\npictures: 2/2 (100 %)")
    assert "took" not in err


@pytest.mark.usefixtures("here")
def test_verbose_tells_times_and_files(capsys: pytest.CaptureFixture[str], replace: Replace) -> None:
    out, err = said(capsys, replace, "--verbose")
    assert out == "out  o\n"
    assert "\npictures: took 0.0 s\n" in err
    assert "\npseudo-label: took " in err
    assert "\nwritten: o: 1 file, 0.0 MB\n" in err


@pytest.mark.usefixtures("here")
def test_quiet_tells_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pseudo-label", "--images", "gone", "-q"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: --images gone")


@pytest.mark.usefixtures("here")
def test_both_flags_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pseudo-label", "-q", "-v"]) == 2
    assert "--verbose and --quiet: both given" in capsys.readouterr().err


def test_a_log_gets_all_lines_in_any_case(tmp_path: Path) -> None:
    stream = io.StringIO()
    events = Events(stream)
    events.attach(tmp_path / "log.txt")
    with speaking(Loudness.QUIET):
        events.warn("a warning")
        events.detail("a detail")
    assert stream.getvalue() == ""
    assert (tmp_path / "log.txt").read_text().endswith("warning: a warning\n")


def test_a_process_that_is_started_is_as_quiet() -> None:
    script = "from pipelines.events import Loudness, tells; print(tells(Loudness.NORMAL))"
    with speaking(Loudness.QUIET):
        told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
    assert tells(Loudness.NORMAL) and not tells(Loudness.VERBOSE)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_s4(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_S4_COMPLETE={shell}_complete" in script


def completed(folder: Path, *lines: str) -> list[list[str]]:
    """What a real bash proposes for lines of words, with the script that `s4 completion bash` prints."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    program = folder / "bin" / "s4"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m s4cli "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(s4 completion bash)"
compopt() { echo "compopt" "$1" "$2"; }  # says outside of a completion that there is none
for line in "$@"; do
    IFS=' ' read -ra COMP_WORDS <<< "s4 $line"
    [[ $line == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _s4_completion s4
    printf '%s\\n' "${COMPREPLY[@]}"
    echo "end of a line"
done
"""
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [bash, "--norc", "-c", script, "bash", *lines]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [proposed.split("\n")[:-1] for proposed in done.stdout.split("end of a line\n")[:-1]]


@pytest.mark.slow
def test_bash_completes_commands_flags_choices_names_of_files_and_words(tmp_path: Path) -> None:
    proposed = {
        "pse": ["pseudo-label"],
        "train --ann": ["--annotations"],
        "train --preset re": ["release"],
        "train --annotations tr": ["compopt -o default", ""],
        "train --images ": ["compopt -o dirnames", ""],
        "pseudo-label --weights bu": ["compopt -o default", "builtin"],
        "pseudo-label --classes v": ["compopt -o default", "voc"],
    }
    assert dict(zip(proposed, completed(tmp_path, *proposed), strict=True)) == proposed


def test_config_check_lists_all_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s4.toml").write_text('[train]\nstepz = 1\nimages = "gone"\nlr = "much"\n')
    assert main(["config", "check", "--json"]) == 2
    shown = capsys.readouterr()
    rules = [fault["rule"] for fault in json.loads(shown.out)["faults"]]
    assert rules == ["setting-unknown", "setting-type", "folder-missing"]
    assert shown.err.count("error: ") == 3
    Path("s4.toml").write_text('[train]\nimages = "gone"\n')
    assert main(["config", "check", "s4.toml"]) == 3
    Path("gone").mkdir()
    assert main(["config", "check"]) == 0
    assert "train  images" in capsys.readouterr().out


def test_doctor_prints_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("types.py").touch()
    assert main(["doctor", "--json", "--offline", "--no-measure"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "s4/doctor/1"
    assert told["speed"] is None and told["devices"]["cpu"]
    assert "package-hidden" in [one["rule"] for one in told["warnings"]]
