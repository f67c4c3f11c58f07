"""TOML that is written reads as the values that it was written from."""

import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import STAGES, DeepLabTrainConfig, TrainConfig, from_json, to_json, to_toml
from pipelines.config.resolution import resolve_with
from pipelines.config.setting import settings_of
from pipelines.config.toml_text import toml_value
from pipelines.errors import ConfigError
from pipelines.survey.settings_text import _path

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="'"))
PLAIN = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS)
ROOT = Path(tempfile.gettempdir()).resolve()


@given(PLAIN)
def test_a_value_comes_back_with_its_type(value: object) -> None:
    read = tomllib.loads(f"key = {toml_value(value)}")["key"]
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_the_defaults_of_a_stage_come_back(stage: Any) -> None:
    text = to_toml(stage)
    table = tomllib.loads(text)[stage.command]
    settings = {name.rstrip("_"): setting for name, setting in settings_of(stage).items()}  # from_ is `from`
    for name, value in table.items():
        default = settings[name].default
        assert value == (str(default) if isinstance(default, Path) else default)
    # Settings without a default are comments, and all others are there.
    unset = {name for name, one in settings.items() if f"# {name} =" in text}
    shown = set(table) | unset
    assert set(settings) - shown <= {stage.file_setting, *(n for n, s in settings.items() if "positional" in repr(s))}


NUMBERS = {
    "steps": st.integers(1, 10**6), "batch_size": st.integers(1, 512), "lr": st.floats(1e-6, 10),
    "seed": st.integers(0, 10**6), "alpha": st.floats(0, 1), "proposals": st.integers(1, 100),
    "roi": st.sampled_from(["ternary", "binary"]), "flip": st.booleans(),
}  # fmt: skip
GIVEN = st.fixed_dictionaries({}, optional={k: v for k, v in NUMBERS.items() if k in settings_of(TrainConfig)})


@given(GIVEN, st.sampled_from(["flat", "table", "both", "dashes"]))
def test_settings_of_a_file_are_those_that_were_written(given_: dict[str, Any], form: str) -> None:
    lines = [f"{name} = {toml_value(value)}" for name, value in given_.items()]
    if form == "dashes":
        lines = [f"{name.replace('_', '-')} = {toml_value(value)}" for name, value in given_.items()]
    if form == "both":  # the command's own table wins
        lines = ["seed = 987654", "[train]", *lines] if "seed" in given_ else ["[train]", *lines]
    if form == "table":
        lines = ["[train]", *lines]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "some.toml")
        path.write_text("\n".join(lines))
        needed = {"images": Path("pictures"), "annotations": Path("train.json")}
        config = resolve_with(STAGES, TrainConfig, path, needed)
    for name, value in given_.items():
        assert getattr(config, name) == value
    assert from_json(TrainConfig, json.loads(json.dumps(to_json(config)))) == config


FOLDERS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/~"), min_size=1, max_size=9)


@given(st.lists(FOLDERS.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4))
def test_a_path_in_a_settings_file_leads_from_the_folder_of_the_file(parts: list[str]) -> None:
    target, out = ROOT.joinpath(*parts), ROOT / "somewhere" / "s4.toml"
    written = tomllib.loads(f"images = {_path(target, out)}")["images"]
    assert Path(os.path.normpath(out.parent / written)) == target


@given(st.text(max_size=60), st.sampled_from(["", "[train]\n", "steps = ", "[train]\nsteps = 3\n"]))
def test_any_text_is_read_as_settings_or_refused(text: str, begin: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "some.toml")
        path.write_text(begin + text, encoding="utf-8", errors="surrogatepass")
        try:
            resolve_with(STAGES, DeepLabTrainConfig, path, {"labels": Path("labels")})
        except ConfigError as error:
            assert error.rule.startswith(("toml-", "setting-"))
