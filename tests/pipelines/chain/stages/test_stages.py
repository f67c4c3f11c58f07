"""The stages are known to their own modules alone, and a further one needs nothing but its class."""

import ast
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

import pipelines
from pipelines.chain.inputs import weights_hash
from pipelines.chain.inspection import Inspection
from pipelines.chain.stages import STAGES
from pipelines.chain.step import Step, Wiring
from pipelines.config import DeepLabTrainConfig, PredictConfig, RunConfig, resolve
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.run import _own_stages, run
from tests.pipelines.chain.tiny_chain import TABLES, FakeStages, write_chain

FOLDER = Path(pipelines.__file__).parent
GENERIC = [*sorted((FOLDER / "chain").glob("*.py")), FOLDER / "run.py"]
STAGE_CONFIGS = {stage.config_class.__name__ for stage in STAGES}


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", GENERIC, ids=lambda path: path.stem)
def test_no_other_module_asks_which_stage_it_has(path: Path) -> None:
    # `isinstance(config, cls)` with a class that a stage hands over is no knowledge of the stage.
    names = {node.id for node in nodes(path) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in nodes(path) if isinstance(node, ast.Attribute)}
    assert not (names | attributes) & STAGE_CONFIGS
    words = {node.value for node in nodes(path) if isinstance(node, ast.Constant)}
    commands = {stage.config_class.command for stage in STAGES}
    assert not words & commands or path.name == "run.py"  # there stands the function of each command


def test_only_the_list_of_stages_imports_a_stage() -> None:
    for path in GENERIC:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelines.chain.stages"):
                assert node.module == "pipelines.chain.stages", path
                assert [alias.name for alias in node.names] == ["STAGES"], path


def test_every_stage_has_a_function() -> None:
    assert list(_own_stages()) == [stage.config_class.command for stage in STAGES]


@dataclass(frozen=True)
class PredictStep(Step):
    """A fifth stage: predictions of the last DeepLab."""

    config_class = PredictConfig
    figures_shown = ("images",)

    config: PredictConfig

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        deeplab = wiring.last(DeepLabTrainConfig)
        wired = {"out": wiring.folder / "predictions", "weights": deeplab.run if deeplab else None}
        values = wiring.tables.merged(cls.config_class, wired)
        values["out"] = wiring.numbered(values["out"])
        return cls.at(wiring, values)

    @property
    def place(self) -> Path:
        return self.config.out

    def check(self, inspection: Inspection) -> None:
        if self.maker_of(self.config.weights) is None:
            inspection.weights(self.config.weights)
        if self.config.images:
            inspection.seen.pictures = len(inspection.pictures(sorted(self.config.images[0].glob("*.jpg"))))

    def inputs(self) -> dict[str, Any]:
        return {"weights": weights_hash(self.config.weights)}

    def is_complete(self, result: Mapping[str, Any]) -> bool:
        return (self.place / "records.jsonl").is_file()


class FiveStages(FakeStages):
    def functions(self) -> dict[str, Any]:
        return {**super().functions(), "predict": self.predict}

    def predict(self, config: PredictConfig, events: Events) -> dict[str, Any]:
        config.out.mkdir(parents=True, exist_ok=True)
        self.begin(config)
        (config.out / "records.jsonl").touch()
        return {"images": 6}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pipelines.chain.steps.STAGES", (*STAGES, PredictStep))
    return write_chain(tmp_path, tables=TABLES + "[predict]\nimages = '{data}/JPEGImages'\n")


def actions(file: Path, stages: FakeStages, **flags: Any) -> dict[str, str]:
    config = resolve(RunConfig, file, {"file": file, **flags})
    result = run(config, Events(io.StringIO()), stages.functions())
    return {record["stage"]: record["action"] for record in result["stages"]}


@pytest.mark.slow
def test_a_fifth_stage_is_planned_done_skipped_and_redone(file: Path) -> None:
    stages = FiveStages()
    assert actions(file, stages, dry_run=True)["predict"] == "planned"
    assert list(actions(file, stages).values()) == ["ran"] * 5
    assert "images 6" in (file.parent / "chain" / "report.html").read_text()
    assert list(actions(file, stages).values()) == ["skipped"] * 5
    file.write_text(file.read_text().replace("[deeplab-train]", "[deeplab-train]\nseed = 1"))
    assert list(actions(file, stages).values()) == ["skipped", "skipped", "ran", "ran", "ran"]
    assert (file.parent / "chain" / "predictions.old-1" / "records.jsonl").is_file()
    (file.parent / "chain" / "predictions" / "records.jsonl").unlink()
    assert actions(file, stages)["predict"] == "resumed"


def test_a_fifth_stage_has_rounds_and_faults(file: Path) -> None:
    stages = FiveStages()
    assert list(actions(file, stages, rounds=2))[4::4] == ["predict-1", "predict-2"]
    assert [config.weights.name for config in stages.calls if config.command == "predict"] == ["deeplab-1", "deeplab-2"]
    (file.parent / "data" / "JPEGImages" / "p4.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"p4\.jpg: file is empty"):
        actions(file, stages, dry_run=True)
