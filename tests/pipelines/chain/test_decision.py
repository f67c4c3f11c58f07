"""What has to be done about a step, from what is known of it and of the steps before it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.decision import Decision, decide, decide_all, move_aside
from pipelines.chain.fingerprints import fingerprint
from pipelines.chain.state import ChainState, Entry
from pipelines.errors import ConfigError
from tests.pipelines.chain.some_step import SomeConfig, SomeStep


@pytest.fixture
def state(tmp_path: Path) -> ChainState:
    return ChainState(tmp_path / "chain")


@pytest.fixture
def step(tmp_path: Path) -> SomeStep:
    return SomeStep("some", 1, SomeConfig(), (), tmp_path / "chain" / "place")


def entry(step: SomeStep, **more: Any) -> Entry:
    return Entry(**{"fingerprint": fingerprint(step), "place": "place", **more})


@pytest.mark.parametrize(
    ("place_exists", "known", "action"),
    [
        (False, None, "run"),
        (True, None, "resume"),
        (False, {}, "run"),
        (True, {}, "resume"),
        (True, {"done": True}, "resume"),  # what it made is not complete any more
        (False, {"done": True}, "run"),
        (True, {"done": True, "result": {"complete": True}}, "skip"),
        (True, {"fingerprint": "other"}, "redo"),
        (False, {"fingerprint": "other"}, "run"),
        (True, {"fingerprint": "other", "place": "elsewhere"}, "resume"),  # that was another folder
    ],
)
def test_a_decision_follows_from_entry_and_folder(
    step: SomeStep, state: ChainState, place_exists: bool, known: dict[str, Any] | None, action: str
) -> None:
    if known is not None:
        state.entries["some"] = entry(step, **known)
    if place_exists:
        step.place.mkdir(parents=True)  # type: ignore[union-attr]
    assert decide(step, state) == Decision(action, fingerprint(step))  # type: ignore[arg-type]


def test_a_stage_without_a_folder_is_done_again_for_other_inputs(step: SomeStep, state: ChainState) -> None:
    step = replace(step, folder=None)
    state.entries["some"] = entry(step, place=None, fingerprint="other")
    assert decide(step, state).action == "redo"


def test_a_foreign_folder_is_refused_unless_the_step_is_known(step: SomeStep, state: ChainState) -> None:
    step = replace(step, word="foreign")
    assert decide(step, state).action == "run"  # there is no folder
    step.place.mkdir(parents=True)  # type: ignore[union-attr]
    for refuse in (lambda: decide(step, state), lambda: decide_all([step], state)):
        with pytest.raises(ConfigError, match=r"\[run-foreign\]"):
            refuse()
    state.entries["some"] = entry(step)
    assert decide(step, state).action == "resume"


def test_steps_behind_one_that_is_due_are_due(step: SomeStep, state: ChainState) -> None:
    behind = replace(step, name="behind", after=(step,), word="unreadable")
    apart = replace(step, name="apart", word="unreadable")
    state.entries["behind"] = Entry(fingerprint="x", place="place", done=True)
    decisions = decide_all([step, behind, apart], state)
    assert [(name, decision.action) for name, decision in decisions.items()] == [
        ("some", "run"),
        ("behind", "redo"),
        ("apart", "run"),
    ]
    assert decisions["behind"].fault is None  # its inputs may come from the step before it
    assert decisions["apart"].fault is not None


@pytest.mark.parametrize(
    ("known", "place_exists", "action"),
    [(None, True, "run"), ({}, False, "run"), ({}, True, "redo"), ({"done": True}, False, "redo")],
)
def test_a_step_behind_one_that_is_due_is_redone_where_it_was_begun(
    step: SomeStep, state: ChainState, known: dict[str, Any] | None, place_exists: bool, action: str
) -> None:
    behind = replace(step, name="behind", after=(step,), folder=state.folder / "other")
    if known is not None:
        state.entries["behind"] = entry(behind, **{"place": "other", **known})
    if place_exists:
        behind.place.mkdir(parents=True)  # type: ignore[union-attr]
    assert decide_all([step, behind], state)["behind"].action == action


def test_a_foreign_folder_behind_a_due_step_is_refused(step: SomeStep, state: ChainState) -> None:
    folder = state.folder / "other"
    folder.mkdir(parents=True)
    behind = replace(step, name="behind", after=(step,), folder=folder, word="foreign")
    with pytest.raises(ConfigError, match=r"\[run-foreign\]"):
        decide_all([step, behind], state)


def test_a_folder_moves_aside_to_the_first_free_name(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "place").mkdir()
        assert move_aside(tmp_path / "place") == tmp_path / f"place.old-{number}"
    assert not (tmp_path / "place").exists()
