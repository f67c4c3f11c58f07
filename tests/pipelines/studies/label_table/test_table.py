"""`s4 ablate --table 5` as its user sees it; networks and trainings are replaced, but for the slow test at the end."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.ablate import ablate
from pipelines.config import AblateConfig, PseudoLabelConfig
from pipelines.data.label_folder import LabelFolder
from pipelines.data.outlines import SHAPES
from pipelines.data.shapes import write_instances, write_voc
from pipelines.errors import ConfigError, DivergedError, InputError, Stopped
from pipelines.events import Events
from pipelines.labels import attention, picture_work
from pipelines.labels import plan as label_plan
from pipelines.pseudo_label import pseudo_label
from pipelines.report.label_table import write_page
from pipelines.studies.label_table import result as table_result
from pipelines.studies.label_table import study, trials
from s4cli.main import main
from tests.pipelines.fake_label_study import (
    CAT,
    CLASSES,
    DOG,
    KEYWORDS,
    OPEN,
    ROWS,
    SIZE,
    VAL,
    FakeTrainings,
    Networks,
    Recognised,
    files,
)


def label_of(config: AblateConfig, row: str, image_id: str) -> list[int]:
    """The first line of a label map, as palette indices."""
    folder = LabelFolder(config.out / "table5" / row / "labels", CLASSES)
    line: list[int] = folder.read_palette_map(image_id)[0].tolist()
    return line


def line(*parts: tuple[int, int, int]) -> list[int]:
    pixels = [0] * SIZE[1]
    for first, last, value in parts:
        pixels[first:last] = [value] * (last - first)
    return pixels


def test_each_row_has_the_labels_of_what_it_is_made_from(config: AblateConfig) -> None:
    ablate(replace(config, seeds="0"), Events())
    both = ((0, 5), (10, 15))
    # With one keyword the union has it. With two, nothing tells them apart.
    assert label_of(config, "saliency", "b") == line(*((*part, DOG) for part in both))
    assert label_of(config, "saliency", "c") == line(*((*part, OPEN) for part in both))
    # Strong attention reaches up to column 6, and from column 9 on, whatever instances there are.
    assert label_of(config, "attention", "a") == line((0, 7, CAT))
    assert label_of(config, "attention", "c") == line((0, 7, CAT), (9, 16, DOG))
    # Attention cuts the union in the middle.
    split = line((0, 5, CAT), (10, 15, DOG))
    assert label_of(config, "attention-saliency", "b") == line(*((*part, DOG) for part in both))
    assert label_of(config, "attention-saliency", "c") == split
    assert label_of(config, "instances-attention", "c") == label_of(config, "instances-graph", "c") == split
    assert label_of(config, "instances-single", "c") == line(*((*part, OPEN) for part in both))


def both_ways(config: AblateConfig, strategy: Any, **settings: Any) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of the row of a strategy, and those of `s4 pseudo-label`."""
    ablate(replace(config, seeds="0", assign=strategy), Events())
    alone = PseudoLabelConfig(
        images=(config.voc / "JPEGImages",),  # type: ignore[operator]
        split="train",
        keywords=config.keywords,
        classes=config.classes,
        weights=config.weights,
        out=config.out.parent / "labels",
        assign=strategy,
        trunk_weights=config.trunk_weights,
        device="cpu",
        precision="fp32",
        workers=0,
        report=False,
        **settings,
    )
    pseudo_label(alone, Events())
    expected = {name: content for name, content in files(alone.out).items() if not name.startswith((".", "cues/"))}
    return files(config.out / "table5" / f"instances-{strategy}" / "labels"), expected


@pytest.mark.parametrize("strategy", ["random", "single", "attention", "graph"])
def test_labels_of_instances_are_those_of_pseudo_label_byte_for_byte(config: AblateConfig, strategy: Any) -> None:
    found, expected = both_ways(config, strategy, cells="off", recognise="off")
    assert found == expected


@pytest.mark.parametrize("fewest_for_graph", [20, 2])
def test_labels_of_auto_are_those_of_pseudo_label_in_one_pass_and_in_two(
    config: AblateConfig, monkeypatch: pytest.MonkeyPatch, fewest_for_graph: int
) -> None:
    monkeypatch.setattr(picture_work, "open_recognizer", lambda _: Recognised())
    monkeypatch.setattr(study, "trunk_state", lambda *_: None)
    monkeypatch.setattr(label_plan, "_FEWEST_FOR_GRAPH", fewest_for_graph)
    found, expected = both_ways(replace(config, trunk_weights="imagenet"), "auto")
    assert found == expected
    assert label_of(config, "instances-auto", "a") == line((0, 5, CAT), (10, 15, OPEN))  # the right one is no animal


def test_networks_look_at_each_picture_once(config: AblateConfig, networks: Networks) -> None:
    ablate(config, Events())
    assert sorted(networks.looked) == ["attention"] * 4 + ["instances"] * 4


def test_masks_of_another_program_have_rows_of_their_own(config: AblateConfig, networks: Networks) -> None:
    for name in KEYWORDS:
        shown = np.zeros(SIZE, np.uint8)
        shown[:, 2:12] = 200
        path = config.out.parent / "dss" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(shown).save(path)
    result = ablate(replace(config, instances=(config.out.parent / "dss",), seeds="0", assign="graph"), Events())
    assert [row["name"] for row in result["rows"]] == [
        *ROWS[:3], "saliency of dss", "attention with dss", "instances, graph",
    ]  # fmt: skip
    assert label_of(config, "saliency-dss", "a") == line((2, 12, CAT))
    assert label_of(config, "attention-dss", "c") == line((2, 8, CAT), (8, 12, DOG))
    assert networks.looked.count("instances") == 4


def test_the_result_has_labels_differences_and_the_paper(config: AblateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_result, "write_page", write_page)
    result = ablate(config, Events())
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == ROWS
    assert (result["table"], result["seeds"], result["images"], result["reference"]) == (
        5,
        [0, 1],
        2,
        "instances, graph",
    )
    own = rows["saliency"]
    assert (own["trainings"], own["miou"], own["difference"], own["differs"]) == (2, 0.5, -0.25, True)
    assert (own["difference_low"], own["difference_high"]) == (-0.25, -0.25)
    assert (own["paper"], rows["attention with saliency"]["paper"]) == ([49.8, 52.6], [53.8])
    assert rows["instances, graph"]["paper"] == [57.4, 61.8]
    assert (rows["instances, graph"]["difference"], rows["instances, single"]["differs"]) == (None, False)
    # Pictures a to c have a truth. Each shows 20 pixels of cat, 20 of dog and 24 of background. The union is all cat in
    # a, all dog in b, open in c. So cat has 20 right of 60 + 20, dog likewise, and background is right everywhere.
    assert own["label_miou"] == pytest.approx((1 + 20 / 80 + 20 / 80) / 3)
    saved = json.loads((config.out / "table5.json").read_text())
    assert saved["schema"] == result["schema"] == "s4/ablate/1"
    assert (saved["rows"][0]["labels"]["scored"], saved["labelled_images"], saved["several_keywords"]) == (3, 4, 2)
    assert saved["rows"][0]["trainings"][1]["per_class"] == {"background": 0.5, "cat": 0.5, "dog": 0.5}
    text = (config.out / "table5.md").read_text()
    assert "| saliency | 50.0 |" in text and "**-25.0 ± 0.0 [-25.0, -25.0]**" in text
    page = (config.out / "report.html").read_text()
    assert "saliency against instances, graph: -25.0 points [-25.0, -25.0], in 2 of 2 seeds" in page


def test_networks_that_find_nothing_are_told(config: AblateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.array([[[3, 0, 0], [4, 2, 2]]] * len(VAL))
    monkeypatch.setattr(trials, "network_overlaps", lambda *_: nothing)
    warnings = ablate(replace(config, seeds="0", assign="graph"), Events())["warnings"]
    assert [warning["rule"] for warning in warnings] == ["only-background"] * 4
    assert warnings[1]["message"].startswith("attention, seed 0: has no pixel of any class but background right")
    few = np.array([[[3, 0, 0], [4, 2, 2]], [[3, 1, 0], [4, 2, 2]]])
    monkeypatch.setattr(trials, "network_overlaps", lambda *_: few)
    assert ablate(replace(config, seeds="1", assign="graph"), Events())["warnings"] == []


def test_all_rows_of_a_seed_come_before_the_next_seed(
    config: AblateConfig, trainings: FakeTrainings, capsys: pytest.CaptureFixture[str]
) -> None:
    ablate(replace(config, assign="graph"), Events())
    folders = ["saliency", "attention", "attention-saliency", "instances-graph"]
    assert trainings.done == [(folder, seed) for seed in (0, 1) for folder in folders]
    told = capsys.readouterr().err
    assert "labels 2 of 4, attention" in told
    assert "training 5 of 8, saliency, seed 1: starts" in told


def test_a_training_that_diverges_costs_its_row_alone(config: AblateConfig, trainings: FakeTrainings) -> None:
    trainings.trouble["instances-graph", 0] = DivergedError("loss is nan", "diverged")
    result = ablate(replace(config, seeds="0", assign="graph,single"), Events())
    rows = {row["name"]: row for row in result["rows"]}
    assert (result["failed"], rows["instances, graph"]["miou"], rows["instances, single"]["miou"]) == (1, None, 0.75)
    assert rows["saliency"]["difference"] is None
    assert json.loads((config.out / "failures.jsonl").read_text())["row"] == "instances, graph"
    assert "diverged" in (config.out / "table5.md").read_text()


def test_a_picture_that_cannot_be_read_is_told_in_every_row(config: AblateConfig) -> None:
    assert config.voc is not None
    (config.voc / "JPEGImages" / "a.png").write_bytes(b"no picture")
    result = ablate(replace(config, seeds="0", assign="graph"), Events())
    failures = [json.loads(text) for text in (config.out / "failures.jsonl").read_text().splitlines()]
    assert result["failed"] == len(failures) == 4
    assert {(failure["image_id"], failure["rule"]) for failure in failures} == {("a", "image-format")}


def test_a_signal_ends_the_study_and_the_message_names_the_way_on(
    config: AblateConfig, trainings: FakeTrainings
) -> None:
    trainings.trouble["attention", 0] = Stopped("stopped", "stopped")
    with pytest.raises(Stopped, match="training 2 of 14, attention, seed 0, state saved; the same command goes on"):
        ablate(config, Events())


def test_without_several_keywords_strategies_are_one_row(
    config: AblateConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(config.keywords[0]).write_text("image,keywords\na,cat\nb,dog\n")
    result = ablate(replace(config, seeds="0"), Events())
    assert [row["name"] for row in result["rows"]] == ["saliency", "attention", "instances, single"]
    assert result["reference"] == "instances, single" and result["rows"][2]["paper"] == [57.4, 61.8]
    assert "row attention with saliency: left out, its labels are those of the row saliency" in capsys.readouterr().err


def test_missing_truth_and_settings_without_use_are_told(
    config: AblateConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    ablate(replace(config, dry_run=True, image_size=64, trunk="resnet101"), Events())
    assert "table 5 makes no use of --trunk, --image-size" in capsys.readouterr().err
    assert config.voc is not None
    (config.voc / "SegmentationClass" / "v.png").unlink()
    with pytest.raises(InputError, match=r"\[truth-missing\]"):
        ablate(config, Events())
    assert not config.out.exists()


def test_each_table_asks_for_its_own_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--voc: not given.*--table 5.*\[setting-missing\]"):
        AblateConfig(table=5, out=tmp_path)
    with pytest.raises(ConfigError, match=r"--images, --annotations and --test-annotations: not given.*--table 1"):
        AblateConfig(table=1, out=tmp_path)
    with pytest.raises(ConfigError, match="--assign: graph,graph given, each once expected"):
        AblateConfig(table=5, voc=tmp_path, out=tmp_path, assign="graph,graph")


@pytest.mark.slow
def test_networks_are_trained_and_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_SIZE", 64)
    voc = tmp_path / "voc"
    keywords = write_voc(voc, 20, 3, seed=0, side=64)
    # Two keywords for each of 20 pictures are the fewest for a graph and for cells.
    two = [f"train_{number:05d},{';'.join(SHAPES[number % 2 : number % 2 + 2])}\n" for number in range(20)]
    keywords.write_text("".join(["image,keywords\n", *two]))
    write_instances(tmp_path / "scenes", 2, "train", seed=1, side=64)
    scenes = ["--images", str(tmp_path / "scenes/images"), "--annotations", str(tmp_path / "scenes/train.json")]
    small = ["--trunk-weights", "none", "--device", "cpu", "--precision", "fp32", "--workers", "0", "--steps", "1"]
    sizes = ["--batch-size", "1", "--image-size", "64"]
    assert main(["train", *scenes, *small, *sizes, "--run", str(tmp_path / "s4net")]) == 0
    lists = ["--keywords", str(keywords), "--classes", str(voc / "classes.txt"), "--min-score", "0"]
    data = ["--voc", str(voc), *lists, "--weights", str(tmp_path / "s4net")]
    table = ["ablate", "--table", "5", *data, *small, "--batch-size", "1", "--crop", "33", "--seeds", "0"]
    out = ["--out", str(tmp_path / "study"), "--json"]
    capsys.readouterr()
    assert main([*table, *out]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in result["rows"]] == [*ROWS, "instances, auto"]  # auto has cells
    assert all(row["trainings"] == 1 and 0 <= row["miou"] <= 1 for row in result["rows"])
    page = (tmp_path / "study" / "report.html").read_text()
    assert page.count("train_000") == 8 and page.count("<img") == 1 + 8 * 8
    assert main([*table, *out]) == 0
    assert json.loads(capsys.readouterr().out) == result
