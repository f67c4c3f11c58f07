"""Which stages a chain does, with stages that write small files in place of networks."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import RunConfig, resolve
from pipelines.errors import ConfigError, DivergedError, InputError, Stopped
from pipelines.events import Events
from pipelines.folder_lock import sole_writer
from pipelines.run import run
from tests.pipelines.chain.tiny_chain import TABLES, FakeStages, write_chain, write_mask, write_picture
from tests.pipelines.review_folder import action

STAGES = ["train", "pseudo-label", "deeplab-train", "evaluate"]


class Chain:
    """A chain of fake stages in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.out = folder, folder / "data", folder / "chain"
        self.stages, self.stream = FakeStages(), io.StringIO()
        self.file = write_chain(folder)

    def write(self, more: str = "", tables: str = TABLES) -> None:
        write_chain(self.folder, more, tables)

    def run(self, **flags: Any) -> dict[str, Any]:
        self.stream = io.StringIO()
        config = resolve(RunConfig, self.file, {"file": self.file, **flags})
        return run(config, Events(self.stream), self.stages.functions(), paces={})

    def actions(self, **flags: Any) -> dict[str, str]:
        return {record["stage"]: record["action"] for record in self.run(**flags)["stages"]}

    def kept(self) -> set[str]:
        return {path.name for path in self.out.glob("*.old-*")}


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_the_chain_is_done_once_and_then_skipped(chain: Chain) -> None:
    result = chain.run()
    assert chain.stages.names == STAGES
    assert [record["action"] for record in result["stages"]] == ["ran"] * 4
    assert (result["miou"], result["rounds"]) == (0.5, [{"round": 1, "miou": 0.5, "gain": None}])
    again = chain.run()
    assert chain.stages.names == []
    assert [record["action"] for record in again["stages"]] == ["skipped"] * 4
    assert again["miou"] == 0.5
    assert again["stages"][3]["result"] == result["stages"][3]["result"]


def test_results_and_report_are_written(chain: Chain) -> None:
    chain.stages.more = {"per_class": {"background": 0.5, "cat": None}}
    result = chain.run()
    assert json.loads((chain.out / "results.json").read_text()) == result
    page = (chain.out / "report.html").read_text()
    assert "50.0 %" in page
    assert "pseudo-label" in page
    assert page.count("<img") == 1  # bars of the classes; the fake runs have no curves


def test_the_folder_may_be_moved_with_all_that_is_in_it(chain: Chain) -> None:
    chain.run()
    chain.out.rename(chain.folder / "elsewhere")
    chain.stages.names  # noqa: B018
    assert set(chain.actions(out=chain.folder / "elsewhere").values()) == {"skipped"}


def test_device_and_threads_change_nothing(chain: Chain) -> None:
    chain.run()
    assert set(chain.actions(device="cpu", workers=0).values()) == {"skipped"}


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("[train]", "[train]\nseed = 1", STAGES),
        ("[pseudo-label]", "[pseudo-label]\nmin_score = 0.5", STAGES[1:]),
        ("[deeplab-train]", "[deeplab-train]\nseed = 1", STAGES[2:]),
        ("[evaluate]", "[evaluate]\nflip = true", STAGES[3:]),
        ("[evaluate]", "[evaluate]\nflip = false", []),
    ],
)
def test_a_changed_setting_redoes_its_stage_and_those_behind_it(
    chain: Chain, old: str, new: str, again: list[str]
) -> None:
    chain.run()
    chain.stages.names  # noqa: B018
    chain.write(tables=TABLES.replace(old, new))
    actions = chain.actions()
    assert chain.stages.names == [name for name, action in actions.items() if action == "ran"] == again
    folders = {"train": "s4net", "pseudo-label": "labels", "deeplab-train": "deeplab"}
    assert chain.kept() == {f"{folders[name]}.old-1" for name in again if name in folders}


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda data: rewrite(data / "salient.json", '"salient"', '"thing"'), STAGES),
        (lambda data: write_picture(data / "salient" / "stranger.jpg"), []),
        (lambda data: rewrite(data / "keywords.csv", "p1,dog", "p1,cat"), STAGES[1:]),
        (lambda data: write_picture(data / "JPEGImages" / "without_keyword.jpg"), []),
        (lambda data: (data / "JPEGImages" / "p0.jpg").write_bytes(picture_bytes(data) + b"more"), STAGES[1:3]),
        (lambda data: rewrite(data / "ImageSets" / "Segmentation" / "val.txt", "p4\n", ""), STAGES[3:]),
        (lambda data: (data / "SegmentationClass" / "p4.png").touch(), []),
    ],
    ids=["annotations", "stranger", "keyword", "no-keyword", "picture", "list", "time"],
)
def test_a_changed_input_redoes_what_depends_on_it(chain: Chain, change: Any, again: list[str]) -> None:
    chain.run()
    chain.stages.names  # noqa: B018
    change(chain.data)
    chain.run()
    assert chain.stages.names == again


def picture_bytes(data: Path) -> bytes:
    return (data / "JPEGImages" / "p0.jpg").read_bytes()


@pytest.mark.parametrize(("rounds", "again"), [(1, STAGES[2:]), (2, [*STAGES[2:], *STAGES[1:]])])
def test_what_was_learned_from_labels_is_redone_after_their_review(chain: Chain, rounds: int, again: list[str]) -> None:
    chain.run(rounds=rounds)
    chain.stages.names  # noqa: B018
    journal = chain.out / ("labels" if rounds == 1 else "labels-1") / "review.jsonl"
    journal.touch()
    assert set(chain.actions(rounds=rounds).values()) == {"skipped"}  # somebody looked, and corrected nothing
    journal.write_text(json.dumps(action("reject")) + "\n")
    chain.run(rounds=rounds)
    assert chain.stages.names == again
    assert set(chain.actions(rounds=rounds).values()) == {"skipped"}


def test_old_folders_are_numbered_and_told_of(chain: Chain) -> None:
    for seed in range(3):
        chain.write(tables=TABLES.replace("[deeplab-train]", f"[deeplab-train]\nseed = {seed}"))
        chain.run()
    assert chain.kept() == {"deeplab.old-1", "deeplab.old-2"}
    seeds = [json.loads((chain.out / name / "config.json").read_text())["seed"] for name in sorted(chain.kept())]
    assert seeds == [0, 1]
    assert "deeplab is kept as" in chain.stream.getvalue()


def test_a_stopped_stage_is_resumed_and_what_was_done_is_skipped(chain: Chain) -> None:
    chain.stages.failing["deeplab-train"] = Stopped("r: stopped at 3 of 9; the same command with --resume goes on", "s")
    with pytest.raises(Stopped, match="deeplab-train: r: stopped at 3 of 9; the same s4 run goes on") as caught:
        chain.run()
    assert caught.value.exit_code == 75
    assert chain.stages.names == STAGES[:3]
    assert list(chain.actions().values()) == ["skipped", "skipped", "resumed", "ran"]
    assert [config.resume for config in chain.stages.calls[:1]] == [True]
    assert chain.kept() == set()


@pytest.mark.parametrize("command", ["train", "pseudo-label"])
def test_a_killed_stage_goes_on_in_its_folder(chain: Chain, command: str) -> None:
    chain.stages.failing[command] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        chain.run()
    assert chain.actions()[command] == "resumed"
    assert chain.kept() == set()


def test_a_stage_that_failed_is_begun_afresh_with_other_settings(chain: Chain) -> None:
    chain.stages.failing["train"] = DivergedError("loss is not finite; lower --lr", "not-finite")
    with pytest.raises(DivergedError):
        chain.run()
    chain.write(tables=TABLES.replace("[train]", "[train]\nlr = 0.001"))
    assert set(chain.actions().values()) == {"ran"}
    assert chain.kept() == {"s4net.old-1"}


@pytest.mark.parametrize(
    ("gone", "actions"),
    [
        ("labels/labels/p0.png", ["skipped", "resumed", "skipped", "skipped"]),
        ("deeplab/checkpoints/best.pt", ["skipped", "skipped", "resumed", "skipped"]),
        ("s4net/checkpoints/best.pt", ["resumed", "skipped", "skipped", "skipped"]),
    ],
)
def test_what_was_made_and_is_gone_is_made_again(chain: Chain, gone: str, actions: list[str]) -> None:
    chain.run()
    (chain.out / gone).unlink()
    assert list(chain.actions().values()) == actions


def test_a_run_of_someone_else_is_left_alone(chain: Chain) -> None:
    chain.run()
    for name in ("state.json", "results.json", "report.html"):
        (chain.out / name).unlink()
    with pytest.raises(ConfigError, match=r"s4net: holds a run that this chain has not made.*\[run-foreign\]"):
        chain.run()
    assert chain.kept() == set()


def test_rounds_are_measured_one_after_the_other(chain: Chain) -> None:
    result = chain.run(rounds=3)
    assert chain.stages.names == ["train", *STAGES[1:] * 3]
    assert [(row["miou"], row["gain"]) for row in result["rounds"]] == [(0.5, None), (0.625, 0.125), (0.75, 0.125)]
    assert result["miou"] == 0.75
    # A further round takes over those before it.
    assert list(chain.actions(rounds=4).values()) == ["skipped"] * 10 + ["ran"] * 3


def test_the_first_round_trains_on_pictures_with_a_single_keyword(chain: Chain) -> None:
    chain.run(rounds=2, first_round="single")
    lists = [config.list for config in chain.stages.calls if config.command == "deeplab-train"]
    assert lists == [chain.out / "round-1.txt", None]
    assert (chain.out / "round-1.txt").read_text() == "p0\np1\np3\n"  # p2 has two
    assert set(chain.actions(rounds=2, first_round="single").values()) == {"skipped"}


def test_a_fault_is_found_before_the_first_stage(chain: Chain) -> None:
    write_mask(chain.data / "SegmentationClass" / "p4.png", (3, 3))
    with pytest.raises(InputError, match=r"p4\.png: label map is 3x3, expected 8x6.*\[label-size\]"):
        chain.run()
    assert chain.stages.names == []
    assert not chain.out.exists()


def test_a_damaged_picture_to_label_is_told_of_and_left_to_its_stage(chain: Chain) -> None:
    (chain.data / "JPEGImages" / "p1.jpg").write_bytes(b"")
    chain.run()
    assert "warning: pseudo-label:" in chain.stream.getvalue()
    planned = chain.run(dry_run=True)
    assert planned["failed"] == 1
    assert "p1.jpg: file is empty" in planned["faults"][0]["message"]


def test_two_at_once_are_refused(chain: Chain) -> None:
    with sole_writer(chain.out, "s4 run", print), pytest.raises(ConfigError, match=r"s4 run .*\[folder-busy\]"):
        chain.run()


def test_several_processes_are_refused(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"2 processes, one expected.*\[chain-processes\]"):
        chain.run()


def test_pictures_that_failed_are_counted(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    label = chain.stages.pseudo_label
    monkeypatch.setattr(chain.stages, "pseudo_label", lambda *given: {**label(*given), "failed": 2})
    assert chain.run(rounds=2)["failed"] == 2


def test_warnings_of_the_stages_are_collected(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chain.run()["warnings"] == []
    chain.write(tables=TABLES.replace("[pseudo-label]", "[pseudo-label]\nmin_score = 0.5"))
    label, poor = chain.stages.pseudo_label, {"rule": "labels-empty-third", "message": "labels: 2 of 4"}
    lost = {"rule": "only-background", "message": "deeplab: finds nothing"}
    monkeypatch.setattr(chain.stages, "pseudo_label", lambda *given: {**label(*given), "warnings": [poor]})
    chain.stages.more = {"warnings": [poor, lost]}  # the same labels may be told of by two stages
    expected = [{"stage": "pseudo-label", **poor}, {"stage": "evaluate", **lost}]
    result = chain.run()
    assert result["warnings"] == json.loads((chain.out / "results.json").read_text())["warnings"] == expected
    assert "warning: 2/4 pseudo-label: labels: 2 of 4 [labels-empty-third]\n" in chain.stream.getvalue()
    assert "labels: 2 of 4 [labels-empty-third]" in (chain.out / "report.html").read_text()
    assert chain.run()["warnings"] == expected  # of stages that were skipped
    assert "warnings" not in chain.run(dry_run=True)


def test_a_finished_chain_says_so(chain: Chain) -> None:
    said = f"{chain.out}: all 4 stages were done before, and nothing has changed\n"
    chain.run()
    assert said not in chain.stream.getvalue()
    chain.run()
    assert said in chain.stream.getvalue()
    (chain.out / "deeplab" / "checkpoints" / "best.pt").unlink()
    chain.run()
    assert said not in chain.stream.getvalue()
