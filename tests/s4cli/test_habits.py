"""What makes the command line easy: help, inputs without flags, the folder's file, early faults, last lines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipelines
from pipelines.config import STAGES
from s4cli.main import main
from tests.s4cli.fresh import answers
from tests.s4cli.stages import NEEDED, ROOT, Replace, config_seen, raising

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("words", [[], ["train"], ["config"], ["config", "show"]])
def test_help_is_a_command_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    expected = capsys.readouterr().out
    assert main(["help", *words]) == 0
    assert capsys.readouterr().out == expected


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "s4cli", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"s4 {pipelines.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "rule", "code", "words"),
    [
        (["demo", "--seed", "-1"], "setting-value", 2, "--seed"),
        (["demo", "--sead", "1"], "usage", 2, "--sead"),
        (["train"], "setting-missing", 2, "--images and --annotations"),
        (["train", "--images", "no", "--annotations", "none"], "folder-missing", 3, "no such file"),
        (["config", "show"], "usage", 2, "no command given"),
    ],
)
def test_under_json_an_error_is_exactly_one_object_on_stdout(
    arguments: list[str], rule: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == code
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    printed = json.loads(out)
    assert (printed["schema"], printed["s4_version"]) == ("s4/error/1", pipelines.__version__)
    assert set(printed["error"]) == {"rule", "message", "exit_code"}
    assert (printed["error"]["rule"], printed["error"]["exit_code"]) == (rule, code)
    assert words in printed["error"]["message"]
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("error", "rule", "code"),
    [(ZeroDivisionError("x"), "fault", 1), (KeyboardInterrupt(), "interrupted", 130), (MemoryError(), "machine", 6)],
)
def test_under_json_unexpected_ends_are_objects_too(
    error: BaseException, rule: str, code: int, replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    replace("demo", raising(error))
    assert main(["demo", "--json"]) == code
    printed = json.loads(capsys.readouterr().out)["error"]
    assert (printed["rule"], printed["exit_code"]) == (rule, code)


def test_the_natural_input_needs_no_flag(replace: Replace) -> None:
    lists = Path("voc/ImageSets/Segmentation")
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("x")
    assert config_seen("pseudo-label", replace, ["i", "--weights", "w"]).images == (Path("i"),)
    Path("more").mkdir()
    Path("k.csv").touch()
    both = config_seen("pseudo-label", replace, ["i", "more", "--weights", "w"])
    assert both.images == (Path("i"), Path("more")) and both.keywords == ("auto",)
    flags = ["--images", "i", "--keywords", "auto", "--images", "more", "--keywords", "k.csv", "--weights", "w"]
    each = config_seen("pseudo-label", replace, flags)
    assert each.images == (Path("i"), Path("more")) and each.keywords == ("auto", "k.csv")
    assert config_seen("evaluate", replace, ["voc", "--labels", "l"]).voc == Path("voc")
    assert config_seen("evaluate", replace, ["--voc", "voc", "--labels", "l"]).voc == Path("voc")
    assert config_seen("predict", replace, ["i", "a", "--weights", "w"]).images == (Path("i"), Path("a"))
    flags = ["--images", "i", "--images", "a", "--weights", "w"]
    assert config_seen("predict", replace, flags).images == (Path("i"), Path("a"))


def test_every_example_line_is_taken(replace: Replace) -> None:
    Path("VOCDIR/ImageSets/Segmentation").mkdir(parents=True)
    Path("VOCDIR/ImageSets/Segmentation/val.txt").touch()
    for folder in ("DIR", "labels", "pictures"):
        Path(folder).mkdir()
    for file in ("train.json", "test.json", "RUN", "s4.toml"):
        Path(file).touch()
    for command, stage in STAGES.items():
        _, name, *arguments = stage.example.split()
        weights = ["--weights", "RUN"] if command in ("pseudo-label", "explain") else []
        assert name == command
        assert isinstance(config_seen(command, replace, [*arguments, *weights]), stage)


def test_the_file_of_the_folder_gives_the_settings(replace: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s4.toml").write_text("workers = 5\n[demo]\nseed = 1\n[train]\nsteps = 9\n")
    Path("other.toml").write_text("[demo]\nseed = 2\n")
    config = config_seen("demo", replace, [])
    assert (config.seed, config.workers) == (1, 5)
    assert capsys.readouterr().err.splitlines()[0] == "s4.toml gives workers = 5, seed = 1"
    assert config_seen("demo", replace, ["--seed", "3"]).seed == 3
    assert capsys.readouterr().err.splitlines()[0] == "s4.toml gives workers = 5"
    config = config_seen("demo", replace, ["--config", "other.toml"])
    assert (config.seed, config.workers) == (2, 2)
    assert config_seen("demo", replace, ["--no-config"]).seed == 0
    assert "s4.toml" not in capsys.readouterr().err.splitlines()[-1]


def test_a_chain_takes_the_file_of_the_folder(replace: Replace) -> None:
    Path("s4.toml").write_text("[run]\nrounds = 2\n[train]\nimages = 'i'\n")
    config = config_seen("run", replace, [])
    assert (config.file, config.rounds, config.folder) == (Path("s4.toml"), 2, Path("s4"))


def test_a_damaged_file_of_the_folder_can_be_left_out(replace: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s4.toml").write_text("[demo")
    assert main(["demo"]) == 2
    assert "s4.toml" in capsys.readouterr().err
    assert config_seen("demo", replace, ["--no-config"]).seed == 0


WRONG_PATHS = {
    "train": ["--images", "no", "--annotations", "no.json", "--trunk-weights", "no.pt"],
    "pseudo-label": ["no", "--weights", "no", "--keywords", "no.csv", "--classes", "no.txt"],
    "deeplab-train": ["--labels", "no", "--images", "no", "--val-voc", "no"],
    "evaluate": ["no", "--weights", "no"],
    "predict": ["no.jpg", "--weights", "no"],
    "explain": ["--images", "no", "--annotations", "no.json", "--weights", "no", "--out", "o"],
    "ablate": ["--table", "1", "--images", "no", "--annotations", "no", "--test-annotations", "no", "--out", "o"],
    "bench": ["--images", "no", "--weights", "no"],
    "convert": ["--to", "csv", "--images", "no", "--keywords", "no.csv", "--out", "o.csv"],
}


def test_wrong_paths_are_told_all_at_once_before_torch_is_imported(tmp_path: Path) -> None:
    lines = [[command, *arguments] for command, arguments in WRONG_PATHS.items()]
    heavy = {"torch", "torchvision", "timm", "numpy", "scipy", "PIL", "tqdm"}
    for line, answer in zip(lines, answers(lines, heavy, tmp_path), strict=True):
        assert (line, answer.code, answer.imported) == (line, 3, []), answer.err
        wrong = sum(argument.startswith("no") for argument in line[1:])
        told = answer.err.splitlines()
        assert (line, len(told)) == (line, wrong)
        assert all(one.startswith("error: --") for one in told), told
    assert list(tmp_path.glob("o*")) == []


def test_a_folder_is_looked_at_without_torch(tmp_path: Path) -> None:
    picture = tmp_path / "pictures" / "cat" / "a.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(picture)
    script = "import sys; from s4cli.main import main; sys.exit(main(['init']) or 'torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s4.toml").is_file()


@pytest.mark.parametrize("command", ["train", "deeplab-train"])
def test_a_run_that_exists_is_told_before_torch_is_imported(
    command: str, replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()
    Path("run/config.json").write_text("{}")
    replace(command, raising(AssertionError("the stage was started")))
    assert main([command, *NEEDED[command][:-1], "run"]) == 2
    assert "[run-exists]" in capsys.readouterr().err


ENDINGS: list[tuple[str, list[str], dict[str, Any], str]] = [
    ("train", [], {}, "the network is in r; next: s4 pseudo-label PICTURES --weights r"),
    ("pseudo-label", [], {}, "the labels are in o; next: s4 deeplab-train --labels o"),
    ("pseudo-label", ["--out", "labels"], {}, "the labels are in labels; next: s4 deeplab-train"),
    ("pseudo-label", ["--shard", "1/2"], {}, "the labels are in o; next: the same command for the other shards, then "),
    (
        "deeplab-train",
        ["--run", "a run"],
        {},
        "the network is in a run; next: s4 evaluate VOCDIR --weights 'a run', or s4 predict PICTURES --weights 'a run'",
    ),
    (
        "review",
        [],
        {"reviewed": 2, "pictures": 3, "journal": "l/review.jsonl"},
        "2 of 3 pictures were reviewed; the corrections are in l/review.jsonl; next: s4 deeplab-train --labels l",
    ),
    ("evaluate", ["--labels", "l"], {}, "scored l; next: s4 deeplab-train --labels l"),
    ("evaluate", ["--predictions", "l"], {}, "scored l"),
    ("evaluate", ["--weights", "w"], {}, "scored w; next: s4 predict PICTURES --weights w"),
    ("evaluate", ["--weights", "w", "--annotations", "a"], {}, "scored w; next: s4 pseudo-label PICTURES --weights w"),
    ("predict", [], {}, "the results are in o"),
    ("convert", [], {}, "the keywords are in o.csv; next: s4 pseudo-label --images i --keywords o.csv"),
    ("demo", [], {}, "the report is demo/report.html; next: s4 init, in a folder with pictures of your own"),
    ("ablate", [], {"markdown": "o/table1.md"}, "the table is o/table1.md"),
    ("ablate", ["--dry-run"], {}, "dry run: nothing was written; the same command without --dry-run does the work"),
    ("explain", [], {}, "the figures and explain.json are in o"),
    ("bench", [], {}, "no file was written; --out names a folder"),
    (
        "run",
        ["--out", "c"],
        {"stages": [{"stage": "deeplab-train-2", "result": {"run": "c/deeplab-2"}}]},
        "the report is c/report.html; next: s4 predict PICTURES --weights c/deeplab-2",
    ),
]


@pytest.mark.parametrize(("command", "more", "result", "line"), ENDINGS)
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_every_command_ends_with_where_the_result_lies_and_what_comes_next(
    command: str,
    more: list[str],
    result: dict[str, Any],
    line: str,
    flag: list[str],
    replace: Replace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replace(command, lambda config, events: result)
    assert main([command, *NEEDED[command], *more, *flag]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith(line)


def test_a_network_of_own_classes_is_evaluated_without_their_list(
    replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("l/manifest.json").write_text(json.dumps({"classes": ["cat", "dog"]}))
    replace("deeplab-train", lambda config, events: {})
    assert main(["deeplab-train", *NEEDED["deeplab-train"]]) == 0
    assert "next: s4 evaluate VOCDIR --weights r, or" in capsys.readouterr().err


def test_every_command_has_its_last_line() -> None:
    assert {command for command, *_ in ENDINGS} == set(STAGES)


def test_a_dry_run_prints_what_it_knows_alone(replace: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [{"stage": "train", "steps": 3, "disk": None}, {"stage": "evaluate", "steps": None, "disk": None}]
    stages = [{**stage, "seconds": 0.0} for stage in stages]
    plan = {
        "seconds": 0.0,
        "out": "c",
        "stages": stages,
        "rounds": [{"round": 1, "miou": None, "gain": None}],
        "miou": None,
        "faults": [],
    }
    replace("run", lambda config, events: plan)
    assert main(["run", *NEEDED["run"], "--dry-run"]) == 0
    assert capsys.readouterr().out == "out  c\nstages\n  stage     steps\n  train     3\n  evaluate  -\n"
    assert main(["run", *NEEDED["run"], "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"] == stages
