"""What `s4 check` says as a whole: all faults, exit codes, files, chains, settings."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.audit import findings as findings_module
from pipelines.audit.pictures import in_threads
from pipelines.check import check
from pipelines.config import CheckConfig, RunConfig
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.stores.paths import to_path
from s4cli.main import main
from tests.pipelines.checked_data import (
    ROOT,
    H,
    W,
    class_folders,
    coco,
    errors,
    found,
    here,
    mask,
    picture,
    rewrite,
    salient,
    shards,
    table,
    voc,
    warnings,
)
from tests.pipelines.stores.store_of_tests import empty_stores

__all__ = ["here"]  # a fixture


def test_all_faults_are_listed_and_many_alike_are_counted() -> None:
    voc()
    for number in range(6):
        mask(f"data/SegmentationClass/{number}.png", 77)
    result = check(CheckConfig(paths=(Path("data"),)), Events(io.StringIO()))
    assert [one["rule"] for one in result["errors"]] == ["label-value"] * 6


def test_of_many_errors_alike_the_first_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_module, "_MOST_ALIKE", 2)
    voc()
    for number in range(6):
        mask(f"data/SegmentationClass/{number}.png", 77)
    result = check(CheckConfig(paths=(Path("data"),)), Events(io.StringIO()))
    assert [one["count"] for one in result["errors"]] == [1, 1, 4]


def test_a_class_list_of_the_user_decides() -> None:
    class_folders()
    picture("data/zebra/50.png", 50)
    Path("own.txt").write_text("cat\ndog\nzebra\n")
    assert found(classes="own.txt")["errors"] == []
    Path("own.txt").write_text("zebra\n")
    assert found(classes="own.txt")["errors"] == ["keywords-unplaced"]


@pytest.mark.parametrize("name", ["train.json", "keywords.csv", "cat.tar"])
def test_a_file_of_a_data_set_is_checked_by_itself(name: str) -> None:
    {"train.json": salient, "keywords.csv": table, "cat.tar": shards}[name]()
    assert found(f"data/{name}")["errors"] == []


def test_a_file_without_its_pictures_is_an_error() -> None:
    coco("data/train.json", ["0.jpg"])
    assert found("data/train.json") == errors("coco-picture-missing")


def test_a_damaged_file_that_was_named_is_an_error() -> None:
    Path("broken.json").write_text('{"images": [')
    assert found("broken.json") == errors("json-damaged")


@pytest.mark.parametrize("path", ["notes.pdf", "nothing"])
def test_a_path_of_no_kind_is_refused(path: str) -> None:
    Path("notes.pdf").touch()
    Path("nothing").mkdir()
    with pytest.raises(InputError) as caught:
        found(path)
    assert caught.value.rule == "check-nothing"


def test_weights_that_are_none_are_an_error() -> None:
    Path("best.pt").write_bytes(b"no weights")
    assert found("best.pt") == errors("weights-unsafe")


def test_a_run_that_is_not_finished_is_told() -> None:
    for name, content in (("config.json", {}), ("environment.json", {}), ("status.json", {"state": "stopped"})):
        rewrite(f"runs/a/{name}", content)
    assert found("runs/a") == {"errors": ["weights-missing"], "warnings": ["run-unfinished"]}
    assert found("runs") == {"errors": ["weights-missing"], "warnings": ["run-unfinished"]}


def test_a_settings_file_is_checked_whole() -> None:
    Path("s4.toml").write_text('[train]\nstepz = 3\nimages = "gone"\n[pseudo-labl]\n')
    assert found("s4.toml") == errors("folder-missing", "setting-unknown")


def test_of_a_chain_all_inputs_are_checked_with_room_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders()
    Path("masks").mkdir()
    for number in range(24):
        Image.fromarray(np.full((H, W), 255, np.uint8)).save(f"masks/{number}.png")
    settings = '[pseudo-label]\nimages = "data"\ninstances = "masks"\nassign = "single"\n'
    Path("s4.toml").write_text(settings)
    told = check(CheckConfig(paths=(Path("s4.toml"),)), Events(io.StringIO()))
    assert (told["errors"], told["checked"][0]["kind"]) == ([], "chain")
    stage = told["checked"][0]["stages"][0]
    assert stage["disk_bytes"] > 0 and stage["free_bytes"] > 0
    Path("s4.toml").write_text(settings.replace("masks", "pictures-gone"))
    assert found("s4.toml")["errors"] == ["file-missing"]


def test_a_chain_is_checked_with_its_own_rounds_and_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RunConfig] = []

    def planned(config: RunConfig, events: Events) -> dict[str, Any]:
        seen.append(config)
        return {"faults": [], "stages": [], "weights": []}

    monkeypatch.setattr("pipelines.check.run", planned)
    class_folders()
    tables = '[pseudo-label]\nimages = "data"\n[deeplab-train]\n'
    Path("s4.toml").write_text(f'[run]\nout = "chain"\nrounds = 2\nfirst_round = "single"\n{tables}')
    assert found("s4.toml") == errors()
    assert seen == [RunConfig(file=Path("s4.toml"), out=Path("chain"), rounds=2, first_round="single", dry_run=True)]


def test_a_chain_with_too_few_tables_for_its_rounds_is_an_error() -> None:
    class_folders()
    Path("s4.toml").write_text('[run]\nrounds = 2\n[pseudo-label]\nimages = "data"\n')
    assert found("s4.toml") == errors("chain-rounds")


def test_a_file_with_addresses_is_for_single_commands_and_no_error() -> None:
    Path("s4.toml").write_text('[pseudo-label]\nimages = "memory://b/pictures"\n')
    with empty_stores():
        assert found("s4.toml") == errors("folder-missing")
        to_path("memory://b/pictures/a.jpg").put(b"x")  # type: ignore[attr-defined]
        assert found("s4.toml") == warnings("address-unsupported")


def test_the_command_ends_with_3_where_a_stage_would_fail(capsys: pytest.CaptureFixture[str]) -> None:
    voc()
    assert main(["check", "data", "--json"]) == 0
    clean = json.loads(capsys.readouterr().out)
    assert (clean["schema"], clean["errors"], clean["warnings"]) == ("s4/check/1", [], [])
    mask("data/SegmentationClass/0.png", 77)
    assert main(["check", "data", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["error"]["rule"], told["error"]["exit_code"]) == ("inputs-faulty", 3)
    assert main(["check", "data"]) == 3
    shown = capsys.readouterr()
    assert "error: data/SegmentationClass/0.png: holds the values 77" in shown.out
    assert "1 error, 0 warnings" in shown.err


def test_warnings_alone_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    class_folders()
    Path("data/cat/film.mp4").touch()
    assert main(["check", "data"]) == 0
    assert "[files-ignored]" in capsys.readouterr().out


def test_data_are_checked_without_torch() -> None:
    voc()
    script = (
        "import sys; from s4cli.main import main; sys.exit(main(['check', 'data']) or 50 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_a_few_pictures_are_in_work_at_a_time() -> None:
    started: list[int] = []
    most = 0
    for done, _ in enumerate(in_threads(started.append, iter(range(500)), 3), start=1):
        most = max(most, len(started) - done)
    assert len(started) == 500
    assert most <= 4 * 3
