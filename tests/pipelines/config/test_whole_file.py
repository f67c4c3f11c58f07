"""All faults of a settings file at once."""

from pathlib import Path

import pytest

from pipelines.config import STAGES, to_toml
from pipelines.config.whole_file import file_faults, settings_in
from pipelines.stores.paths import to_path
from tests.pipelines.stores.store_of_tests import empty_stores


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


def test_addresses_are_asked_for_in_their_stores() -> None:
    settings = """
[pseudo-label]
images = "memory://b/pictures"
keywords = "memory://b/keywords.csv"
classes = "memory://b/classes.txt"
trunk_weights = "memory://b/trunk.pt"
out = "memory://b/labels"
[deeplab-train]
labels = "memory://b/labels"
trunk_weights = "memory://b/labels/trunk.pt"
"""
    with empty_stores():
        told = [fault.partition(";")[0] for fault in faults(settings)]
        assert told == [
            f"s4.toml: [pseudo-label] {key} memory://b/{place}: no such {what}, expected one"
            for key, place, what in (
                ("images", "pictures", "folder"),
                ("keywords", "keywords.csv", "file or folder"),
                ("classes", "classes.txt", "file"),
                ("trunk_weights", "trunk.pt", "file"),
            )
        ]  # what the labels are to be is made by a table
        for name in ("pictures/a.jpg", "keywords.csv", "classes.txt", "trunk.pt"):
            to_path(f"memory://b/{name}").put(b"x")  # type: ignore[attr-defined]
        assert faults(settings) == []
        assert faults('[pseudo-label]\nimages = "pictures"\nout = "memory://b/labels"\n') == []


def test_a_store_that_nobody_knows_is_told_once() -> None:
    (fault,) = faults('[pseudo-label]\nimages = "nosuch://b/x"\n[predict]\nimages = "nosuch://b/y"\n')
    assert fault.startswith("nosuch://b: no file system has this protocol")


def test_a_link_that_leads_to_itself_is_a_fault() -> None:
    Path("loop").symlink_to("loop")
    (fault,) = faults('[pseudo-label]\nimages = "loop"\n')
    assert "loop: no such folder, expected one; it is a link that leads nowhere" in fault


@pytest.mark.parametrize("command", STAGES)
def test_the_defaults_of_every_command_have_no_fault(command: str) -> None:
    Path("labels").mkdir()
    assert faults(to_toml(STAGES[command])) == []
