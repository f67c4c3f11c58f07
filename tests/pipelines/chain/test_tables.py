"""The tables of a chain's file."""

from pathlib import Path

import pytest

from pipelines.chain.tables import Tables
from pipelines.config import EvaluateConfig, RunConfig, TrainConfig
from pipelines.errors import ConfigError

FILE = """
workers = 3
[train]
images = "pictures"
seed = 4
resume = false
[predict]
images = "others"
"""


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    file = tmp_path / "chain.toml"
    file.write_text(FILE)
    return Tables(RunConfig(file=file, device="cpu"), [TrainConfig, EvaluateConfig])


def test_only_tables_of_the_stages_are_taken(tables: Tables) -> None:
    pictures = tables.config.file.parent / "pictures"  # relative paths lead from the folder of the file
    assert tables.given == {"train": {"workers": 3, "images": pictures, "seed": 4, "resume": False}}
    assert tables.has(TrainConfig)
    assert not tables.has(EvaluateConfig)


def test_a_table_gives_what_it_sets(tables: Tables) -> None:
    assert tables.gives(TrainConfig, "lr", "seed")
    assert not tables.gives(TrainConfig, "lr", "resume")
    assert not tables.gives(EvaluateConfig, "weights")


def test_tables_beat_what_is_wired_and_every_stage_beats_tables(tables: Tables) -> None:
    merged = tables.merged(TrainConfig, {"images": Path("wired"), "run": Path("r"), "device": "cuda"})
    assert (merged["images"], merged["run"], merged["device"], merged["workers"]) == (
        tables.config.file.parent / "pictures",
        Path("r"),
        "cpu",
        3,
    )


def test_a_setting_that_is_missing_is_an_error_that_names_the_table(tables: Tables) -> None:
    with pytest.raises(ConfigError, match=r"chain\.toml: \[train\] --annotations: not given.*\[setting-missing\]"):
        tables.build(TrainConfig, {"images": Path("i"), "run": Path("r")})
