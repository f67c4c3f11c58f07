import dataclasses
import json
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

import s4net.build
from pipelines.config import (
    STAGES,
    AblateConfig,
    ConvertConfig,
    DeepLabTrainConfig,
    DemoConfig,
    EvaluateConfig,
    PredictConfig,
    PseudoLabelConfig,
    RunConfig,
    TrainConfig,
    from_json,
    resolve,
    to_json,
    to_toml,
)
from pipelines.config.setting import StageConfig, choices_of, limits_of, settings_of, type_of
from pipelines.errors import ConfigError
from s4net.roi_masking import RoiMode

NEEDED = {"images": Path("pictures"), "annotations": Path("train.json"), "run": Path("run")}

each_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


def train(**values: Any) -> TrainConfig:
    return TrainConfig(**{**NEEDED, **values})


def toml(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_flag_beats_toml_beats_default(tmp_path: Path) -> None:
    path = toml(tmp_path, "steps = 5\nseed = 6")
    config = resolve(TrainConfig, path, {**NEEDED, "seed": 7, "proposals": None})
    assert (config.proposals, config.steps, config.seed) == (20, 5, 7)


def test_alpha_is_a_third_by_default() -> None:
    assert train().alpha == 1 / 3


def test_toml_keys_may_be_written_like_flags(tmp_path: Path) -> None:
    assert resolve(TrainConfig, toml(tmp_path, "batch-size = 4"), NEEDED).batch_size == 4


def test_toml_may_have_a_table_for_each_command(tmp_path: Path) -> None:
    path = toml(tmp_path, "seed = 1\n[demo]\nseed = 2\n[train]\nsteps = 9\n[pseudo-label]\nout = 'labels'")
    assert resolve(DemoConfig, path, {}).seed == 2
    assert (resolve(TrainConfig, path, NEEDED).seed, resolve(TrainConfig, path, NEEDED).steps) == (1, 9)


def test_a_shared_key_is_skipped_by_commands_without_it(tmp_path: Path) -> None:
    path = toml(tmp_path, "annotations = 'a.json'\n[train]\nsteps = 9")
    assert resolve(DemoConfig, path, {}) == DemoConfig()


@pytest.mark.parametrize(
    ("text", "found", "proposed"),
    [
        ("stepz = 5", "stepz", "steps"),
        ("[train]\nalhpa = 0.2", "alhpa", "alpha"),
        ("stepz = 5\n[train]\nalpha = 0.2", "stepz", "steps"),
        ("[tran]\nalpha = 0.2", "[tran]", "train"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, text: str, found: str, proposed: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {proposed}\\?") as caught:
        resolve(TrainConfig, toml(tmp_path, text), NEEDED)
    assert found in str(caught.value)
    assert caught.value.rule == "setting-unknown"


@pytest.mark.parametrize("text", ["steps = ", "steps = 1\nsteps = 2", "\x00"])
def test_a_damaged_toml_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml.*\[toml-damaged\]"):
        resolve(TrainConfig, toml(tmp_path, text), NEEDED)


def test_a_missing_toml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml.*\[toml-missing\]"):
        resolve(TrainConfig, tmp_path / "absent.toml", NEEDED)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"steps": 0}, "1 or more"),
        ({"batch_size": -1}, "1 or more"),
        ({"alpha": 1.01}, "0 to 1"),
        ({"alpha": -0.01}, "0 to 1"),
        ({"alpha": float("nan")}, "a finite number"),
        ({"proposals": 0}, "1 to 100"),
        ({"proposals": 101}, "1 to 100"),
        ({"lr": 0.0}, "above 0"),
        ({"workers": -1}, "0 or more"),
        ({"device": "cuda:x"}, "cuda:N"),
        ({"preset": "papers"}, "did you mean paper?"),
    ],
)
def test_values_outside_their_limits_are_refused(values: dict[str, Any], expected: str) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=r"\[setting-value\]") as caught:
        train(**values)
    assert str(caught.value).startswith("--" + name.replace("_", "-"))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": 0},
        {"alpha": 1},
        {"proposals": 1},
        {"proposals": 100},
        {"steps": 1},
        {"device": "cuda:3"},
        {"lr": 1e-9},
    ],
)
def test_the_limits_themselves_are_accepted(values: dict[str, Any]) -> None:
    train(**values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps = 1.5", "a whole number"),
        ("steps = true", "a whole number"),
        ("steps = '5'", "a whole number"),
        ("alpha = 'x'", "a number"),
        ("alpha = true", "a number"),
        ("resume = 1", "true or false"),
        ("trunk = 3", "a text"),
        ("images = 3", "a path"),
        ("images = ''", "a path"),
        ("trunk = ['a']", "a text"),
    ],
)
def test_toml_values_of_another_type_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml: \w+: .*\[setting-type\]") as caught:
        resolve(TrainConfig, toml(tmp_path, text), {name: NEEDED[name] for name in NEEDED})
    assert expected in str(caught.value)


def test_toml_choices_are_validated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"roi: 'roi-align' given.*did you mean roialign\?"):
        resolve(TrainConfig, toml(tmp_path, "roi = 'roi-align'"), NEEDED)


def test_a_missing_setting_names_its_flag() -> None:
    with pytest.raises(ConfigError, match=r"^--annotations: not given.*\[setting-missing\]"):
        resolve(TrainConfig, None, {"images": Path("a"), "run": Path("b")})


@pytest.mark.parametrize(("scales", "valid"), [("1", 1), ("0.5,1.0,1.25", 1), (".5", 1), ("0", 0), ("1,", 0), ("a", 0)])
def test_scales_are_positive_numbers_with_commas(scales: str, valid: int) -> None:
    if valid:
        EvaluateConfig(scales=scales)
    else:
        with pytest.raises(ConfigError, match="--scales"):
            EvaluateConfig(scales=scales)


def label(shard: str | None) -> PseudoLabelConfig:
    return PseudoLabelConfig(images=Path("a"), weights=Path("b"), out=Path("c"), shard=shard)


def test_a_shard_counts_from_one() -> None:
    assert (label("1/3").part, label("3/3").part, label(None).part) == ((1, 3), (3, 3), (1, 1))


def test_shards_share_the_items_out() -> None:
    assert [label(f"{number}/3").part.own("abcdefg") for number in (1, 2, 3)] == [list("adg"), list("be"), list("cf")]
    assert label(None).part.own("abc") == list("abc")
    assert label("3/3").part.own("ab") == []


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b"])
def test_a_shard_that_does_not_exist_is_refused(shard: str) -> None:
    with pytest.raises(ConfigError, match="--shard"):
        label(shard)


def test_settings_survive_json() -> None:
    config = train(lr=0.1, val_annotations="val.json")
    text = json.dumps(to_json(config))
    assert from_json(TrainConfig, json.loads(text)) == config
    assert config.val_annotations == Path("val.json")


def saved_run(folder: Path, **values: Any) -> Path:
    run = folder / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(to_json(train(run=run, **values))))
    return run


def test_a_resumed_run_keeps_its_own_settings(tmp_path: Path) -> None:
    run = saved_run(tmp_path, steps=70, alpha=0.25)
    config = resolve(TrainConfig, None, {"run": run, "resume": True, "alpha": 0.25, "device": "cpu", "workers": 0})
    assert (config.steps, config.images, config.resume, config.workers) == (70, Path("pictures"), True, 0)


def test_a_resumed_run_refuses_a_differing_flag_with_both_values(tmp_path: Path) -> None:
    run = saved_run(tmp_path, alpha=0.25)
    with pytest.raises(ConfigError, match=r"--alpha: 0\.5 given, 0\.25 expected.*\[resume-differs\]"):
        resolve(TrainConfig, None, {"run": run, "resume": True, "alpha": 0.5})


@each_stage
def test_printed_defaults_are_a_valid_settings_file(
    tmp_path: Path, stage: type[StageConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = to_toml(stage)
    values = tomllib.loads(text)[stage.command]
    defaults = {field.name.rstrip("_"): field.default for field in dataclasses.fields(stage)}
    assert values.items() <= {name: str(d) if isinstance(d, Path) else d for name, d in defaults.items()}.items()
    assert all(name in text for name in defaults)
    required = [setting for setting in dataclasses.fields(stage) if setting.default is dataclasses.MISSING]
    needed = {setting.name: 1 if type_of(setting) is int else Path("x") for setting in required}
    one_of_several: dict[type[StageConfig], dict[str, Any]] = {
        PseudoLabelConfig: {"weights": Path("x")},
        PredictConfig: {"images": Path("x")},
        ConvertConfig: {"images": Path("x"), "to": "csv", "out": Path("x.csv")},
        AblateConfig: {name: Path("x") for name in ("images", "annotations", "test_annotations")},
    }
    needed |= one_of_several.get(stage, {})
    monkeypatch.chdir(tmp_path)
    toml(tmp_path, text)
    assert resolve(stage, Path("settings.toml"), needed) == stage(**needed)


@each_stage
def test_every_setting_is_explained_in_short_sentences(stage: type[StageConfig]) -> None:
    for name, setting in settings_of(stage).items():
        text = limits_of(setting).help
        assert text.endswith(".") and "  " not in text, name
        assert max(len(sentence.split()) for sentence in text.split(". ")) <= 20, name


def test_a_missing_setting_is_explained_by_its_first_sentence_and_a_line_that_works() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(TrainConfig, None, {"annotations": "train.json"})
    message = "--images: not given, a path expected (Folder of the pictures)"
    assert str(caught.value) == f"{message}; as in: {TrainConfig.example} [setting-missing]"


def test_all_missing_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"^--images and --annotations: not given.*\[setting-missing\]"):
        resolve(TrainConfig, None, {})
    with pytest.raises(ConfigError, match=r"^--table, --images, --annotations, --test-annotations and --out: not "):
        resolve(AblateConfig, None, {})
    with pytest.raises(ConfigError, match=r"^--predictions and --voc: not given.*as in: s4 convert --to voc-server"):
        resolve(ConvertConfig, None, {"to": "voc-server", "out": "a.tar.gz"})


def test_the_choices_of_a_setting_are_those_of_its_type() -> None:
    choices = {name: choices_of(setting) for name, setting in settings_of(TrainConfig).items()}
    assert choices["preset"] == get_args(s4net.build.Preset) == s4net.PRESETS
    assert choices["roi"] == get_args(RoiMode)
    assert choices["trunk"] == choices["steps"] == ()
    assert choices_of(settings_of(DeepLabTrainConfig)["recipe"]) == ("largefov", "v2-resnet101", "lite")  # or None
    assert type_of(settings_of(TrainConfig)["preset"]) is type_of(settings_of(DeepLabTrainConfig)["recipe"]) is str


def test_device_precision_and_workers_are_the_last_settings_of_each_stage() -> None:
    for stage in (each for each in STAGES.values() if "device" in settings_of(each)):  # review computes nothing
        assert list(settings_of(stage))[-3:] == ["device", "precision", "workers"]


def test_the_settings_of_a_chain_come_from_its_own_table_alone(tmp_path: Path) -> None:
    path = toml(tmp_path, "device = 'cpu'\nworkers = 4\n[run]\nrounds = 2\nworkers = 1\n[train]\nsteps = 3")
    config = resolve(RunConfig, path, {"file": path})
    assert (config.rounds, config.device, config.workers) == (2, None, 1)
    assert config.for_every_stage == {"workers": 1}


def test_ground_truth_is_never_the_default_of_a_training_on_labels() -> None:
    assert settings_of(DeepLabTrainConfig)["labels_are"].default == "pseudo"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"batch_size": 10**24}, "at most 65,536"),
        ({"steps": 10**30}, "at most 1,000,000,000"),
        ({"image_size": 10**9}, "at most 1,280"),
        ({"workers": 10**6}, "at most 1,024"),
        ({"seed": 2**63}, "at most 4,611,686,018,427,387,904"),
        ({"lr": 10**400}, "a finite number"),  # too large for a float
        ({"lr": 1e300}, "at most 100"),
        ({"lr": -0.0}, "a number above 0"),
        ({"alpha": float("nan")}, "a finite number"),
        ({"alpha": float("-inf")}, "a finite number"),
        ({"device": "cuda:" + "9" * 5000}, "cuda:N"),
        ({"trunk": "a\0b"}, "without a zero byte"),
        ({"run": "a\0b"}, "without a zero byte"),
        ({"run": "x" * 256}, "at most 4,000 bytes, and 255 for each name in it"),
        ({"run": "\u00e4" * 128}, "255 for each name"),  # two bytes each
        ({"run": "x/" * 2500}, "at most 4,000 bytes"),
        ({"run": "\ud800"}, "written in UTF-8"),
    ],
)
def test_values_beyond_all_reason_are_refused(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=r"\[setting-value\]") as caught:
        train(**values)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_negative_zero_is_a_zero() -> None:
    assert str(train(alpha=-0.0).alpha) == "0.0"


def test_paths_in_bytes_that_are_no_utf_8_are_paths() -> None:
    assert train(run="caf\udce9").run == Path("caf\udce9")
    assert train(run="x" * 255).run == Path("x" * 255)


def test_every_number_has_a_largest_value() -> None:
    """A slip of the pen must not ask for more memory or time than there is."""
    for stage in STAGES.values():
        for name, setting in settings_of(stage).items():
            assert type_of(setting) not in (int, float) or limits_of(setting).at_most is not None, (stage, name)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{b = " * 5000 + "1" + "}" * 5000,
        "a = " + "9" * 5000,
    ],
)
def test_toml_that_python_cannot_read_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml: .*\[toml-damaged\]"):
        resolve(TrainConfig, toml(tmp_path, text), NEEDED)


def test_a_deep_value_is_shown_short(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml: \[train\]: steps: .* given, a whole number") as caught:
        resolve(TrainConfig, toml(tmp_path, "[train]\nsteps" + ".a" * 5000 + " = 1"), NEEDED)
    assert len(str(caught.value)) < 500


def test_only_regular_files_are_read_as_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.toml")
    for path in (tmp_path / "fifo.toml", Path("/dev/zero"), tmp_path, tmp_path / ("x" * 300), Path("a\0b")):
        with pytest.raises(ConfigError, match=r"\[toml-missing\]"):
            resolve(TrainConfig, path, NEEDED)
