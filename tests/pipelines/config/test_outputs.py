"""Where commands may write: into folders of their own alone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines.config import STAGES, DemoConfig, EvaluateConfig, InitConfig, PredictConfig, ReportConfig, TrainConfig
from pipelines.config.outputs import alone, place_faults, require_own_folder
from pipelines.config.setting import Output, StageConfig, limits_of, settings_of, type_of
from pipelines.errors import ConfigError
from tests.pipelines.holder import held_by_another

KINDS = [kind for kind in get_args(Output) if kind != "file"]


class Told:
    def info(self, message: str) -> None:
        pass


def refused(kind: Output, folder: Path, rule: str = "out-foreign") -> str:
    with pytest.raises(ConfigError, match=rf"\[{rule}\]") as caught:
        require_own_folder("--out", kind, folder)
    return str(caught.value)


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def test_every_setting_that_names_a_place_to_write_says_what_is_written() -> None:
    """A new `--out` without `writes` would be neither checked nor held."""
    named = {"out", "run", "save_predictions"}
    for stage in (*STAGES.values(), InitConfig, ReportConfig):
        for name, setting in settings_of(stage).items():
            is_page = name == "report" and type_of(setting) is Path  # for most commands only whether to write one
            assert (limits_of(setting).writes is not None) == (name in named or is_page), (stage.command, name)


@pytest.mark.parametrize("kind", KINDS)
def test_new_and_empty_folders_are_taken(tmp_path: Path, kind: Output) -> None:
    require_own_folder("--out", kind, tmp_path)
    require_own_folder("--out", kind, tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", ".gitkeep", "Thumbs.db", "desktop.ini", "README", "README.md", "readme.html", "notes.txt",
        "NOTES", "slurm-123.out", "nohup.out", "job.sh", "s4.toml", "LICENSE", "log.txt",
    ],
)  # fmt: skip
def test_notes_and_litter_are_no_obstacle(tmp_path: Path, kind: Output, name: str) -> None:
    (tmp_path / name).write_text("x")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "@eaDir").mkdir()
    require_own_folder("--out", kind, tmp_path)
    assert (tmp_path / name).read_text() == "x"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cat.jpg", "train.json", "weights.pt", "data.csv", "thesis.pdf", "x.py", "a.tar"])
def test_foreign_files_are_named_and_nothing_is_touched(tmp_path: Path, kind: Output, name: str) -> None:
    (tmp_path / name).write_text("x")
    before = tree(tmp_path)
    assert f"--out {tmp_path}: holds files that s4 did not make here ({name}), " in refused(kind, tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_folders_are_named_also_where_they_look_like_notes(tmp_path: Path, kind: Output) -> None:
    (tmp_path / "notes.md").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "JPEGImages" / "a.jpg").touch()
    assert "JPEGImages" in refused(kind, tmp_path)
    os.mkfifo(tmp_path / "x.txt")
    assert "x.txt" in refused(kind, tmp_path)


def test_of_many_foreign_files_three_are_named(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.jpg").touch()
    assert refused("labels", tmp_path).count(".jpg") == 3
    assert " and more)" in refused("labels", tmp_path)


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("run", "config.json"),
        ("run", "checkpoints/last.pt"),  # `require_startable` has more to say of that
        ("labels", "settings.json"),
        ("labels", "manifest.json"),
        ("predictions", "settings.json"),
        ("chain", "state.json"),
        ("demo", "demo.json"),
        ("study", "config.json"),
        ("study", "table5/config.json"),
        ("figures", "explain.json"),
        ("timings", "inference.json"),
    ],
)
def test_what_s4_made_may_hold_other_things_too(tmp_path: Path, kind: Output, mark: str) -> None:
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    (tmp_path / "seen").mkdir()
    (tmp_path / "figure.png").touch()
    require_own_folder("--out", kind, tmp_path)


def test_what_one_command_made_is_foreign_to_another(tmp_path: Path) -> None:
    made = {"run": ("config.json", "environment.json"), "labels": ("settings.json",), "chain": ("state.json",)}
    for name, marks in made.items():
        (tmp_path / name).mkdir()
        for mark in marks:
            (tmp_path / name / mark).touch()
    for kind, folder in (("study", "run"), ("run", "labels"), ("chain", "run"), ("demo", "run"), ("figures", "run")):
        refused(kind, tmp_path / folder)  # type: ignore[arg-type]
    require_own_folder("--out", "chain", tmp_path)  # folders of other commands may lie in a chain's


def test_label_maps_of_an_earlier_evaluation_are_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).touch()
    require_own_folder("--save-predictions", "maps", tmp_path)
    (tmp_path / "sub" / "c.jpg").touch()
    assert "sub" in refused("maps", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_places_that_are_no_folder_of_its_own_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Output
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "root").symlink_to("/")
    for place, word in {
        "/": "the root of all files",
        "root": "the root of all files",
        "home": "a home folder",
        "file": "a file, a folder expected",
        "file/below": "lies below a file",
        "fifo": "no regular file",
        "/dev/null": "no regular file",
        "/dev/null/x": "lies below a file",
        "nowhere": "a link that leads nowhere",
        "circle": "links in a circle",
    }.items():
        assert word in refused(kind, tmp_path / place, "out-unusable"), place


def config_of(tmp_path: Path, **more: Any) -> TrainConfig:
    return TrainConfig(images=tmp_path / "i", annotations=tmp_path / "a", run=tmp_path / "run", **more)


def test_a_command_holds_its_place_while_it_works(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    @alone
    def stage(config: StageConfig, events: Any) -> str:
        seen.append(os.listdir(tmp_path / "run"))
        return "result"

    assert stage(config_of(tmp_path), Told()) == "result"
    assert seen == [[".s4-lock"]]
    assert os.listdir(tmp_path) == []
    (tmp_path / "run").mkdir()
    assert stage(config_of(tmp_path, dry_run=True), Told()) == "result"
    assert seen[1:] == [[]]  # a dry run writes nothing


def test_one_rank_holds_the_place_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage: Callable[[Any, Any], str] = alone(lambda config, events: "result")
    with held_by_another(tmp_path / "run"):
        with pytest.raises(ConfigError, match="folder-busy"):
            stage(config_of(tmp_path), Told())
        assert [fault.rule for fault in place_faults(config_of(tmp_path))] == ["folder-busy"]
        monkeypatch.setenv("RANK", "1")
        assert stage(config_of(tmp_path), Told()) == "result"
        assert list(place_faults(config_of(tmp_path))) == []


def test_a_file_to_write_is_no_folder_and_no_device(tmp_path: Path) -> None:
    for place in (tmp_path, Path("/dev/null"), tmp_path / "gone" / "x.csv"):
        faults = list(place_faults(InitConfig(out=place)))
        assert [fault.rule for fault in faults] == (["out-unusable"] if place.exists() else [])
    (tmp_path / "s4.toml").touch()
    assert list(place_faults(InitConfig(out=tmp_path / "s4.toml"))) == []


def test_results_do_not_go_among_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages").mkdir()
    for out in (tmp_path, tmp_path / "predictions"):
        assert [f.rule for f in place_faults(PredictConfig(images=(tmp_path,), out=out))] == ["out-inside"]
    assert [f.rule for f in place_faults(PredictConfig(voc=tmp_path, out=tmp_path / "JPEGImages" / "x"))] == [
        "out-inside"
    ]
    assert list(place_faults(PredictConfig(images=(tmp_path / "a.jpg",), out=tmp_path / "predictions"))) == []


def test_commands_that_write_nothing_need_no_place() -> None:
    assert list(place_faults(EvaluateConfig())) == []
    assert len(list(place_faults(DemoConfig(out=Path("/"))))) == 1
