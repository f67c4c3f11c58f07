import json
from pathlib import Path
from typing import Any

import pytest

import pipelines
from pipelines.config import STAGES
from pipelines.config.setting import flag_of, limits_of, settings_of
from pipelines.errors import ConfigError, DivergedError, InputError, MachineError, S4Error, Stopped
from s4cli.main import main
from tests.s4cli.fresh import answers
from tests.s4cli.stages import MODULES, NEEDED, ROOT, Replace, raising

pytestmark = pytest.mark.usefixtures("here")
each_command = pytest.mark.parametrize("command", MODULES)


def test_every_stage_has_its_command() -> None:
    assert list(MODULES) == list(STAGES)


def test_help_imports_no_array_library() -> None:
    lines = [[*words, "--help"] for words in ([], *([name] for name in MODULES), ["config"], ["config", "show"])]
    heavy = {"torch", "torchvision", "timm", "numpy", "scipy", "PIL", "matplotlib", "tqdm"}
    for line, answer in zip(lines, answers(lines, heavy, ROOT), strict=True):
        assert (line, answer.code, answer.err, answer.imported) == (line, 0, "", [])
        assert "--help" in answer.out, line


@each_command
def test_help_names_every_setting(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "-h"]) == 0
    text = capsys.readouterr().out
    for name, setting in settings_of(STAGES[command]).items():
        assert (f"{name.upper()}.toml" if limits_of(setting).positional else flag_of(name)) in text
    assert "--config FILE.toml" in text
    assert ("--no-config" in text) is (command != "run")
    assert "--json" in text


@pytest.mark.parametrize("command", ["evaluate", "predict", "convert", "bench"])
def test_forms_of_a_command_keep_their_lines_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "-h"]) == 0
    text = capsys.readouterr().out
    assert "\\b" not in text
    forms = text.split("\n\n")[2].splitlines()
    assert len(forms) > 1 and all(form.startswith(("  --", "  VOCDIR", "  PICTURE", "  SOURCE")) for form in forms)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"s4 {pipelines.__version__}\n"


@each_command
def test_json_is_exactly_one_object_on_stdout(
    command: str, replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(config: Any, events: Any) -> dict[str, Any]:
        assert isinstance(config, STAGES[command])
        print("a library that chats")
        events.info("a line of progress")
        return {"images": 3, "score": 0.5}

    replace(command, stage)
    assert main([command, *NEEDED[command], "--json"]) == 0
    out, err = capsys.readouterr()
    head = {"schema": f"s4/{command}/1", "s4_version": pipelines.__version__}
    assert json.loads(out) == {**head, "images": 3, "score": 0.5}
    assert out.count("\n") == 1
    assert "chats" in err
    assert "a line of progress" in err


def test_the_result_is_a_table_on_stdout(replace: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    replace("evaluate", lambda config, events: {"miou": 0.61234, "per_class": {"cat": None, "dog": 1.0}})
    assert main(["evaluate", "--labels", "l"]) == 0
    assert capsys.readouterr().out == ("miou       0.6123\nper_class  (1 row without a value left out)\n  dog      1\n")


def test_settings_come_from_flags_over_toml_over_defaults(tmp_path: Path, replace: Replace) -> None:
    seen: list[Any] = []

    def stage(config: Any, events: Any) -> dict[str, Any]:
        seen.append(config)
        return {}

    replace("demo", stage)
    path = tmp_path / "s.toml"
    path.write_text("seed = 1\nsmall = true\n[demo]\nworkers = 3\n")
    assert main(["demo", "--config", str(path), "--seed", "2"]) == 0
    assert main(["demo", "--config", str(path), "--no-small"]) == 0
    assert [(c.seed, c.small, c.workers, str(c.out)) for c in seen] == [(2, True, 3, "demo"), (1, False, 3, "demo")]


@pytest.mark.parametrize(
    "error", [kind("f.jpg: broken, whole expected; repair it", "a-rule") for kind in
              (ConfigError, InputError, DivergedError, MachineError, Stopped)], ids=lambda error: type(error).__name__
)  # fmt: skip
def test_an_expected_failure_is_one_line_with_its_exit_code(
    error: S4Error, replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    replace("demo", raising(error))
    assert main(["demo"]) == error.exit_code
    assert capsys.readouterr() == ("", "error: f.jpg: broken, whole expected; repair it [a-rule]\n")


def test_a_fault_in_a_stage_ends_with_code_1_and_a_crash_file(
    tmp_path: Path, replace: Replace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    replace("demo", raising(ZeroDivisionError("by zero")))
    assert main(["demo"]) == 1
    (file,) = tmp_path.glob("s4-crash-*.txt")
    assert str(file) in capsys.readouterr().err
    assert "in stage" in file.read_text()


def test_ctrl_c_in_a_stage_ends_with_code_130(replace: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    replace("demo", raising(KeyboardInterrupt()))
    assert main(["demo"]) == 130
    assert "error: interrupted" in capsys.readouterr().err


def test_failed_items_end_with_code_4_after_the_result(replace: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    replace("pseudo-label", lambda config, events: {"images": 5, "failed": 2, "out": "labels"})
    assert main(["pseudo-label", *NEEDED["pseudo-label"], "--json"]) == 4
    out, err = capsys.readouterr()
    message = "labels: 2 items failed, none expected; labels/failures.jsonl lists them"
    result = json.loads(out)
    assert (result["failed"], out.count("\n")) == (2, 1)
    assert result["error"] == {"rule": "items-failed", "message": message, "exit_code": 4}
    assert err.splitlines()[-1] == f"error: {message} [items-failed]"


def test_a_chain_names_the_failures_of_the_stage_that_has_them(
    replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [
        {"stage": "train", "result": {"run": "c/s4net"}},
        {"stage": "pseudo-label", "result": {"failed": 1, "out": "c/labels"}},
    ]
    replace("run", lambda config, events: {"failed": 1, "out": "c", "stages": stages})
    assert main(["run", *NEEDED["run"]]) == 4
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: c: 1 item failed, none expected; c/labels/failures.jsonl lists them [items-failed]"


def test_one_rank_of_several_prints(
    replace: Replace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace("demo", lambda config, events: {"ap50": 1.0})
    monkeypatch.setenv("RANK", "1")
    assert main(["demo", "--json"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "train"),
        (["train", "--alhpa", "0.5"], "--alpha"),
        (["train", "--steps", "many"], "--steps"),
        (["train", "--roi", "circle"], "roialign"),
        (["train", "--config"], "--config"),
        (["train"], "--images"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "stray"], "stray"),
        (["train", *NEEDED["train"], "--steps", "0"], "1 or more"),
        (["train", *NEEDED["train"], "--alpha", "2"], "0 to 1"),
        (["config", "show", "nothing"], "deeplab-train"),
        (["demo", "--config", "absent.toml"], "absent.toml"),
        (["run"], "s4.toml"),
        (["help", "trian"], "Did you mean 'train'"),
        (["help", "train", "more"], "no command more"),
        (["config", "show"], "no command given, one of train, pseudo-label"),
        (["demo", "--config", "a", "--no-config"], "both given"),
        (["evaluate", "i", "--voc", "l"], "leave --voc out"),
        (["evaluate", "i", "l"], "unexpected extra argument"),
        (["run", "absent.toml"], "absent.toml"),
        (["run", "absent.toml", "stray"], "stray"),
        (["--loud"], "--loud"),
    ],
)
def test_wrong_usage_ends_with_code_2_and_names_the_place(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert expected in err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "pseudo-label" in capsys.readouterr().err


def test_config_show_prints_defaults_as_toml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "pseudo-label"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("[pseudo-label]\n")
    assert "\nmin_score = 0.3\n" in out
    assert main(["config", "show", "pseudo-label", "--json"]) == 0
    defaults = json.loads(capsys.readouterr().out)["defaults"]
    assert (defaults["min_score"], defaults["images"]) == (0.3, None)
