"""All faults of a settings file at once."""

from pathlib import Path

import pytest

from pipelines.config import STAGES, to_toml
from pipelines.config.whole_file import file_faults, settings_in


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    Path("train.json").touch()


def faults(text: str) -> list[str]:
    Path("s4.toml").write_text(text)
    return [str(fault) for fault in file_faults(Path("s4.toml"))]


def test_a_sound_file_has_no_fault() -> None:
    text = """
device = "cpu"
[train]
images = "pictures"
annotations = "train.json"
run = "runs/a"
[pseudo-label]
images = "pictures"
weights = "runs/a"
[deeplab-train]
labels = "labels"
[evaluate]
labels = "labels"
"""
    assert faults(text) == []
    assert settings_in(Path("s4.toml"))["evaluate"] == ["device", "labels"]


def test_all_faults_are_told() -> None:
    text = """
devise = "cpu"
workers = "two"
[train]
images = "pictires"
annotations = "train.json"
stepz = 5
alpha = -1
[pseudo_label]
assign = "grph"
[pseudo-labl]
steps = 1
"""
    found = faults(text)
    starts = [
        "s4.toml: unknown key devise, a setting of a command expected; did you mean device? [setting-unknown]",
        "s4.toml: workers: 'two' given, a whole number expected; change it [setting-type]",
        "s4.toml: [train]: unknown key stepz",
        "s4.toml: [train]: alpha: -1 given",
        "s4.toml: [pseudo-label]: assign: 'grph' given",
        "s4.toml: unknown table [pseudo-labl]",
        "s4.toml: [train] images pictires: no such folder, expected one; did you mean pictures?",
    ]
    assert len(found) == len(starts)
    assert all(line.startswith(start) for line, start in zip(found, starts, strict=True)), found


def test_values_that_exclude_each_other_are_told() -> None:
    (found,) = faults('[pseudo-label]\nimages = "pictures"\nleast_foreground = 0.9\nmost_foreground = 0.1\n')
    assert found.startswith("s4.toml: [pseudo-label] --least-foreground 0.9 and --most-foreground 0.1")


@pytest.mark.parametrize("rule", ["toml-missing", "toml-damaged"])
def test_a_file_that_is_none_is_one_fault(rule: str) -> None:
    path = Path("gone.toml" if rule == "toml-missing" else "s4.toml")
    Path("s4.toml").write_text("[train\n")
    assert [fault.rule for fault in file_faults(path)] == [rule]


def test_paths_lead_from_the_folder_of_the_file() -> None:
    Path("deep").mkdir()
    Path("deep/s4.toml").write_text('[train]\nimages = "../pictures"\nannotations = "../train.json"\n')
    assert file_faults(Path("deep/s4.toml")) == []


def test_what_no_table_makes_has_to_be_there() -> None:
    (found,) = faults('[deeplab-train]\nlabels = "my-labels"\n')
    assert "my-labels: no such folder" in found
    assert faults('[pseudo-label]\nout = "my-labels"\n[deeplab-train]\nlabels = "my-labels"\n') == []


@pytest.mark.parametrize("command", STAGES)
def test_the_defaults_of_every_command_have_no_fault(command: str) -> None:
    Path("labels").mkdir()
    assert faults(to_toml(STAGES[command])) == []
