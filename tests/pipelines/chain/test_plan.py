"""What a dry run says that it would do."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.chain.decision import Decision
from pipelines.chain.findings import Seen
from pipelines.chain.plan import UNKNOWN, planned_record
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.chain.stages.train import TrainStep
from pipelines.chain.state import ChainState, Entry
from pipelines.config import PseudoLabelConfig, RunConfig, TrainConfig, resolve
from pipelines.events import Events
from pipelines.files import write_text
from pipelines.run import run
from tests.pipelines.chain.tiny_chain import TABLES, FakeStages, Plan, write_chain


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path)


def test_a_new_chain_is_planned_in_full_and_nothing_is_written(plan: Plan) -> None:
    before = sorted(plan.folder.rglob("*"))
    stages = plan()
    assert sorted(plan.folder.rglob("*")) == before
    assert [(s["stage"], s["action"], s["will"]) for s in stages] == [
        (name, "planned", "run") for name in ("train", "pseudo-label", "deeplab-train", "evaluate")
    ]
    assert [s["pictures"] for s in stages] == [2, 4, 4, 2]
    assert [s["steps"] for s in stages] == [2000, None, 1500, None]  # of `modern` and `lite`
    assert {s["time"] for s in stages} == {UNKNOWN}


@pytest.mark.slow
def test_rates_of_a_former_run_tell_the_time(plan: Plan) -> None:
    config = resolve(RunConfig, plan.file, {"file": plan.file})
    run(config, Events(io.StringIO()), FakeStages().functions())
    assert [(s["will"], s["time"]) for s in plan()] == [("skip", "-")] * 4
    write_chain(plan.folder, tables=TABLES.replace("[pseudo-label]", "[pseudo-label]\nmin_score = 0.9"))
    stages = plan()
    assert [s["will"] for s in stages] == ["skip", "redo", "redo", "redo"]
    # 4 pictures at 2 a second; 1,500 steps of 8 pictures at 4 a second; the fake evaluation is instantaneous.
    assert [s["result"]["expected_seconds"] for s in stages[1:3]] == [2, 3000]
    assert [s["time"] for s in stages[1:3]] == ["about 2 s", "about 50 min"]
    # Another round is as fast as the one before.
    assert plan(rounds=2)[5]["result"]["expected_seconds"] == 3000


@pytest.fixture
def labelling() -> PseudoLabelStep:
    config = PseudoLabelConfig(images=Path("i"), out=Path("o"), weights=Path("w"))
    return PseudoLabelStep("pseudo-label-2", 2, config)


def measured(rate: float | None) -> Entry:
    return Entry(fingerprint="f", place=None, images_per_second=rate)


def test_the_rate_is_that_of_the_step_or_of_its_stage_in_another_round(
    labelling: PseudoLabelStep, tmp_path: Path
) -> None:
    def seconds() -> float | None:
        expected: float | None = planned_record(labelling, Decision("run"), state, Seen(pictures=60))["result"][
            "expected_seconds"
        ]
        return expected

    state = ChainState(tmp_path)
    state.entries |= {"pseudo-label-filter": measured(60.0), "train": measured(30.0)}  # other stages
    assert seconds() is None
    state.entries["pseudo-label-1"] = measured(2.0)
    assert seconds() == 30
    state.entries["pseudo-label-2"] = measured(None)
    assert seconds() == 30
    state.entries["pseudo-label-2"] = measured(6.0)
    assert seconds() == 10


def test_a_resumed_training_takes_the_rest_of_its_time(tmp_path: Path) -> None:
    config = TrainConfig(images=Path("i"), annotations=Path("a"), run=tmp_path / "run", steps=10, batch_size=4)
    step, state = TrainStep("train", 0, config), ChainState(tmp_path)
    state.entries["train"] = replace(measured(2.0), place="run")
    write_text(tmp_path / "run" / "status.json", json.dumps({"step": 7}))
    times = [planned_record(step, Decision(action), state, Seen())["time"] for action in ("resume", "redo", "skip")]
    assert times == ["about 6 s", "about 20 s", "-"]  # (10 - 7) x 4 / 2; 10 x 4 / 2


def test_disk_space_is_told_of_what_is_due(labelling: PseudoLabelStep, tmp_path: Path) -> None:
    seen = Seen(pictures=1, sizes=[(375, 500)])
    due, skipped = (
        planned_record(labelling, Decision(action), ChainState(tmp_path), seen) for action in ("run", "skip")
    )
    assert due["disk"] == "about 1 MB"
    assert due["result"]["free_bytes"] > 0
    assert (skipped["disk"], skipped["result"]["disk_bytes"], skipped["result"]["free_bytes"]) == (None, None, None)
